package share

import (
	"fmt"

	"ftfuse/internal/record"
)

// ask has dispatch do something, with everything taken back, and waits for it.
func (s *Share) ask(do func() error) error {
	a := &act{do, make(chan error, 1)}
	s.mu.Lock()
	if !s.running {
		s.mu.Unlock()
		return fmt.Errorf("share: not running: %w", record.ErrClosed)
	}
	s.acts = append(s.acts, a)
	if s.interrupt != nil {
		s.interrupt()
	}
	s.mu.Unlock()
	poke(s.reading)
	return <-a.done
}

// serve does what members have asked for. Used by dispatch.
func (s *Share) serve() {
	s.mu.Lock()
	acts := s.acts
	s.acts = nil
	s.frozen = len(acts) > 0
	s.mu.Unlock()
	if len(acts) == 0 {
		return
	}
	s.acking.Lock()
	defer s.acking.Unlock()
	for _, a := range acts {
		a.done <- a.do()
	}
	s.mu.Lock()
	s.takeBack()
	s.frozen = false
	s.mu.Unlock()
	s.o.Backlog.Rewind()
}

// takeBack forgets all that is not acknowledged to the backlog: it will be read again, and what members have acknowledged of it
// passed over. What is under way at members may still be acknowledged, under positions that are gone. Called with acking and
// mu held.
func (s *Share) takeBack() {
	for _, m := range s.members {
		l := m.lane
		if n := l.next; m.up && n > 0 { // given to this connection, not to an earlier one that never took it
			l.gone, l.tail = append(l.gone, l.list[:n]...), l.list[n-1].pos
		}
		l.list, l.next, l.bytes = nil, 0, 0
	}
	for _, p := range s.parts {
		p.entries = nil
	}
	s.maybe = max(s.maybe, s.top)
	s.taken, s.done, s.top, s.given = nil, s.committed, s.committed, s.committed
}

// drop gives up what a member cannot get. Used by dispatch.
func (s *Share) drop(l *Lane, first, last uint64, why record.Reason) error {
	var bad []*entry
	s.mu.Lock()
	for _, e := range l.list {
		switch {
		case e.pos < first || e.pos > last:
		case e.from.single:
			bad = append(bad, e)
		default: // one of several positions: which?
			s.suspect = max(s.suspect, e.from.last)
		}
	}
	s.mu.Unlock()
	for _, e := range bad {
		if err := s.o.Backlog.Drop(e.from.first, e.from.last, why); err != nil {
			return err
		}
	}
	return nil
}

// newEpoch gives what is not acknowledged other names. Used by dispatch.
func (s *Share) newEpoch() (uint64, error) {
	epoch, err := s.o.Backlog.NewEpoch()
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renamed = epoch
	s.doubt = span{s.given + 1, max(s.maybe, s.top)} // what was taken back before and is not with members again
	for _, p := range s.parts {                      // numbers go on, so what is held by a number stays so
		s.held.raise(record.Stream{Sender: p.id(s.o.Sender), Epoch: epoch}, p.through)
		for _, e := range p.entries {
			if e.sent {
				s.count.Uncertain.add(e)
			}
		}
	}
	return epoch, nil
}

// pop notes up to where all is acknowledged. Called with mu held.
func (s *Share) pop() {
	n := 0
	for ; n < len(s.taken) && s.taken[n].left == 0; n++ {
		s.done = s.taken[n].last
	}
	clear(s.taken[:n])
	s.taken = s.taken[n:]
	s.held.passed(s.done, max(s.top, s.handed))
}

// commit tells the backlog what is acknowledged. An error leaves that to the next.
func (s *Share) commit() error {
	s.acking.Lock()
	defer s.acking.Unlock()
	s.mu.Lock()
	done, known := s.done, s.committed
	s.mu.Unlock()
	if done <= known {
		return nil
	}
	if err := s.o.Backlog.Ack(done, record.Durable{}); err != nil {
		return fmt.Errorf("acknowledge position %d of the target: %w", done, err)
	}
	s.mu.Lock()
	s.committed = done
	s.mu.Unlock()
	return nil
}
