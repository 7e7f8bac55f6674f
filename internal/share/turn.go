package share

import (
	"fmt"
	"time"

	"ftfuse/internal/record"
)

// Up is told by a connection that is ready, before it takes anything: who answers, and how far that holds streams. An error
// forbids it.
func (l *Lane) Up(receiver record.SenderID, marks []record.Durable) error {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m := l.m
	if m.removed {
		return fmt.Errorf("member %s is not one of the target any more", m.Name)
	}
	if o := s.answers(receiver, m); o != nil {
		m.clash, m.receiver = o, receiver
		s.o.Logger.Error("target: two members are one receiver, which is used once", "member", m.Name, "other", o.Name, "receiver", receiver)
		poke(s.minding)
		return fmt.Errorf("member %s is receiver %v, as member %s is: want each receiver once", m.Name, receiver, o.Name)
	}
	m.up, m.leaving, m.left, m.clash, m.since, m.receiver = true, false, false, nil, time.Now(), receiver
	s.covered(marks)
	poke(l.news)
	poke(s.reading)
	poke(s.minding)
	return nil
}

// answers returns another member at which the same receiver was met, unless that has been away for long. Called with mu held.
func (s *Share) answers(receiver record.SenderID, m *member) *member {
	for _, o := range s.members {
		if o != m && receiver != (record.SenderID{}) && o.receiver == receiver && o.running && s.alive(o, time.Now()) {
			return o
		}
	}
	return nil
}

// covered notes what a receiver holds: a mark of a part covers what it holds itself, or what another has acknowledged
// before. Called with mu held.
func (s *Share) covered(marks []record.Durable) {
	if s.done < s.handed { // later, nothing comes that was sent before this life
		for _, d := range marks {
			s.held.raise(d.Stream, d.Seq)
		}
	}
}

// Leaving is told when a receiver says that it goes: what is under way is still waited for, nothing more is begun.
func (l *Lane) Leaving() {
	l.s.mu.Lock()
	l.m.leaving = true
	l.s.mu.Unlock()
}

// Down is told when a connection has ended, or an attempt failed: nothing of it is under way any more. err may be nil.
func (l *Lane) Down(err error) {
	s := l.s
	s.mu.Lock()
	m := l.m
	m.ended(err, time.Now(), s.o.HandOver)
	l.acked, l.gone = l.last, nil
	s.mu.Unlock()
	poke(s.reading)
	poke(s.minding)
}
