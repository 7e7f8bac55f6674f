package queue

import (
	"context"
	"fmt"
	"slices"

	"ftfuse/internal/record"
)

// Cursor is one destination's view of the queue; it implements record.Backlog. The fields are
// guarded by Queue.mu.
type Cursor struct {
	q       *Queue
	rec     cursorRec
	main    *lane    // of all positions, or of those before the branch
	ahead   *lane    // of the branch; nil: there is none, as in rec
	queued  tallies  // of positions not passed
	aside   tallies  // of queued, what the destination does not get: counted as filtered when it passes, shown so at once
	fresh   Tally    // of queued without aside, what belongs to the branch
	recount *recount // under way; nil: none
	owed    owed     // relayed streams of which it has not answered for all
}

// Cursor returns the cursor of a destination, the same for the same name. A new one begins at the oldest position
// that another cursor still needs, or that is still in the chain.
func (q *Queue) Cursor(name string) (*Cursor, error) {
	q.mu.Lock()
	c := q.cursors[name]
	closed := q.closed
	q.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("cursor %q: %w", name, record.ErrClosed)
	}
	if c != nil {
		return c, nil
	}
	q.writing.Lock() // no entry may come between counting and joining
	defer q.writing.Unlock()
	return q.newCursor(name)
}

// newCursor makes a cursor and commits it. Called with writing held.
func (q *Queue) newCursor(name string) (*Cursor, error) {
	q.mu.Lock()
	if c := q.cursors[name]; c != nil {
		q.mu.Unlock()
		return c, nil
	}
	start, last := q.segs[0].first-1, q.last
	if len(q.cursors) > 0 {
		start = q.last
	}
	for _, o := range q.cursors {
		start = min(start, o.rec.Acked)
	}
	captured, holes := cloneTallies(q.rec.Captured), slices.Clone(q.rec.Holes)
	c := q.attach(cursorRec{Format: plainFormat, Name: name, placeRec: placeRec{Acked: start}})
	for _, s := range q.free(start+1, last) {
		c.rec.addGap(gapRec{First: s.First, Last: s.Last, Reason: record.Expired}, false, 0)
	}
	q.nameAgain(name)
	q.making, q.spared = c, nil // the others go on meanwhile, and give free what all of them have passed
	q.mu.Unlock()

	err := q.scan(start+1, last, func(pos uint64, v []byte) bool {
		if s, err := readSummary(v); err == nil && !c.rec.passed(pos) {
			c.enter(pos, &s)
			c.owe(pos, &s)
		}
		return true
	})
	if err != nil {
		q.made(false)
		return nil, fmt.Errorf("cursor %q: %w", name, err)
	}
	q.mu.Lock()
	for rule, n := range captured {
		c.rec.Base[rule] = n.minus(c.queued[rule])
	}
	for _, h := range holes {
		if h.Last > start {
			c.rec.addHole(h, q.unreadable())
		}
	}
	q.cursors[name] = c
	q.mu.Unlock()
	err = q.commitLater(false)
	q.made(err == nil)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// made ends the making of a cursor. When it was not made, what the others have passed meanwhile is free.
func (q *Queue) made(well bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c, spared := q.making, q.spared
	q.making, q.spared = nil, nil
	if well {
		return
	}
	delete(q.cursors, c.rec.Name)
	c.owed.settleAll()
	for i := range spared {
		q.pass(spared[i].pos, &spared[i].s)
	}
	q.soil()
}

// free lists the runs of from..to of which no cursor needs anything any more: their room has been given free. Called
// with mu held.
func (q *Queue) free(from, to uint64) (runs []span) {
	for from <= to && len(q.cursors) > 0 {
		free, needed := to, from-1
		for _, c := range q.cursors {
			free = min(free, c.rec.passedTo(from))
			needed = max(needed, c.rec.neededTo(from))
		}
		if free >= from {
			runs = append(runs, span{First: from, Last: free})
			from = free + 1
		} else {
			from = min(needed, to) + 1
		}
	}
	return runs
}

// attach makes the live form of a record.
func (q *Queue) attach(r cursorRec) *Cursor {
	c := &Cursor{}
	c.become(q, r)
	return c
}

// become makes c the live form of a record.
func (c *Cursor) become(q *Queue, r cursorRec) {
	r.fill()
	*c = Cursor{q: q, rec: r, queued: make(tallies), aside: make(tallies), owed: owed{by: map[record.Stream]debt{}}}
	c.main = newLane(c, &c.rec.placeRec)
	if b := c.rec.Branch; b != nil {
		c.main.handed = max(min(c.main.handed, b.From-1), c.rec.Acked)
		c.ahead = newLane(c, &b.placeRec)
		c.join()
	}
}

// enter counts an entry as queued. Called with mu held, or before others know the cursor.
func (c *Cursor) enter(pos uint64, s *summary) {
	c.queued.add(s.rule, s.tally())
	c.aside.addSome(s.rule, c.rec.withheld(pos, s))
	if c.rec.Branch.holds(pos) {
		c.fresh = c.fresh.plus(s.tally().minus(c.rec.withheld(pos, s)))
	}
}

// leave takes back what enter counted. Called with mu held.
func (c *Cursor) leave(d *delivered) {
	for _, k := range []*Cursor{c, c.recount.of(d.pos)} {
		if k == nil {
			continue
		}
		k.queued.sub(d.s.rule, d.s.tally())
		n := c.rec.withheld(d.pos, &d.s)
		if n != (Tally{}) {
			k.aside.sub(d.s.rule, n)
		}
		if c.rec.Branch.holds(d.pos) {
			k.fresh = k.fresh.minus(d.s.tally().minus(n))
		}
	}
}

// RemoveCursor forgets a destination. What only it still needed is released.
func (q *Queue) RemoveCursor(name string) error {
	q.mu.Lock()
	c := q.cursors[name]
	if c == nil {
		q.mu.Unlock()
		return fmt.Errorf("remove cursor %q: got no such cursor, want one of those in the status", name)
	}
	var only []delivered
	for from := c.rec.Acked + 1; from <= q.last; { // also what is appended meanwhile, and what others pass of that
		last := q.last
		q.mu.Unlock()
		err := q.scan(from, last, func(pos uint64, v []byte) bool {
			if s, err := readSummary(v); err == nil {
				only = append(only, delivered{pos: pos, s: s})
			}
			return true
		})
		if err != nil {
			return fmt.Errorf("remove cursor %q: %w", name, err)
		}
		from = last + 1
		q.mu.Lock()
	}
	delete(q.cursors, name)
	c.owed.settleAll()
	for i := range only {
		if !c.rec.passed(only[i].pos) && len(q.cursors) > 0 {
			q.pass(only[i].pos, &only[i].s)
		}
	}
	q.mu.Unlock()
	return q.commit(false, name)
}

// Next implements record.Backlog. A dropped run of positions comes as Gap chunks, one per stream. While there is a
// branch it gives what lies before that.
func (c *Cursor) Next(ctx context.Context, limit int64) (record.Batch, error) {
	return c.q.next(ctx, limit, c.way)
}

// way is where Next reads. Called with mu held.
func (c *Cursor) way() *lane { return c.main }

// Rewind implements record.Backlog.
func (c *Cursor) Rewind() {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	c.main.rewind()
}

// Acked implements record.Backlog.
func (c *Cursor) Acked() (uint64, record.Durable) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return c.main.acked()
}

// Ack implements record.Backlog. The commit is lazy: at most Options.CommitEvery later while Run runs.
func (c *Cursor) Ack(last uint64, mark record.Durable) error { return c.q.ack(c.way, last, mark) }

// Withhold says that of the batch that Next has returned last, which ends at last, so much of a rule's input was left out on
// the way: it counts as filtered, not as delivered, when that is acknowledged. The goroutine of Next calls it, for each rule once.
func (c *Cursor) Withhold(last uint64, rule string, bytes, records uint64) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	if l := c.main; l.next == last+1 { // else it comes again
		l.withheld = append(l.withheld, withheld{last, rule, Tally{bytes, records}})
	}
}

// Drop implements record.Backlog. Next goes on at first, with the gap, so that what it had returned beyond comes again.
func (c *Cursor) Drop(first, last uint64, why record.Reason) error {
	return c.q.drop(c.way, first, last, why)
}

// Given implements record.Backlog.
func (c *Cursor) Given() uint64 {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return c.q.seq
}

// passBut notes that cursor c has passed pos; when all others have too, the space is free. Called with mu held,
// before c's own record shows it.
func (q *Queue) passBut(c *Cursor, pos uint64, s *summary) {
	if c != nil && q.cursors[c.rec.Name] != c {
		return // removed: RemoveCursor has given back what it held
	}
	for _, o := range q.cursors {
		if o != c && o != q.making && !o.rec.passed(pos) {
			return
		}
	}
	if m := q.making; m != nil && m != c && !m.rec.passed(pos) {
		q.spared = append(q.spared, delivered{pos: pos, s: *s})
		return // it will pass it itself, if it is made
	}
	q.held -= s.held
	q.freed = append(q.freed, s.extents...)
	q.ackedBytes += int64(s.held)
}

// pass is passBut for a position that a removed cursor leaves.
func (q *Queue) pass(pos uint64, s *summary) { q.passBut(nil, pos, s) }

// Handed returns the last position that the destination may have seen, in this life of the queue or an earlier one.
func (c *Cursor) Handed() uint64 {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return c.main.handed
}
