package queue

import (
	"context"
	"fmt"

	"ftfuse/internal/record"
)

// Branch is what a destination has got since its cursor was split: a record.Backlog beside the cursor, of positions
// that come later, in an epoch of their own. When all before it is acknowledged the two are one again, and each
// stands for the other; the cursor alone is enough then.
type Branch struct {
	c *Cursor
	l *lane // of the branch, and after the two have joined the cursor's
}

// Branch splits the cursor at the end of the queue, or returns the branch that is under way, also of an earlier run.
// What is appended from now on is in a new epoch, so that it is a stream of its own for whoever receives it: within a
// stream nothing may follow what comes later. It wraps record.ErrRefused if nothing waits, or if the queue has data of
// other senders, which keeps the streams that it came in.
func (c *Cursor) Branch() (record.Backlog, error) {
	q := c.q
	q.mu.Lock()
	if b := c.branched(); b != nil {
		q.mu.Unlock()
		return b, nil
	}
	if err := c.mayBranch(); err != nil {
		q.mu.Unlock()
		return nil, fmt.Errorf("branch of cursor %q: %w", c.rec.Name, err)
	}
	e := q.newEpoch()
	from := q.last + 1
	c.rec.Branch = &branchRec{From: from, Seq: q.seq, placeRec: placeRec{Acked: q.last, Handed: q.last}}
	c.ahead = newLane(c, &c.rec.Branch.placeRec)
	b := c.branched()
	q.soil()
	q.mu.Unlock()
	if err := q.commit(true); err != nil { // what is sent of it under its epoch must never be sent under another
		q.mu.Lock()
		if c.ahead == b.l {
			c.rec.Branch, c.ahead, c.fresh = nil, nil, Tally{}
		}
		q.mu.Unlock()
		return nil, fmt.Errorf("branch of cursor %q: %w", c.rec.Name, err)
	}
	q.rotateDue.Store(true) // the next database begins with a record that knows of it
	q.log.Info("queue: what is captured from now on does not wait for what is queued", "cursor", c.rec.Name, "position", from, "epoch", e)
	return b, nil
}

// Branched returns the branch under way, nil if there is none.
func (c *Cursor) Branched() record.Backlog {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	if b := c.branched(); b != nil {
		return b
	}
	return nil
}

// branched is Branched. Called with mu held.
func (c *Cursor) branched() *Branch {
	if c.ahead == nil {
		return nil
	}
	return &Branch{c, c.ahead}
}

// mayBranch says why there can be no branch now. Called with mu held.
func (c *Cursor) mayBranch() error {
	q := c.q
	switch {
	case q.closed || q.cursors[c.rec.Name] != c:
		return record.ErrClosed
	case len(q.marks) > 0:
		return fmt.Errorf("got streams of %d other senders in the queue, want the sender's own alone: %w", len(q.marks), record.ErrRefused)
	case c.rec.Acked == q.last:
		return fmt.Errorf("got nothing that waits, want something to go past: %w", record.ErrRefused)
	}
	return nil
}

// holds says whether pos belongs to the branch. b may be nil.
func (b *branchRec) holds(pos uint64) bool { return b != nil && pos >= b.From }

// join makes one of the cursor and its branch when all that lies before the branch is acknowledged. Called with mu held.
func (c *Cursor) join() {
	b := c.rec.Branch
	if b == nil || c.rec.Acked+1 < b.From {
		return
	}
	old, l := c.main, c.ahead
	c.rec.Acked = b.Acked
	if b.Mark != (markRec{}) {
		c.rec.Mark = b.Mark
	}
	c.rec.Branch, c.ahead, c.fresh = nil, nil, Tally{}
	c.main, l.at = l, &c.rec.placeRec
	old.changed++ // a read that has begun there is void
	old.poke()    // and whoever waits there waits for l now
	c.q.log.Info("queue: what waited is delivered, all goes in order again", "cursor", c.rec.Name, "position", c.rec.Acked)
}

// Waiting returns how many bytes of those that it is to get the destination has not answered for.
func (c *Cursor) Waiting() int64 {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return int64(c.waiting())
}

// way is where Next reads. Called with mu held.
func (b *Branch) way() *lane { return b.l }

// Next implements record.Backlog.
func (b *Branch) Next(ctx context.Context, limit int64) (record.Batch, error) {
	return b.c.q.next(ctx, limit, b.way)
}

// Rewind implements record.Backlog.
func (b *Branch) Rewind() {
	b.c.q.mu.Lock()
	defer b.c.q.mu.Unlock()
	b.l.rewind()
}

// Acked implements record.Backlog.
func (b *Branch) Acked() (uint64, record.Durable) {
	b.c.q.mu.Lock()
	defer b.c.q.mu.Unlock()
	return b.l.acked()
}

// Ack implements record.Backlog.
func (b *Branch) Ack(last uint64, mark record.Durable) error { return b.c.q.ack(b.way, last, mark) }

// Drop implements record.Backlog.
func (b *Branch) Drop(first, last uint64, why record.Reason) error {
	return b.c.q.drop(b.way, first, last, why)
}

// Given implements record.Backlog.
func (b *Branch) Given() uint64 { return b.c.Given() }

// NewEpoch implements record.Backlog, as the cursor does: both parts move.
func (b *Branch) NewEpoch() (uint64, error) { return b.c.NewEpoch() }
