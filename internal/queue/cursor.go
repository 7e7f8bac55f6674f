package queue

import (
	"context"
	"fmt"
	"slices"

	"ftfuse/internal/record"
)

// Cursor is one destination's view of the queue; it implements record.Backlog. The fields are guarded by Queue.mu.
type Cursor struct {
	q          *Queue
	rec        cursorRec
	queued     tallies     // of positions not passed
	aside      tallies     // of queued, what the destination does not get: counted as filtered when it passes, shown so at once
	next       uint64      // what Next reads next
	top        uint64      // last position that Next has returned or passed over since Open
	handed     uint64      // the destination may have seen positions up to here
	handedSafe uint64      // as Handed on disk: Next commits before it goes beyond
	known      []delivered // positions above Acked that Next has returned or skipped, ascending
	changed    uint64      // grows when gaps are added or positions move
	recount    *recount    // under way; nil: none
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
	q.mu.Unlock()

	c := q.attach(cursorRec{Format: stateFormat, Name: name, Acked: start})
	err := q.scan(start+1, last, func(_ uint64, v []byte) bool {
		if s, err := readSummary(v); err == nil {
			c.enter(&s)
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("cursor %q: %w", name, err)
	}
	for rule, n := range captured {
		c.rec.Base[rule] = n.minus(c.queued[rule])
	}
	for _, h := range holes {
		if h.Last > start {
			c.rec.addHole(h, q.unreadable())
		}
	}
	q.mu.Lock()
	q.cursors[name] = c
	q.mu.Unlock()
	if err := q.commitLater(false); err != nil {
		q.mu.Lock()
		delete(q.cursors, name)
		q.mu.Unlock()
		return nil, err
	}
	return c, nil
}

// attach makes the live form of a record.
func (q *Queue) attach(r cursorRec) *Cursor {
	r.fill()
	return &Cursor{q: q, rec: r, queued: make(tallies), aside: make(tallies), next: r.Acked + 1, handed: max(r.Handed, r.Acked),
		handedSafe: r.Handed, wake: make(chan struct{}, 1)}
}

// enter counts an entry as queued. Called with mu held, or before others know the cursor.
func (c *Cursor) enter(s *summary) {
	c.queued.add(s.rule, s.tally())
	c.aside.addSome(s.rule, s.withheld(c.rec.Name))
}

// leave takes back what enter counted. Called with mu held.
func (c *Cursor) leave(d *delivered) {
	for _, k := range []*Cursor{c, c.recount.of(d.pos)} {
		if k == nil {
			continue
		}
		k.queued.sub(d.s.rule, d.s.tally())
		if n := d.s.withheld(c.rec.Name); n != (Tally{}) {
			k.aside.sub(d.s.rule, n)
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
	last := q.last
	from := c.rec.Acked + 1
	q.mu.Unlock()
	var only []delivered
	err := q.scan(from, last, func(pos uint64, v []byte) bool {
		if s, err := readSummary(v); err == nil {
			only = append(only, delivered{pos: pos, s: s})
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("remove cursor %q: %w", name, err)
	}
	q.mu.Lock()
	delete(q.cursors, name)
	for i := range only {
		if !c.rec.passed(only[i].pos) && len(q.cursors) > 0 {
			q.pass(only[i].pos, &only[i].s)
		}
	}
	q.mu.Unlock()
	return q.commit(false, name)
}

// poke wakes Next. Called with mu held.
func (c *Cursor) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Next implements record.Backlog. A dropped run of positions comes as Gap chunks, one per stream.
func (c *Cursor) Next(ctx context.Context, limit int64) (record.Batch, error) {
	for {
		b, ok, err := c.read(limit)
		if err != nil || ok {
			return b, err
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return record.Batch{}, ctx.Err()
		case <-c.q.done:
			return record.Batch{}, fmt.Errorf("read queue %s: %w", c.q.o.Dir, record.ErrClosed)
		}
	}
}

// Rewind implements record.Backlog.
func (c *Cursor) Rewind() {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	c.moveTo(c.rec.Acked + 1)
}

// moveTo sets what Next reads next. Called with mu held.
func (c *Cursor) moveTo(pos uint64) {
	c.next = pos
	c.changed++
	c.poke()
}

// Acked implements record.Backlog.
func (c *Cursor) Acked() (uint64, record.Durable) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return c.rec.Acked, c.rec.Mark.durable()
}

// Ack implements record.Backlog. The commit is lazy: at most Options.CommitEvery later while Run runs.
func (c *Cursor) Ack(last uint64, mark record.Durable) error {
	q := c.q
	q.mu.Lock()
	seen := max(c.top, c.rec.Acked)
	if last <= c.rec.Acked { // an answer from before a reconnect
		q.mu.Unlock()
		return nil
	}
	if last > seen {
		q.mu.Unlock()
		return fmt.Errorf("acknowledge cursor %q: got position %d, want at most %d: %w", c.rec.Name, last, seen, record.ErrRefused)
	}
	c.rec.Mark = packMark(mark)
	c.advance(last)
	c.skipFiltered()
	due := q.ackedBytes >= q.o.CommitBytes || q.o.Uptime()-q.committed >= q.o.CommitEvery
	q.mu.Unlock()
	if !due {
		return nil
	}
	if err := q.commit(false); err != nil {
		// The destination has the data; only our memory of it is not on disk yet. A later commit brings it there.
		q.log.Warn("queue: cursor not committed yet", "cursor", c.rec.Name, "error", err)
	}
	return nil
}

// advance moves Acked up to last and does the accounting. Called with mu held.
func (c *Cursor) advance(last uint64) {
	n := 0
	for n < len(c.known) && c.known[n].pos <= last {
		d := &c.known[n]
		n++
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
	c.known = slices.Delete(c.known, 0, n)
	c.rec.Acked = last
	for len(c.rec.Gaps) > 0 && c.rec.Gaps[0].Last <= last {
		c.rec.Gaps = c.rec.Gaps[1:]
	}
	c.next, c.top, c.handed = max(c.next, last+1), max(c.top, last), max(c.handed, last)
	c.q.soil()
}

// skipFiltered passes over what the destination does not want and nothing lies before. Called with mu held.
func (c *Cursor) skipFiltered() {
	last := c.rec.Acked
	for i := range c.known {
		if c.known[i].pos != last+1 || !c.known[i].filtered {
			break
		}
		last++
	}
	if last > c.rec.Acked {
		c.advance(last)
	}
}

// passBut notes that cursor c has passed pos; when all others have too, the space is free. Called with mu held,
// before c's own record shows it.
func (q *Queue) passBut(c *Cursor, pos uint64, s *summary) {
	if c != nil && q.cursors[c.rec.Name] != c {
		return // removed: RemoveCursor has given back what it held
	}
	for _, o := range q.cursors {
		if o != c && !o.rec.passed(pos) {
			return
		}
	}
	q.held -= s.held
	q.freed = append(q.freed, s.extents...)
	q.ackedBytes += int64(s.held)
}

// pass is passBut for a position that a removed cursor leaves.
func (q *Queue) pass(pos uint64, s *summary) { q.passBut(nil, pos, s) }

// Streams returns the sender's own streams that this destination has not acknowledged all of, oldest first,
// and the relayed ones that the queue knows; HELLO names them.
func (c *Cursor) Streams() []record.Stream {
	q := c.q
	q.mu.Lock()
	defer q.mu.Unlock()
	var l []record.Stream
	add := func(s record.Stream) {
		if s.Epoch != 0 && !slices.Contains(l, s) {
			l = append(l, s)
		}
	}
	own := q.o.Source.Sender
	add(c.rec.Mark.durable().Stream)
	add(record.Stream{Sender: own, Epoch: epochAt(c.rec.Acked+1, q.rec.Epochs, c.rec.Epochs)})
	for _, m := range q.rec.Epochs {
		if m.From > c.rec.Acked {
			add(record.Stream{Sender: own, Epoch: epochAt(m.From, q.rec.Epochs, c.rec.Epochs)})
		}
	}
	for s := range q.marks {
		add(s)
	}
	return l
}

// Given implements record.Backlog.
func (c *Cursor) Given() uint64 {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return c.q.seq
}

// NewEpoch implements record.Backlog. What is appended from now on is in the new epoch for all destinations. If
// the queue is an earlier copy, what was appended since it was opened may bear names that any of them knows with
// other content; so that moves for the others too, but for what they may have been sent, which it would double.
func (c *Cursor) NewEpoch() (uint64, error) {
	q := c.q
	q.mu.Lock()
	e := q.newEpoch()
	c.rec.Epochs = putEpoch(c.rec.Epochs, epochMark{c.rec.Acked + 1, e})
	c.rec.Mark = markRec{}
	c.moveTo(c.rec.Acked + 1)
	for _, o := range q.cursors {
		if from := max(o.handed+1, q.opened); o != c && from <= q.last {
			o.rec.Epochs = putEpoch(o.rec.Epochs, epochMark{from, e})
			o.moveTo(o.next) // a read that has begun must not bring the old epoch
		}
	}
	q.soil()
	q.mu.Unlock()
	q.log.Warn("queue: new epoch", "cursor", c.rec.Name, "epoch", e)
	if err := q.commit(true); err != nil {
		return 0, fmt.Errorf("new epoch: %w", err)
	}
	return e, nil
}

// newEpoch begins an epoch with the next position. An epoch's number is the microsecond in which it began, or
// one more than the last: so clones and rolled-back copies do not pick the same one. Called with mu held.
func (q *Queue) newEpoch() uint64 {
	e := max(q.rec.Epoch+1, uint64(max(q.o.Now().UnixMicro(), 1)))
	q.rec.Epoch = e
	q.rec.Epochs = putEpoch(q.rec.Epochs, epochMark{q.last + 1, e})
	return e
}
