package share

import (
	"context"
	"fmt"
	"time"

	"ftfuse/internal/record"
)

// Lane is what one member is to get: the backlog of its connection, which tells it how that fares. Positions are the lane's
// own; they only grow, and one that was taken away comes to life nowhere else.
type Lane struct {
	s *Share
	m *member

	// Guarded by Share.mu.
	list  []*entry // not acknowledged, in order
	next  int      // of list, what Next returns next
	last  uint64   // position given last
	acked uint64   // position acknowledged last, or of which nothing is under way any more
	bytes int64    // of payload and what chunks take, in list
	gone  []*entry // were given out, and taken back since; they may still be acknowledged
	tail  uint64   // position of the last of those
	news  chan struct{}
}

// Next implements record.Backlog. It returns nothing while the member is away.
func (l *Lane) Next(ctx context.Context, limit int64) (record.Batch, error) {
	for {
		if b, ok := l.take(limit); ok {
			return b, nil
		}
		select {
		case <-l.news:
		case <-ctx.Done():
			return record.Batch{}, ctx.Err()
		}
	}
}

func (l *Lane) take(limit int64) (b record.Batch, ok bool) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if !l.m.up || l.m.leaving || l.m.removed || l.s.frozen { // what is given out now may count as sent, and would not be
		return b, false
	}
	for ; l.next < len(l.list); l.next++ {
		e := l.list[l.next]
		if ok && b.Bytes+e.bytes > limit {
			break
		}
		if !ok {
			b.First, ok = e.pos, true
		}
		e.sent = true
		b.Last = e.pos
		b.Bytes += e.bytes
		b.Chunks = append(b.Chunks, e.chunks...) // copies, which the connection may give payload
	}
	return b, ok
}

// Rewind implements record.Backlog.
func (l *Lane) Rewind() {
	l.s.mu.Lock()
	l.next = 0
	l.s.mu.Unlock()
	poke(l.news)
}

// Ack implements record.Backlog. The mark is of one part's stream and of no use to the target's backlog.
func (l *Lane) Ack(last uint64, _ record.Durable) error {
	s := l.s
	s.mu.Lock()
	if last > l.last {
		s.mu.Unlock()
		return fmt.Errorf("acknowledge for member %s: got position %d, want at most %d: %w", l.m.Name, last, l.last, record.ErrRefused)
	}
	l.afterwards(last)
	n, due := 0, l.m.removed
	for n < len(l.list) && l.list[n].pos <= last {
		due = l.settled(l.list[n]) || due
		n++
	}
	clear(l.list[:n])
	l.list = l.list[n:]
	l.next = max(l.next-n, 0)
	l.acked = max(l.acked, last)
	l.m.wellAgain(n)
	s.pop()
	s.mu.Unlock()
	poke(s.reading)
	if due {
		poke(s.minding)
	}
	return s.commit()
}

// settled notes that an entry is acknowledged, and says whether its part can go elsewhere now. Called with mu held.
func (l *Lane) settled(e *entry) (due bool) {
	l.bytes -= e.cost
	l.m.acked.add(e)
	p := e.part
	p.entries = p.entries[1:] // a part is acknowledged in order
	l.s.holds(e)
	e.from.left--
	return p.want != nil && len(p.entries) == 0
}

// afterwards notes acknowledgements of what was taken back meanwhile: it need not be sent again. Called with mu held.
func (l *Lane) afterwards(last uint64) {
	n := 0
	for ; n < len(l.gone) && l.gone[n].pos <= last; n++ {
		l.s.holds(l.gone[n])
	}
	l.gone = l.gone[n:]
}

// holds notes that a receiver holds an entry. Called with mu held.
func (s *Share) holds(e *entry) {
	for i := range e.chunks {
		st, seq := e.chunks[i].Source.Stream, e.chunks[i].Seq
		s.held.raise(st, seq)
		if s.own[st.Sender] {
			e.part.through = max(e.part.through, seq)
			if s.renamed != 0 {
				s.held.raise(record.Stream{Sender: st.Sender, Epoch: s.renamed}, seq)
			}
		}
	}
}

// add puts an entry at the end. Called with mu held.
func (l *Lane) add(e *entry) {
	if len(l.list) == 0 && l.m.up {
		l.m.ill = time.Time{} // it had nothing to acknowledge
	}
	l.last++
	e.pos = l.last
	l.list = append(l.list, e)
	l.bytes += e.cost
	e.part.entries = append(e.part.entries, e)
	poke(l.news)
}

// full says that nothing more is put in. Called with mu held.
func (l *Lane) full() bool { return l.bytes >= l.s.o.Bound }

// Acked implements record.Backlog.
func (l *Lane) Acked() (uint64, record.Durable) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.acked, record.Durable{}
}

// Given implements record.Backlog.
func (l *Lane) Given() uint64 { return l.s.o.Backlog.Given() }

// Drop implements record.Backlog: everything that is not acknowledged begins anew, without what cannot be taken. Where that
// is one of several positions of the target's backlog, they are read one by one first.
func (l *Lane) Drop(first, last uint64, why record.Reason) error {
	return l.s.ask(func() error { return l.s.drop(l, first, last, why) })
}

// NewEpoch implements record.Backlog: everything that is not acknowledged gets other names, at whichever member it is.
func (l *Lane) NewEpoch() (epoch uint64, err error) {
	err = l.s.ask(func() error {
		epoch, err = l.s.newEpoch()
		return err
	})
	return epoch, err
}
