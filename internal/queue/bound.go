package queue

import (
	"math"
	"time"

	"ftfuse/internal/record"
)

// boundEvery is how often Run holds destinations to their bounds; what comes in between is beyond.
const boundEvery = time.Second

// BoundNow drops, for each cursor that has a bound, the oldest data that its destination cannot have seen, until what
// is queued for it is within. Other destinations keep theirs.
func (q *Queue) BoundNow() error { return q.bound(func() {}) }

// bound calls step between two slices that it drops.
func (q *Queue) bound(step func()) error {
	q.mu.Lock()
	over := map[*Cursor]uint64{}
	for name, c := range q.cursors {
		if most := q.o.Bound(name); most > 0 && c.waiting() > uint64(most) {
			over[c] = c.waiting() - uint64(most)
		}
	}
	q.mu.Unlock()
	for c, n := range over {
		if err := c.shed(n, step); err != nil {
			return err
		}
	}
	return nil
}

// waiting is how many input bytes of those that it is to get the destination has not answered for. Called with mu held.
func (c *Cursor) waiting() (n uint64) {
	for rule, t := range c.queued {
		n += t.minus(c.aside[rule]).Bytes
	}
	return n
}

// shed drops at least want bytes that this destination still waits for, or all that it can.
func (c *Cursor) shed(want uint64, step func()) error {
	q := c.q
	q.mu.Lock()
	lanes := c.lanes()
	q.mu.Unlock()
	shed := uint64(0)
	for _, l := range lanes {
		if err := l.shed(&shed, want, step); err != nil {
			return err
		}
	}
	return q.commit(false)
}

// shed is Cursor.shed in one lane; it adds to shed.
func (l *lane) shed(shed *uint64, want uint64, step func()) error {
	c, q := l.c, l.c.q
	q.mu.Lock()
	from, last := l.unseen(), l.last()
	q.mu.Unlock()
	for *shed < want && from <= last {
		step()
		list, err := q.droppable(from, last, func(n int, _ int64) bool { return n < dropSlice })
		if err != nil || len(list) == 0 {
			return ignoreDamage(err)
		}
		q.mu.Lock()
		for i := 0; i < len(list) && *shed < want; i++ {
			if d := &list[i]; d.pos >= l.unseen() && !c.rec.passed(d.pos) {
				*shed += d.s.tally().minus(c.rec.withheld(d.pos, &d.s)).Bytes
				c.drop(d, record.QueueFull, math.MaxUint64)
			}
		}
		q.mu.Unlock()
		from = list[len(list)-1].pos + 1
	}
	return nil
}
