package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ftfuse/internal/record"
)

// A relay that acknowledges only what its destination has (ack: end) must be able to say how far that is, of each stream
// that it was sent, also after a restart. A cursor owes a stream while an entry of it is not acknowledged. Where the stream
// stood before the first of those is how far the destination has answered; each entry says so itself, so that opening the
// queue finds it, and nothing is kept of streams that are not under way.

// behind is a place in a stream: the sequence and chain of the last chunk before it.
type behind struct {
	seq   uint64
	chain record.Chain
}

// owed are the streams of which a destination has not answered for all that is queued. Guarded by Queue.mu.
type owed struct {
	by    map[record.Stream]debt
	moved chan struct{} // closed when something is answered for, or the cursor goes; nil: nobody waits
}

// debt is one stream's.
type debt struct {
	answered behind
	last     uint64 // position of its last entry
}

// owe notes an entry that the cursor has not passed. What is not for its destination needs no answer; so a cursor that stands
// still because nobody reads it any more does not come to owe every stream that there ever was. Called with mu held, in the
// order of positions.
func (c *Cursor) owe(pos uint64, s *summary) {
	if s.own || !c.rec.wants(pos, s) {
		return
	}
	d, known := c.owed.by[s.stream]
	if !known {
		d.answered = s.before
	}
	d.last = pos
	c.owed.by[s.stream] = d
}

// pay notes that an entry is acknowledged, and all up to last with it. Called with mu held.
func (c *Cursor) pay(last uint64, s *summary) {
	d, known := c.owed.by[s.stream]
	if s.own || !known {
		return
	}
	if d.last <= last {
		delete(c.owed.by, s.stream)
		return
	}
	if s.last > d.answered.seq {
		d.answered = behind{s.last, s.chain}
		c.owed.by[s.stream] = d
	}
}

// settle wakes who waits for answers, when Acked has moved. missing says that gaps were passed: entries whose streams
// nobody has told pay. Called with mu held.
func (c *Cursor) settle(missing bool) {
	c.q.settled++
	if missing {
		for s, d := range c.owed.by {
			if d.last <= c.rec.Acked {
				delete(c.owed.by, s)
			}
		}
	}
	c.owed.wake()
}

func (o *owed) wake() {
	if o.moved != nil {
		close(o.moved)
		o.moved = nil
	}
}

// settleAll forgets what is owed to a destination that is removed.
func (o *owed) settleAll() {
	clear(o.by)
	o.wake()
}

// Answered returns how far the destinations of all of cursors, at least one and all of one queue, answer for relayed streams: for
// each in their order, the zero Durable if for nothing that is known. It never says more than Queue.Mark, nor less than before:
// no kill takes it back. An error says that the cursors cannot be committed just now; one commit does for all streams.
func Answered(cursors []*Cursor, streams []record.Stream) ([]record.Durable, error) {
	q := cursors[0].q
	all := make([]record.Durable, len(streams))
	q.mu.Lock()
	for i, s := range streams {
		all[i] = cursors[0].answered(s)
		for _, c := range cursors[1:] {
			if d := c.answered(s); d.Seq < all[i].Seq {
				all[i] = d
			}
		}
	}
	settled := q.settled
	q.mu.Unlock()
	if err := q.keep(settled); err != nil {
		return nil, fmt.Errorf("answers of cursor %q: %w", cursors[0].rec.Name, err)
	}
	return all, nil
}

// keep returns nil when what cursors had acknowledged as of settled is on disk. Whoever has sent it is told then, and gives it
// up: after a kill it must not be told less, or it would go on from the checksum of an earlier place, and take the relay for
// one that has other data under the same names. All that come while a commit is under way share the next. Called with no
// lock held.
func (q *Queue) keep(settled uint64) error {
	q.keeping.Lock()
	q.mu.Lock()
	kept := q.kept >= settled
	q.mu.Unlock()
	if kept {
		q.keeping.Unlock()
		return nil
	}
	freed, done, err := q.commitOnly(false)
	q.keeping.Unlock()
	if err != nil {
		return err
	}
	q.release(freed, done)
	return nil
}

// answered is how far the destination answers for one stream. Called with mu held.
func (c *Cursor) answered(s record.Stream) record.Durable {
	d, owes := c.owed.by[s]
	switch {
	case !owes:
		return c.q.mark(s)
	case d.answered.seq == 0:
		return record.Durable{}
	}
	return record.Durable{Stream: s, Seq: d.answered.seq, Chain: d.answered.chain}
}

// Await returns nil when the destination answers for all of ends, sequences of relayed streams that are queued, and no kill
// takes that back. It returns ctx.Err() when ctx ends first, and an error that wraps record.ErrClosed when the queue is closed.
func (c *Cursor) Await(ctx context.Context, ends []record.Durable) error {
	for {
		moved, settled := c.awaits(ends)
		var again <-chan time.Time
		if moved == nil {
			err := c.q.keep(settled)
			if err == nil || errors.Is(err, record.ErrClosed) {
				return err
			}
			again = time.After(c.q.o.RetryEvery) // Run says why cursors cannot be committed
		}
		select {
		case <-moved:
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.q.done:
			return fmt.Errorf("await answers at cursor %q: %w", c.rec.Name, record.ErrClosed)
		}
	}
}

// awaits returns what to wait for, nil if nothing is owed of ends, as of which the queue has settled so much.
func (c *Cursor) awaits(ends []record.Durable) (moved <-chan struct{}, settled uint64) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	for i := range ends {
		if d, owes := c.owed.by[ends[i].Stream]; owes && d.answered.seq < ends[i].Seq {
			if c.owed.moved == nil {
				c.owed.moved = make(chan struct{})
			}
			return c.owed.moved, 0
		}
	}
	return nil, c.q.settled
}

// Owed lists the relayed streams of which the destination has not answered for all.
func (c *Cursor) Owed() []record.Stream {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	list := make([]record.Stream, 0, len(c.owed.by))
	for s := range c.owed.by {
		list = append(list, s)
	}
	return list
}

// Name is the cursor's.
func (c *Cursor) Name() string { return c.rec.Name }
