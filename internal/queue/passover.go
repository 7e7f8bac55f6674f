package queue

import (
	"math"

	"ftfuse/internal/record"
)

// maxRuns bounds the runs of positions that are passed over ahead of one cursor; each is written with every commit.
const maxRuns = 100

// passOver has cursors that stand still pass over what is not for their destination: one that is stuck, or that the
// configuration does not name any more, must not hold up the room of all that others have received. step is called
// between two slices.
func (q *Queue) passOver(step func()) error {
	q.mu.Lock()
	var still []*Cursor
	for _, c := range q.cursors {
		if c.next == c.stood && len(c.aside) > 0 && c.over < q.last {
			still = append(still, c)
		}
		c.stood = c.next
	}
	q.mu.Unlock()
	for _, c := range still {
		if err := c.passOver(step); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cursor) passOver(step func()) error {
	q := c.q
	passed := false
	for more := true; more; {
		step()
		q.mu.Lock()
		from, last := max(c.over, c.handed, c.rec.Acked)+1, q.last
		q.mu.Unlock()
		if from > last {
			break
		}
		list, err := q.summaries(from, last, func(n int, _ int64) bool { return n < dropSlice })
		if err != nil || len(list) == 0 {
			return ignoreDamage(err)
		}
		q.mu.Lock()
		for i := range list {
			d := &list[i]
			if more = len(c.rec.Gaps) < maxRuns && q.cursors[c.rec.Name] == c; !more {
				break
			}
			if d.pos > c.handed && !c.rec.passed(d.pos) && !d.s.wanted(c.rec.Name) {
				c.drop(d, record.Expired, math.MaxUint64)
				passed = true
			}
			c.over = d.pos
		}
		q.mu.Unlock()
	}
	if !passed {
		return nil
	}
	return q.commit(false)
}
