package share

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"ftfuse/internal/record"
)

// pause is how long a backlog that cannot be read is left alone.
const pause = time.Second

// dispatch reads the backlog and gives out what it reads until ctx ends; then it does what members ask for until ended.
func (s *Share) dispatch(ctx context.Context, ended <-chan struct{}) {
	for ctx.Err() == nil {
		s.serve()
		b, single, err := s.read(ctx)
		switch {
		case err == nil:
			s.give(ctx, b, single)
		case errors.Is(err, record.ErrClosed):
			s.mu.Lock()
			s.fail(fmt.Errorf("read backlog: %w", err))
			s.mu.Unlock()
		case !errors.Is(err, context.Canceled): // which a member's wish makes, or the end
			s.o.Logger.Warn("target: cannot read the backlog, trying again", "error", err)
			wait(ctx, pause)
		}
	}
	for {
		s.serve()
		select {
		case <-ended:
			return
		case <-s.reading:
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// read takes the next batch, one position where one of those to come is suspected. What a member asks for interrupts it.
func (s *Share) read(ctx context.Context) (b record.Batch, single bool, err error) {
	limit := min(1<<20, max(s.o.Bound/4, 1))
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	if single = s.top < s.suspect; single {
		limit = 1
	}
	s.interrupt = cancel
	if len(s.acts) > 0 {
		cancel()
	}
	s.mu.Unlock()
	b, err = s.o.Backlog.Next(reading, limit)
	return b, single, err
}

// give hands the chunks of a batch to members, and waits where they have no room. It leaves off when the share ends or a
// member asks for something: then all that is not acknowledged is read again.
func (s *Share) give(ctx context.Context, b record.Batch, single bool) {
	t := &taken{first: b.First, last: b.Last, left: 1, single: single}
	s.mu.Lock()
	s.taken = append(s.taken, t)
	s.top = b.Last
	entries := s.split(b, t)
	s.mu.Unlock()
	for _, e := range entries {
		for !s.place(e) {
			select {
			case <-ctx.Done():
				return
			case <-s.reading:
			}
			if s.asked() {
				return
			}
		}
	}
	s.mu.Lock()
	t.left--
	s.given = b.Last
	s.pop()
	s.mu.Unlock()
	if err := s.commit(); err != nil {
		s.o.Logger.Warn("target: acknowledgement not noted yet", "error", err)
	}
}

func (s *Share) asked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acts) > 0
}

// split sorts the chunks of a batch by parts. Called with mu held.
func (s *Share) split(b record.Batch, t *taken) (list []*entry) {
	by := make(map[*part]*entry, 4)
	for i := range b.Chunks {
		c := b.Chunks[i]
		p := s.partOf(&c)
		e := by[p]
		if e == nil {
			e = &entry{part: p, from: t, sent: b.First <= s.maybe}
			by[p] = e
			list = append(list, e)
		}
		if c.Gap != nil && e.sent { // in the place of a chunk that was sent: marks may lie behind it, which are about others
			c.Source = c.Source.Via(c.Source.Sender.Derive(fmt.Sprintf("gap %d", c.Seq)))
		} else {
			c.Source = p.source(c.Source)
		}
		e.put(c)
	}
	return list
}

func (e *entry) put(c record.Chunk) {
	e.chunks = append(e.chunks, c)
	e.bytes += int64(c.Len)
	e.cost += int64(c.Len) + overhead
}

// partOf says which part a chunk belongs to.
func (s *Share) partOf(c *record.Chunk) *part {
	if len(s.parts) == 1 {
		return s.parts[0]
	}
	h := fnv.New64a()
	if s.o.Policy == Hash {
		_, _ = h.Write([]byte(s.o.Key(c)))
	} else {
		id := c.Source.Captor()
		_, _ = h.Write(binary.LittleEndian.AppendUint64(id[:], c.Handle))
	}
	return s.parts[mix(h.Sum64())%uint64(len(s.parts))]
}

// place gives an entry to the member that its part is at; false: not yet.
func (s *Share) place(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	p := e.part
	if p.at == nil && (e.sent && !s.gathered() || !s.assign(p, now)) {
		return false
	}
	if e.sent && !s.lacks(e) {
		return true
	}
	s.settle(p, now)
	at := p.at
	if !s.alive(at, now) || at.lane.full() || p.want != nil && p.whole(now) {
		return false
	}
	if s.doubt.first <= e.from.first && e.from.first <= s.doubt.last {
		s.count.Uncertain.add(e)
	}
	p.follow(e.chunks, now)
	e.from.left++
	at.lane.add(e)
	return true
}

// assign gives a part its first member. Called with mu held.
func (s *Share) assign(p *part, now time.Time) bool {
	p.at = s.belongs(p, now)
	return p.at != nil
}

// lacks takes out of e what is acknowledged, or proved to be held, and reports whether anything is left. Called with mu held.
func (s *Share) lacks(e *entry) bool {
	list := e.chunks
	e.chunks, e.bytes, e.cost = nil, 0, 0
	for i := range list {
		if c := &list[i]; c.Seq > s.held.at(c.Source.Stream) {
			e.put(*c)
		} else if s.own[c.Source.Sender] {
			e.part.through = max(e.part.through, c.Seq)
		}
	}
	return len(e.chunks) > 0
}

// gathered says that every member has said how far it holds things, or is not waited for. Called with mu held.
func (s *Share) gathered() bool {
	if s.o.Policy == Failover { // which waits for one, and asks that one
		return true
	}
	for _, m := range s.members {
		if !m.up && !m.removed && m.clash == nil && (m.since.IsZero() || s.alive(m, time.Now())) {
			return false
		}
	}
	return true
}
