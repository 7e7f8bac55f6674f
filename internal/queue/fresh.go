package queue

import (
	"context"
	"fmt"

	"ftfuse/internal/record"
)

// FreshFirst is a cursor and its branch as one record.Backlog, for a destination that shall get what is captured now
// before what waited for it, though that moves on as well. Batches say of which part they are; which part a position
// is of is seen by itself, so that acknowledgements and drops are those of the cursor or of its branch.
type FreshFirst struct {
	c     *Cursor
	least int64 // bytes that must wait for a branch to begin

	ahead int64 // bytes by which the fresh part is ahead of its share; used by who calls Next
	split bool  // since the last Rewind there was a branch: what has been fresh stays so. Likewise
}

// freshShare is how many bytes the fresh part gets for each of the older one, while both have some.
const freshShare = 3

// FreshFirst returns the cursor's two parts as one. Begin splits it when more than least bytes wait.
func (c *Cursor) FreshFirst(least int64) *FreshFirst { return &FreshFirst{c: c, least: least} }

// Begin is called when the destination is there again after it was away: what is captured from now on does not wait for what
// waits already, if that is much. A branch of which nothing was given yet begins anew. It returns where the destination
// stands in the fresh part; the zero Durable if there is none, or nothing is known of it. Where the queue cannot be split,
// as on a full disk, all goes in order: that ends it too.
func (f *FreshFirst) Begin() record.Durable {
	f.c.undoUnused()
	b := f.c.Branched()
	if b == nil && f.c.Waiting() > f.least {
		var err error
		if b, err = f.c.Branch(); err != nil {
			f.c.q.log.Warn("queue: what is captured now waits for what is queued", "error", err)
		}
	}
	if b == nil {
		return record.Durable{}
	}
	_, mark := b.Acked()
	return mark
}

// undoUnused takes back a branch of which the destination can have seen nothing.
func (c *Cursor) undoUnused() {
	q := c.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.ahead != nil && c.ahead.handed < c.rec.Branch.From && c.rec.Branch.Acked < c.rec.Branch.From {
		c.rec.Branch, c.ahead, c.fresh = nil, nil, Tally{}
		c.main.changed++
		c.main.poke()
		q.soil()
	}
}

// Next implements record.Backlog.
func (f *FreshFirst) Next(ctx context.Context, limit int64) (record.Batch, error) {
	q := f.c.q
	for {
		split, old, fresh := f.parts()
		if !split {
			b, err := f.c.Next(ctx, limit)
			if f.split {
				b.Part = record.Alone
			}
			return b, err
		}
		f.split = true
		if b, ok, err := f.either(limit); ok || err != nil {
			return b, err
		}
		select {
		case <-old: // by its end, when the two join
		case <-fresh:
		case <-ctx.Done():
			return record.Batch{}, ctx.Err()
		case <-q.done:
			return record.Batch{}, fmt.Errorf("read queue %s: %w", q.o.Dir, record.ErrClosed)
		}
	}
}

// parts says whether there are two, and what wakes a reader of each.
func (f *FreshFirst) parts() (split bool, old, fresh <-chan struct{}) {
	f.c.q.mu.Lock()
	defer f.c.q.mu.Unlock()
	if f.c.ahead == nil {
		return false, nil, nil
	}
	return true, f.c.main.wake, f.c.ahead.wake
}

// newest is the branch, or all when the two have joined. Called with mu held.
func (c *Cursor) newest() *lane {
	if c.ahead != nil {
		return c.ahead
	}
	return c.main
}

// either reads the part whose turn it is, or the other where that has nothing.
func (f *FreshFirst) either(limit int64) (b record.Batch, ok bool, err error) {
	for _, fresh := range []bool{f.ahead < freshShare*limit, f.ahead >= freshShare*limit} {
		way := f.c.way
		if fresh {
			way = f.c.newest
		}
		if b, ok, err = f.c.q.read(limit, way); !ok || err != nil {
			if err != nil {
				return b, false, err
			}
			continue
		}
		b.Part = f.partOf(fresh)
		if b.Part == record.Old {
			f.ahead = max(f.ahead-freshShare*b.Bytes, 0)
		} else {
			f.ahead = min(f.ahead+b.Bytes, 2*freshShare*limit)
		}
		return b, true, nil
	}
	return b, false, nil
}

// partOf says of which part a batch is that was read of the branch, or of the cursor, which may have joined meanwhile.
func (f *FreshFirst) partOf(fresh bool) record.Part {
	f.c.q.mu.Lock()
	defer f.c.q.mu.Unlock()
	switch {
	case f.c.ahead == nil, fresh && f.c.main.next > f.c.main.last():
		return record.Alone
	case fresh:
		return record.Fresh
	}
	return record.Old
}

// Rewind implements record.Backlog.
func (f *FreshFirst) Rewind() {
	f.c.q.mu.Lock()
	defer f.c.q.mu.Unlock()
	for _, l := range f.c.lanes() {
		l.rewind()
	}
	f.ahead, f.split = 0, false
}

// Ack implements record.Backlog, for the part that the position is of.
func (f *FreshFirst) Ack(last uint64, mark record.Durable) error {
	return f.c.q.ack(func() *lane { return f.c.laneOf(last) }, last, mark)
}

// Acked implements record.Backlog, of the older part where there are two.
func (f *FreshFirst) Acked() (uint64, record.Durable) { return f.c.Acked() }

// Given implements record.Backlog.
func (f *FreshFirst) Given() uint64 { return f.c.Given() }

// Drop implements record.Backlog, for the part that the positions are of.
func (f *FreshFirst) Drop(first, last uint64, why record.Reason) error {
	return f.c.q.drop(func() *lane { return f.c.laneOf(first) }, first, last, why)
}

// NewEpoch implements record.Backlog, for both parts.
func (f *FreshFirst) NewEpoch() (uint64, error) { return f.c.NewEpoch() }

var _ record.Backlog = (*FreshFirst)(nil)
