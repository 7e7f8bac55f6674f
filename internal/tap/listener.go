package tap

import (
	"context"
	"slices"
	"sync"
	"time"

	"ftfuse/internal/record"
)

// Record is one record, or a piece of one, or a gap.
type Record struct {
	Chunk     *record.Chunk // the attributes; Chunk.Gap not nil: the record is a gap. Its Data and Extents are not to be used
	Data      []byte        // with the line end, if it has one; valid during the call
	Offset    uint64        // position of its first byte in the handle's stream
	Time      int64         // nanoseconds since 1970 UTC
	Continues bool          // it began earlier
	Continued bool          // it goes on
}

// Skipped counts records that a listener wanted and did not get, by the reason.
type Skipped struct {
	Rate int // beyond Filter.Rate
	Slow int // the listener did not keep up
	Gone int // payloads that could not be read, mostly delivered and given free already
}

func (s *Skipped) add(o Skipped) {
	s.Rate += o.Rate
	s.Slow += o.Slow
	s.Gone += o.Gone
}

// Out takes what a listener hears. It may block: that costs nobody but this listener. An error ends the listening.
type Out interface {
	Record(Record) error
	Skipped(Skipped) error // not more than once a second
	Flush() error          // nothing else waits at the moment
}

// Listener is one who listens.
type Listener struct {
	hub    *Hub
	filter Filter
	ready  chan struct{} // has a token when something waits

	mu      sync.Mutex // guards the rest; held for moments
	waiting []item
	held    int // bytes of waiting, and of what is being copied
	meter   meter
	skipped Skipped
}

// item is a chunk of which the first records are wanted.
type item struct {
	chunk record.Chunk
	take  int // records, or all
	held  int // bytes
}

// hear takes one chunk, or counts it.
func (l *Listener) hear(c *record.Chunk, now time.Time) {
	n := count(c)
	l.mu.Lock()
	take := l.meter.take(n, now)
	l.skipped.Rate += n - take
	if take == 0 {
		l.mu.Unlock()
		return
	}
	wanted := take
	if take == n {
		wanted = all
	}
	size := prefix(c, wanted)
	held := 16*(len(c.Marks)+len(c.Extents)) + len(c.Data[:min(size, len(c.Data))])
	if len(l.waiting) >= maxWaiting || l.held+held > maxHeld {
		l.skipped.Slow += take
		l.mu.Unlock()
		return
	}
	l.held += held
	l.mu.Unlock()

	it := item{chunk: *c, take: wanted, held: held} // the copy is made without the lock: others may offer meanwhile
	it.chunk.Marks, it.chunk.Extents = slices.Clone(c.Marks), slices.Clone(c.Extents)
	if c.Data != nil {
		it.chunk.Data = slices.Clone(c.Data[:size])
	}
	l.mu.Lock()
	l.waiting = append(l.waiting, it)
	l.mu.Unlock()
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// Run gives out what is heard until ctx ends, and returns nil then, or until out fails, and returns that error. One
// goroutine may run it, once.
func (l *Listener) Run(ctx context.Context, out Out) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	r := reader{store: l.hub.Store}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := l.tell(out); err != nil {
				return err
			}
		case <-l.ready:
			if err := l.drain(ctx, &r, out); err != nil {
				return err
			}
		}
	}
}

// drain gives out all that waits. What it has taken from the list is held until it is given out: the bound holds for both.
func (l *Listener) drain(ctx context.Context, r *reader, out Out) error {
	l.mu.Lock()
	items := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for i := range items {
		if ctx.Err() != nil {
			return nil
		}
		it := &items[i]
		gone, err := r.each(&it.chunk, it.take, out.Record)
		l.mu.Lock()
		l.held -= it.held
		l.skipped.Gone += gone
		l.mu.Unlock()
		if err != nil {
			return err
		}
		*it = item{}
	}
	return out.Flush()
}

// tell says what was skipped since the last time.
func (l *Listener) tell(out Out) error {
	l.mu.Lock()
	s := l.skipped
	l.skipped = Skipped{}
	l.mu.Unlock()
	if s == (Skipped{}) {
		return nil
	}
	if err := out.Skipped(s); err != nil {
		return err
	}
	return out.Flush()
}

// Close takes the listener off the hub. Offers that have begun may still reach it, to no effect.
func (l *Listener) Close() { l.hub.remove(l) }
