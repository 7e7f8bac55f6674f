package queue

import (
	"fmt"
	"slices"

	"ftfuse/internal/record"
)

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
	own := func(pos uint64) record.Stream {
		return record.Stream{Sender: q.o.Source.Sender, Epoch: epochAt(pos, q.rec.Epochs, c.rec.Epochs)}
	}
	add(c.rec.Mark.durable().Stream)
	add(own(c.rec.Acked + 1))
	if b := c.rec.Branch; b != nil {
		add(b.Mark.durable().Stream)
		add(own(b.Acked + 1))
	}
	for _, marks := range [][]epochMark{q.rec.Epochs, c.rec.Epochs} {
		for _, m := range marks {
			if m.From > c.rec.Acked {
				add(own(m.From))
			}
		}
	}
	for s := range q.marks {
		add(s)
	}
	return l
}

// NewEpoch implements record.Backlog. What is appended from now on is in the new epoch for all destinations. If
// the queue is an earlier copy, what was appended since it was opened may bear names that any of them knows with
// other content; so that moves for the others too, but for what they may have been sent, which it would double.
// With a branch under way both parts move, each to an epoch of its own: the newer one is the branch's and returned.
func (c *Cursor) NewEpoch() (uint64, error) {
	q := c.q
	q.mu.Lock()
	var old uint64 // of what lies before a branch; never of what is appended later
	for _, o := range q.cursors {
		if o.rec.Branch != nil && old == 0 {
			old = q.newEpoch()
		}
	}
	e := q.newEpoch()
	for _, l := range c.lanes() {
		l.at.Mark = markRec{}
		l.rename(l.at.Acked+1, old, e)
		l.moveTo(l.at.Acked + 1)
	}
	for _, o := range q.cursors {
		if o == c {
			continue
		}
		for _, l := range o.lanes() {
			if from := max(l.handed+1, q.opened); from <= l.last() {
				l.rename(from, old, e)
				l.moveTo(l.next) // a read that has begun must not bring the old epoch
			}
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

// rename moves what the lane has from a position on to one of two new epochs: old if a branch follows it, else e.
// Called with mu held.
func (l *lane) rename(from, old, e uint64) {
	c := l.c
	if b := c.rec.Branch; b != nil && l == c.main {
		c.rec.Epochs = putEpochOver(c.rec.Epochs, from, b.From-1, old)
		return
	}
	c.rec.Epochs = putEpoch(c.rec.Epochs, epochMark{from, e})
}

// newEpoch begins an epoch with the next position. An epoch's number is the microsecond in which it began, or
// one more than the last: so clones and rolled-back copies do not pick the same one. Called with mu held.
func (q *Queue) newEpoch() uint64 {
	e := max(q.rec.Epoch+1, uint64(max(q.o.Now().UnixMicro(), 1)))
	q.rec.Epoch = e
	q.rec.Epochs = putEpoch(q.rec.Epochs, epochMark{q.last + 1, e})
	return e
}

// epochAt returns the newest of the epochs that begin at or before pos.
func epochAt(pos uint64, lists ...[]epochMark) (e uint64) {
	for _, l := range lists {
		for i := len(l) - 1; i >= 0; i-- {
			if l[i].From <= pos {
				e = max(e, l[i].Epoch)
				break
			}
		}
	}
	return e
}

// putEpoch returns a new list with the mark, in the place of marks that it leaves without positions.
func putEpoch(l []epochMark, m epochMark) []epochMark {
	for len(l) > 0 && l[len(l)-1].From >= m.From {
		l = l[:len(l)-1]
	}
	return append(slices.Clone(l), m)
}

// putEpochOver returns a new list in which from..to have an epoch and what lies behind has the one that it had.
func putEpochOver(l []epochMark, from, to, epoch uint64) []epochMark {
	n := append(putEpoch(l, epochMark{from, epoch}), epochMark{to + 1, epochAt(to+1, l)})
	for _, m := range l {
		if m.From > to+1 {
			n = append(n, m)
		}
	}
	return n
}

// pruneEpochs forgets marks that no position above pos needs.
func pruneEpochs(l []epochMark, pos uint64) []epochMark {
	for len(l) > 1 && l[1].From <= pos+1 {
		l = l[1:]
	}
	return l
}
