package capture

import (
	"time"

	"ftfuse/internal/record"
)

// Room that is taken by what is not delivered (records that were too long, that filters took out or rewrote, that limits
// held back) is given back when the chunk that stands for it is registered, and not before: else a crash would have it
// read again, as NULs. A queue that is not brought to disk may lose that chunk with the machine's power, so then the room is
// kept until the kernel has written back what the queue wrote (vm.dirty_expire_centisecs, 30 s).
const (
	shedRest   = time.Minute
	maxResting = maxHeld / 4 // extents; beyond, the oldest go earlier
)

// shed is the room that is to be given back.
type shed struct {
	registered []record.Extent // of chunks of this turn
	resting    []resting
	extents    int // in resting
}

// resting is room that waits for the disk.
type resting struct {
	since   time.Time // zero: found at the start, and the follower has not looked yet
	extents []record.Extent
	logged  int64    // bytes of them in the log, which counts them as pending until they are given back
	found   *segment // nil: none
}

// take notes what a chunk has spent that is registered.
func (s *shed) take(ch *record.Chunk) {
	for _, e := range ch.Spent {
		s.registered = appendExtent(s.registered, e)
	}
}

// giveBackShed gives room back.
func (c *Capture) giveBackShed(now time.Time) {
	s := &c.pass.shed
	if n := len(s.registered); n > 0 {
		r := resting{since: now, extents: s.registered, logged: c.logged(s.registered)}
		c.use.resting.Add(r.logged)
		s.resting = append(s.resting, r)
		s.registered, s.extents = nil, s.extents+n
	}
	done := 0
	for i := range s.resting {
		r := &s.resting[i]
		if r.since.IsZero() {
			r.since = now
		}
		if !c.o.Disk && !c.pass.pressed && s.extents <= maxResting && now.Sub(r.since) < shedRest {
			break
		}
		c.use.resting.Add(-r.logged) // before they pend no more: nothing may be hidden behind what rests
		c.setFree(r.extents, true)
		if r.found != nil {
			r.found.release()
		}
		s.extents -= len(r.extents)
		done++
	}
	if s.resting = s.resting[done:]; len(s.resting) == 0 {
		s.resting = nil
	}
}

// keepFound has room of raw spools rest, or a segment, that was found free at the start. Whether the queue has already brought to
// disk what stands for it, or that it was delivered, nobody knows.
func (c *Capture) keepFound(extents []record.Extent, s *segment) {
	c.pass.shed.resting = append(c.pass.shed.resting, resting{extents: extents, found: s})
	c.pass.shed.extents += len(extents)
}

// logged is how many bytes of extents are in the log of write capture.
func (c *Capture) logged(extents []record.Extent) (n int64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, e := range extents {
		if c.segs[e.Spool] != nil {
			n += int64(e.Len)
		}
	}
	return n
}
