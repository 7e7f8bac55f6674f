package queue

import (
	"fmt"
	"os"
	"slices"

	"ftfuse/internal/record"
)

// mend repairs what a cursor could not read at pos: it opens the database again, salvages it if that does not help,
// and makes gaps of what is missing then. After it, pos can be read or is a gap.
func (q *Queue) mend(pos uint64, cause error) error {
	q.writing.Lock()
	defer q.writing.Unlock()
	s, _ := q.segmentOf(pos)
	if s == nil {
		return q.addHoles([]span{{First: pos, Last: pos}})
	}
	q.log.Error("queue: cannot read, repairing", "position", pos, "dir", s.dir, "error", cause)
	return q.missing(s)
}

// missing opens s again and turns its holes into gaps. Called with writing held.
func (q *Queue) missing(s *segment) error {
	from, end := s.first, q.last
	q.mu.Lock()
	newest := s == q.segs[len(q.segs)-1]
	for i := range q.segs[:len(q.segs)-1] {
		if q.segs[i] == s {
			end = q.segs[i+1].first - 1
		}
	}
	q.mu.Unlock()
	s.close()
	var err error
	if newest {
		err = s.open(openExisting)
	}
	holes := []span(nil)
	if err == nil && from <= end {
		holes, err = q.findHoles(s, from, end)
	}
	if err != nil && damaged(err) {
		if newest {
			err = q.rescue(s, err)
		} else {
			err = q.rescueOld(s, err)
		}
		if err == nil {
			if holes, err = q.findHoles(s, from, end); err != nil && !newest {
				holes, err = []span{{First: from, Last: end}}, nil // nothing is left
				q.removeSegments([]*segment{s})
			}
		}
		q.rotateDue.Store(true)
	}
	if err != nil {
		return err
	}
	return q.addHoles(holes)
}

// rescueOld salvages a segment that is only read.
func (q *Queue) rescueOld(s *segment, cause error) error {
	s.close()
	q.log.Error("queue: database is damaged, salvaging it", "dir", s.dir, "error", cause)
	where, err := salvageSegment(&q.o, s.dir, cause)
	if where != "" {
		q.mu.Lock()
		q.quarantine = where
		q.mu.Unlock()
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.dir); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// addHoles makes gaps of missing positions for the cursors that need them. Called with writing held.
func (q *Queue) addHoles(holes []span) error {
	if len(holes) == 0 {
		return nil
	}
	q.mu.Lock()
	for _, h := range holes {
		known := slices.ContainsFunc(q.rec.Holes, func(o span) bool { return o.First <= h.First && h.Last <= o.Last })
		for _, c := range q.cursors {
			c.loseKnown(h)
			if c.rec.addHole(h) {
				c.changed++
				if c.next > h.First {
					c.moveTo(c.rec.Acked + 1)
				}
			}
		}
		if !known {
			q.rec.Holes = append(q.rec.Holes, h)
		}
	}
	q.settleLost()
	q.dirty = true
	q.mu.Unlock()
	if err := q.commitLater(false); err != nil {
		return fmt.Errorf("note missing positions: %w", err)
	}
	return nil
}

// loseKnown forgets positions that turned out to be missing. Called with mu held.
func (c *Cursor) loseKnown(h span) {
	c.known = slices.DeleteFunc(c.known, func(d delivered) bool { return d.pos >= h.First && d.pos <= h.Last })
}

// settleLost moves what the gaps of missing positions have cost from queued to dropped. What is still queued is
// what can still be read, and only a scan can tell; it is rare. Called with mu held.
func (q *Queue) settleLost() {
	last := q.last
	for _, c := range q.cursors {
		queued := make(tallies)
		from := c.rec.Acked + 1
		q.mu.Unlock()
		err := q.scan(from, last, func(pos uint64, v []byte) bool {
			if s, err := readSummary(v); err == nil {
				q.mu.Lock()
				if !c.rec.passed(pos) {
					queued.add(s.rule, s.tally())
				}
				q.mu.Unlock()
			}
			return true
		})
		q.mu.Lock()
		if err != nil {
			continue // the next reader mends that, and comes here again
		}
		for rule, was := range c.queued {
			if lost := was.minus(queued[rule]); lost != (Tally{}) {
				c.rec.Dropped.add(rule, record.Damaged, lost)
				c.rec.tellGap(lost)
				c.queued[rule] = queued[rule]
			}
		}
	}
}
