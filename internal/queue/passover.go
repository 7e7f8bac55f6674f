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
	var still []*lane
	for _, c := range q.cursors {
		for _, l := range c.lanes() {
			if l.next == l.stood && len(c.aside) > 0 && l.over < l.last() {
				still = append(still, l)
			}
			l.stood = l.next
		}
	}
	q.mu.Unlock()
	for _, l := range still {
		if err := l.passOver(step); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) passOver(step func()) error {
	c, q := l.c, l.c.q
	passed := false
	for more := true; more; {
		step()
		q.mu.Lock()
		from, last := max(l.over+1, l.unseen()), l.last()
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
			if d.pos >= l.unseen() && !c.rec.passed(d.pos) && !c.rec.wants(d.pos, &d.s) {
				c.drop(d, record.Expired, math.MaxUint64)
				passed = true
			}
			l.over = d.pos
		}
		q.mu.Unlock()
	}
	if !passed {
		return nil
	}
	return q.commit(false)
}
