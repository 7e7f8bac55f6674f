package queue

import (
	"fmt"
	"os"
	"slices"

	"ftfuse/internal/notice"
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
	q.log.Error("queue: cannot read, repairing", notice.QueueDamaged, "position", pos, "dir", s.dir, "error", cause)
	return q.missing(s)
}

// missing opens s again and turns its holes into gaps. Called with writing held.
func (q *Queue) missing(s *segment) error {
	q.mu.Lock()
	all := span{First: s.first, Last: q.last, Seqs: [2]uint64{0, q.seq}}
	i := slices.Index(q.segs, s)
	var before, after *segment
	if i > 0 {
		before = q.segs[i-1]
	}
	if i+1 < len(q.segs) {
		after = q.segs[i+1]
		all.Last = after.first - 1
	}
	q.mu.Unlock()
	if i < 0 || all.First > all.Last {
		return nil // removed since
	}
	s.close()
	var err error
	if after == nil {
		err = s.open(openExisting)
	} else if h, _, found, err := after.head(); err == nil && found {
		all.Seqs[1] = h.Seq
	}
	all.Seqs[0] = s.seqBefore(before) + 1
	var holes []span
	if err == nil {
		holes, err = s.holes(all)
	}
	if err != nil && damaged(err) {
		if holes, err = q.rescueAndLook(s, all, after == nil, err); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return q.addHoles(holes)
}

// rescueAndLook salvages s and returns what is missing then.
func (q *Queue) rescueAndLook(s *segment, all span, newest bool, cause error) (holes []span, err error) {
	q.rotateDue.Store(true)
	if newest {
		if err = q.rescue(s, cause); err != nil {
			return nil, err
		}
		return s.holes(all)
	}
	if err = q.rescueOld(s, cause); err != nil {
		return nil, err
	}
	if !s.exists() {
		q.removeSegments([]*segment{s})
		return []span{all}, nil
	}
	return s.holes(all)
}

// seqBefore returns the last own sequence before the segment, from its head or from the segment before; 0 if unknown.
func (s *segment) seqBefore(before *segment) (seq uint64) {
	if h, _, found, err := s.head(); err == nil && found {
		return h.Seq
	}
	if before == nil {
		return 0
	}
	err := before.scan(before.first, s.first-1, func(_ uint64, v []byte) bool {
		if sum, err := readSummary(v); err == nil && sum.own {
			seq = sum.last
		}
		return true
	})
	if err != nil {
		return 0
	}
	return seq
}

// holes reads all entries of a range fully and returns what is missing or does not verify. all.Seqs are the own
// sequences of the range.
func (s *segment) holes(all span) (holes []span, err error) {
	expect, seq := all.First, all.Seqs[0]
	var open *span // waits for the sequence after it
	err = s.scan(all.First, all.Last, func(pos uint64, v []byte) bool {
		sum, _, e := readEntry(v)
		if e != nil {
			return true
		}
		if pos > expect {
			holes = append(holes, span{First: expect, Last: pos - 1, Seqs: [2]uint64{seq, 0}})
			open = &holes[len(holes)-1]
		}
		if sum.own {
			if open != nil {
				open.close(sum.first - 1)
				open = nil
			}
			seq = sum.last + 1
		}
		expect = pos + 1
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("look for missing entries: %w", err)
	}
	if expect <= all.Last {
		holes = append(holes, span{First: expect, Last: all.Last, Seqs: [2]uint64{seq, 0}})
		open = &holes[len(holes)-1]
	}
	if open != nil {
		open.close(all.Seqs[1])
	}
	return holes, nil
}

// rescueOld salvages a segment that is only read.
func (q *Queue) rescueOld(s *segment, cause error) error {
	s.close()
	q.log.Error("queue: database is damaged, salvaging it", notice.QueueDamaged, "dir", s.dir, "error", cause)
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
			if c.rec.addHole(h, q.unreadable()) {
				c.again(h)
			}
		}
		if !known {
			q.rec.Holes = append(q.rec.Holes, h)
		}
	}
	q.settleLost()
	q.soil()
	q.mu.Unlock()
	if err := q.commitLater(false); err != nil {
		return fmt.Errorf("note missing positions: %w", err)
	}
	return nil
}

// loseKnown forgets positions that turned out to be missing. Called with mu held.
func (c *Cursor) loseKnown(h span) {
	for _, l := range c.lanes() {
		l.known = slices.DeleteFunc(l.known, func(d delivered) bool { return d.pos >= h.First && d.pos <= h.Last })
	}
}

// again has Next read anew what may lie in a run that turned out to be missing. Called with mu held.
func (c *Cursor) again(h span) {
	for _, l := range c.lanes() {
		l.changed++
		if first := max(h.First, l.at.Acked+1); first <= min(h.Last, l.end()) && l.next > first {
			l.rewind()
		}
	}
}

// settleLost moves what the gaps of missing positions have cost from queued to dropped. What is still queued is
// what can still be read, and only a scan can tell; it is rare. Called with mu held.
func (q *Queue) settleLost() {
	last := q.last
	for _, c := range q.cursors {
		split := c.rec.Branch
		left, err := q.countLeft(c, last)
		if err != nil {
			continue // the next reader mends that, and comes here again
		}
		for rule, was := range c.queued {
			if lost := was.minus(left.queued[rule]); lost != (Tally{}) {
				c.rec.Dropped.add(rule, record.Damaged, lost)
				q.noteLoss(record.Damaged)
				c.rec.tellGap(rule, lost)
				c.queued[rule] = left.queued[rule]
			}
		}
		c.aside = left.aside
		if split != nil && split == c.rec.Branch {
			c.fresh = left.fresh
		}
	}
}

// recount counts anew what of a cursor's entries can be read, while the cursor moves on.
type recount struct {
	*Cursor        // its queued and aside
	through uint64 // how far it has come
}

// of returns r's counters where they have pos already, nil otherwise. r may be nil.
func (r *recount) of(pos uint64) *Cursor {
	if r == nil || pos > r.through {
		return nil
	}
	return r.Cursor
}

// countLeft counts what can still be read of what c has not passed. Called with mu held, which it gives up while it reads.
func (q *Queue) countLeft(c *Cursor, last uint64) (*recount, error) {
	rec := c.rec.names()
	if b := c.rec.Branch; b != nil {
		rec.Branch = &branchRec{From: b.From}
	}
	left := &recount{Cursor: q.attach(rec)}
	c.recount = left
	from := c.rec.Acked + 1
	q.mu.Unlock()
	err := q.scan(from, last, func(pos uint64, v []byte) bool {
		if s, err := readSummary(v); err == nil {
			q.mu.Lock()
			if !c.rec.passed(pos) {
				left.enter(pos, &s)
			}
			left.through = pos
			q.mu.Unlock()
		}
		return true
	})
	q.mu.Lock()
	c.recount = nil
	return left, err
}
