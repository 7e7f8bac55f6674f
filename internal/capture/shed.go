package capture

import (
	"time"

	"ftfuse/internal/record"
)

// Room that records take which were too long is given back when their gap is registered, and not before: else a crash
// would have it read again, as NULs. A queue that is not brought to disk may lose the gap with the machine's power, so
// then the room is kept until the kernel has written back what the queue wrote (vm.dirty_expire_centisecs, 30 s).
const (
	shedRest   = time.Minute
	maxResting = maxHeld / 4 // extents; beyond, the oldest go earlier
)

// shed is what records that were too long take in the spools.
type shed struct {
	unregistered []record.Extent // of gaps in the batch
	resting      []resting
	extents      int // in resting
}

// resting is room whose gaps are registered.
type resting struct {
	since   time.Time
	extents []record.Extent
}

// take takes from a gap what it stands for: the queue refers to payload only.
func (s *shed) take(ch *record.Chunk) {
	if ch.Gap == nil {
		return
	}
	for _, e := range ch.Extents {
		s.unregistered = appendExtent(s.unregistered, e)
	}
	ch.Extents = nil
}

// giveBackShed gives room back. Everything in the batch is registered.
func (c *Capture) giveBackShed(now time.Time) {
	s := &c.pass.shed
	if n := len(s.unregistered); n > 0 {
		s.resting = append(s.resting, resting{now, s.unregistered})
		s.unregistered, s.extents = nil, s.extents+n
	}
	done := 0
	for _, r := range s.resting {
		if !c.o.Disk && !c.pass.pressed && s.extents <= maxResting && now.Sub(r.since) < shedRest {
			break
		}
		c.setFree(r.extents, true)
		s.extents -= len(r.extents)
		done++
	}
	if s.resting = s.resting[done:]; len(s.resting) == 0 {
		s.resting = nil
	}
}
