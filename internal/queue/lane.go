package queue

import (
	"context"
	"fmt"
	"math"
	"slices"

	"ftfuse/internal/record"
)

// lane is one way through the queue that is read and acknowledged in order: a cursor's, or its branch's. Guarded by
// Queue.mu.
type lane struct {
	c          *Cursor
	at         *placeRec   // in the cursor's record
	next       uint64      // what Next reads next
	top        uint64      // last position that Next has returned or passed over since Open
	handed     uint64      // the destination may have seen positions of the lane up to here
	handedSafe uint64      // as Handed on disk: Next commits before it goes beyond
	known      []delivered // positions above Acked that Next has returned or skipped, ascending
	withheld   []withheld  // of what Next has returned, ascending
	changed    uint64      // grows when gaps are added or positions move
	stood      uint64      // next when passOver looked last
	over       uint64      // what is not for the destination is passed over up to here
	wake       chan struct{}
}

// delivered is what the accounting of one position needs when it is acknowledged.
type delivered struct {
	pos      uint64
	s        summary
	filtered bool   // the destination does not want it
	about    *about // what its gap would be about; nil unless it was read to be dropped
}

// withheld is what of a rule the destination does not get of what Next has returned, the last batch of it up to a position.
type withheld struct {
	last uint64
	rule string
	n    Tally
}

func newLane(c *Cursor, at *placeRec) *lane {
	return &lane{c: c, at: at, next: at.Acked + 1, handed: max(at.Handed, at.Acked), handedSafe: at.Handed, wake: make(chan struct{}, 1)}
}

// lanes lists the ways of c, that of older positions first. Called with mu held.
func (c *Cursor) lanes() []*lane {
	if c.ahead == nil {
		return []*lane{c.main}
	}
	return []*lane{c.main, c.ahead}
}

// laneOf returns the lane that has pos. Called with mu held.
func (c *Cursor) laneOf(pos uint64) *lane {
	if c.rec.Branch.holds(pos) {
		return c.ahead
	}
	return c.main
}

// last is the last position that the lane has now. Called with mu held.
func (l *lane) last() uint64 { return min(l.end(), l.c.q.last) }

// end is the last position that the lane can ever have. Called with mu held.
func (l *lane) end() uint64 {
	if b := l.c.rec.Branch; b != nil && l != l.c.ahead {
		return b.From - 1
	}
	return math.MaxUint64
}

// unseen is the first position that the destination cannot have seen. Called with mu held.
func (l *lane) unseen() uint64 { return max(l.handed, l.at.Acked) + 1 }

func (l *lane) acked() (uint64, record.Durable) { return l.at.Acked, l.at.Mark.durable() }

// poke wakes Next. Called with mu held.
func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// rewind makes Next start behind what is acknowledged. Called with mu held.
func (l *lane) rewind() { l.moveTo(l.at.Acked + 1) }

// moveTo sets what Next reads next. Called with mu held.
func (l *lane) moveTo(pos uint64) {
	l.next = pos
	l.withheld = slices.DeleteFunc(l.withheld, func(w withheld) bool { return w.last >= pos }) // it is read again
	l.changed++
	l.poke()
}

// next returns the next batch of the lane that way, called with mu held, says; it may be another when two have joined.
func (q *Queue) next(ctx context.Context, limit int64, way func() *lane) (record.Batch, error) {
	for {
		b, ok, err := q.read(limit, way)
		if err != nil || ok {
			return b, err
		}
		q.mu.Lock()
		wake := way().wake
		q.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return record.Batch{}, ctx.Err()
		case <-q.done:
			return record.Batch{}, fmt.Errorf("read queue %s: %w", q.o.Dir, record.ErrClosed)
		}
	}
}

// ack is Ack of the lane that way, called with mu held, says.
func (q *Queue) ack(way func() *lane, last uint64, mark record.Durable) error {
	q.mu.Lock()
	l := way()
	name, seen := l.c.rec.Name, max(l.top, l.at.Acked)
	if last <= l.at.Acked { // an answer from before a reconnect
		q.mu.Unlock()
		return nil
	}
	if last > seen {
		q.mu.Unlock()
		return fmt.Errorf("acknowledge cursor %q: got position %d, want at most %d: %w", name, last, seen, record.ErrRefused)
	}
	l.at.Mark = packMark(mark)
	l.advance(last)
	way().skip() // the two may have joined
	due := q.ackedBytes >= q.o.CommitBytes || q.o.Uptime()-q.committed >= q.o.CommitEvery
	q.mu.Unlock()
	if !due {
		return nil
	}
	if err := q.commit(false); err != nil {
		// The destination has the data; only our memory of it is not on disk yet. A later commit brings it there.
		q.log.Warn("queue: cursor not committed yet", "cursor", name, "error", err)
	}
	return nil
}

// advance moves Acked up to last and does the accounting. Called with mu held.
func (l *lane) advance(last uint64) {
	c, n := l.c, 0
	for n < len(l.known) && l.known[n].pos <= last {
		d := &l.known[n]
		n++
		c.pay(last, &d.s)
		if c.rec.passed(d.pos) {
			continue // dropped since
		}
		c.leave(d)
		switch {
		case d.filtered:
			c.rec.Filtered.add(d.s.rule, d.s.tally())
		case d.s.reason != 0:
			c.rec.Dropped.add(d.s.rule, d.s.reason, d.s.tally())
			c.q.noteLoss(d.s.reason)
		default:
			c.rec.Filtered.addSome(d.s.rule, d.s.cut)
			c.rec.Delivered.add(d.s.rule, d.s.kept())
		}
		c.q.passBut(c, d.pos, &d.s)
	}
	l.known = slices.Delete(l.known, 0, n)
	l.withholdTo(last)
	from := l.at.Acked + 1
	l.at.Acked = last
	gaps := len(c.rec.Gaps)
	c.rec.Gaps = slices.DeleteFunc(c.rec.Gaps, func(g gapRec) bool { return g.Last >= from && g.Last <= last })
	c.settle(len(c.rec.Gaps) < gaps)
	l.next, l.top, l.handed = max(l.next, last+1), max(l.top, last), max(l.handed, last)
	c.join()
	c.q.soil()
}

// withholdTo counts as filtered what was withheld up to last, of what has been counted as delivered. Called with mu held.
func (l *lane) withholdTo(last uint64) {
	rec, n := &l.c.rec, 0
	for ; n < len(l.withheld) && l.withheld[n].last <= last; n++ {
		w := &l.withheld[n]
		cut := w.n.least(rec.Delivered[w.rule])
		rec.Delivered.sub(w.rule, cut)
		rec.Filtered.addSome(w.rule, cut)
	}
	l.withheld = slices.Delete(l.withheld, 0, n)
}

// skip passes over what the destination never hears of and nothing lies before: what it does not want, and what was
// passed over for it. Called with mu held.
func (l *lane) skip() {
	last, rec := l.at.Acked, &l.c.rec
	for _, d := range l.known {
		last = rec.silentTo(last)
		if d.pos <= last {
			continue
		}
		if d.pos != last+1 || !d.filtered {
			break
		}
		last++
	}
	if last = min(rec.silentTo(last), l.last()); last > l.at.Acked {
		l.advance(last)
	}
}

// silentTo returns the end of the gaps of which the destination never hears that follow pos, pos if there is none.
func (c *cursorRec) silentTo(pos uint64) uint64 {
	for g, ok := c.gapOver(pos + 1); ok && len(g.Parts) == 0; g, ok = c.gapOver(pos + 1) {
		pos = g.Last
	}
	return pos
}
