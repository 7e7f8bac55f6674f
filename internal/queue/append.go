package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/syndtr/goleveldb/leveldb"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// Append takes custody of chunks: when it returns nil they survive as Options.Durability says, all of them. On an
// error none of them will be delivered by this process; should it be killed before the next successful Append,
// they may be, and Recovery.Replay then shows them. Own chunks (Source.Sender is this machine's) must have Seq 0
// and get theirs in the slice, in the order of positions; an own Gap gets First = Seq. Relayed chunks keep their origin.
// Any number of goroutines may call; the chunks are not kept. Errors wrap record.ErrFull, ErrRefused or ErrClosed.
func (q *Queue) Append(chunks []record.Chunk) error { return q.AppendApplied(chunks, nil) }

// AppendApplied is Append; when it succeeds, applied runs before any later Options.Snapshot is taken. A caller
// that appends from several goroutines brings its state up to date there, so that no snapshot misses a chunk.
func (q *Queue) AppendApplied(chunks []record.Chunk, applied func()) error {
	if len(chunks) == 0 {
		return nil
	}
	if err := q.admit(chunks); err != nil {
		return err
	}
	if q.rotateDue.Load() {
		q.rotate()
	}
	q.rotating.RLock()
	defer q.rotating.RUnlock()
	r := &request{chunks: chunks, done: make(chan error, 1), lead: make(chan struct{}, 1)}
	for i := range chunks {
		r.size += int64(len(chunks[i].Data)) + 64 + 16*int64(len(chunks[i].Extents))
	}
	err := q.group.do(r, q.o.GroupBytes, q.commitGroup)
	if err == nil && applied != nil {
		applied()
	}
	return err
}

// Put is Append for a relay: it makes the queue a record.Sink. It does not change the chunks.
func (q *Queue) Put(ctx context.Context, chunks []record.Chunk) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return q.Append(slices.Clone(chunks))
}

// admit refuses what could not be read back.
func (q *Queue) admit(chunks []record.Chunk) error {
	for i := range chunks {
		c := &chunks[i]
		if err := wire.Check(c); err != nil {
			return fmt.Errorf("append: %w", err)
		}
		if c.Source.Sender == q.o.Source.Sender && c.Seq != 0 {
			return fmt.Errorf("append: own chunk: got sequence %d, want 0: %w", c.Seq, record.ErrRefused)
		}
	}
	return nil
}

// request is one Append waiting for its group.
type request struct {
	chunks []record.Chunk
	size   int64
	done   chan error    // the group's result
	lead   chan struct{} // instead: lead the next group
}

// groupCommit lets the first of several callers commit for all that wait.
type groupCommit struct {
	mu      sync.Mutex
	waiting []*request
	busy    bool // somebody leads
}

// do returns when commit has run with r in its group. A group holds at most limit bytes, or one request.
func (g *groupCommit) do(r *request, limit int64, commit func([]*request) error) error {
	g.mu.Lock()
	g.waiting = append(g.waiting, r)
	leads := !g.busy
	g.busy = true
	g.mu.Unlock()
	if !leads {
		select {
		case err := <-r.done:
			return err
		case <-r.lead:
		}
	}
	g.mu.Lock()
	n, size := 0, int64(0)
	for n < len(g.waiting) && (n == 0 || size+g.waiting[n].size <= limit) {
		size += g.waiting[n].size
		n++
	}
	group := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.mu.Unlock()

	err := commit(group)

	g.mu.Lock()
	if len(g.waiting) > 0 {
		g.waiting[0].lead <- struct{}{}
	} else {
		g.busy = false
	}
	g.mu.Unlock()
	for _, o := range group[1:] {
		o.done <- err
	}
	return err
}

// plan is what a group will add.
type plan struct {
	batch     leveldb.Batch
	buf       []byte
	last, seq uint64
	bytes     int64
	sums      []summary // of the positions, in order
	marks     map[record.Stream]record.Durable
}

// commitGroup writes one batch and makes it visible.
func (q *Queue) commitGroup(group []*request) error {
	q.writing.Lock()
	defer q.writing.Unlock()
	q.pulse.Begin()
	defer q.pulse.End()
	err := q.isClosed()
	if err == nil {
		err = q.heal()
	}
	if err == nil {
		p := q.plan(group)
		if err = q.store(p); err == nil {
			q.publish(p)
			return nil
		}
	}
	q.forget(group)
	return fmt.Errorf("append: %w", full(err))
}

// plan gives positions and sequences and encodes. Called with writing held.
func (q *Queue) plan(group []*request) *plan {
	p := &plan{last: q.last, seq: q.seq, marks: make(map[record.Stream]record.Durable)}
	for _, r := range group {
		for i := range r.chunks {
			c := &r.chunks[i]
			if c.Source.Sender != q.o.Source.Sender {
				continue
			}
			p.seq++
			c.Seq = p.seq
			if c.Gap != nil {
				gap := *c.Gap
				gap.First = p.seq
				c.Gap = &gap
			}
		}
		cutRuns(r.chunks, func(run []record.Chunk) { q.planRun(p, run) })
	}
	return p
}

func (q *Queue) planRun(p *plan, run []record.Chunk) {
	own := run[0].Source.Sender == q.o.Source.Sender
	s := summarize(run, own)
	if !own {
		m, ok := p.marks[s.stream]
		if !ok {
			m = q.Mark(s.stream)
		}
		s.before = behind{m.Seq, m.Chain}
		for i := range run {
			m = m.Add(&run[i])
		}
		p.marks[s.stream], s.chain = m, m.Chain
	}
	p.last++
	p.buf = appendEntry(p.buf[:0], &s, run)
	p.bytes += int64(len(p.buf))
	p.batch.Put(posKey(p.last), p.buf)
	p.sums = append(p.sums, s)
}

// forget takes back the sequences of a group that failed.
func (q *Queue) forget(group []*request) {
	for _, r := range group {
		for i := range r.chunks {
			if r.chunks[i].Source.Sender == q.o.Source.Sender {
				r.chunks[i].Seq = 0
			}
		}
	}
}

// store writes the batch, over one failure. Called with writing held.
func (q *Queue) store(p *plan) error {
	s := q.newest()
	err := s.write(&p.batch, q.o.Durability == Disk)
	if err == nil {
		return nil
	}
	// goleveldb would give the failed batch's sequence to the next one, and recovery would drop that. So no
	// further write in this handle; after reopening, the batch is either there as a whole or not at all.
	q.log.Warn("queue: write failed, reopening the database", notice.QueueWriteFailed, "dir", s.dir, "error", err)
	q.fail(err)
	if rerr := q.reopen(p.last); rerr != nil {
		q.fail(errors.Join(err, rerr))
		return errors.Join(err, rerr)
	}
	ok, err := s.has(p.last)
	if err == nil && !ok {
		err = s.write(&p.batch, q.o.Durability == Disk)
	}
	if err != nil {
		q.fail(err)
	}
	return err
}

// publish makes the plan's entries visible to cursors. Called with writing held.
func (q *Queue) publish(p *plan) {
	q.mu.Lock()
	first := q.last + 1
	for i := range p.sums {
		s := &p.sums[i]
		q.held += s.held
		q.rec.Captured.add(s.rule, s.tally())
		for _, c := range q.cursors {
			c.enter(first+uint64(i), s)
			c.owe(first+uint64(i), s)
		}
	}
	q.last, q.seq = p.last, p.seq
	for _, m := range p.marks {
		q.touch(m)
	}
	q.boundMarks()
	q.ages.note(first, q.o.Uptime())
	for _, c := range q.cursors {
		for _, l := range c.lanes() {
			l.poke()
		}
	}
	q.soil()
	q.mu.Unlock()

	q.segBytes += p.bytes
	q.segEntries += len(p.sums)
	if q.segBytes >= q.rotateAt || q.segEntries >= q.o.SegmentEntries {
		q.rotateDue.Store(true)
	}
}
