package share

import (
	"context"
	"fmt"
	"time"

	"ftfuse/internal/record"
)

// member is a receiver of the target, as this process knows it. Guarded by Share.mu.
type member struct {
	Member
	lane *Lane

	running bool               // Run of its connection has been called and has not returned
	cancel  context.CancelFunc // of that
	removed bool               // not in the configuration any more

	up      bool      // connected
	leaving bool      // up, and the receiver has said that it goes
	left    bool      // not up, and the receiver had said so: nobody waits for it
	since   time.Time // of up, or of being away; zero before it runs
	ill     time.Time // since when nothing was acknowledged that should have been; zero: it is well
	out     bool      // others have stood in for it since it was well for ReturnAfter
	parted  bool      // that has been counted

	receiver record.SenderID // who answered last
	clash    *member         // answers as the same receiver: this one is not used
	failure  string          // of the connection, "" while it is well
	failedAt time.Time
	acked    Amount
}

// ended notes the end of a connection or of an attempt. One that ended soon without any acknowledgement was none: a receiver
// that is connected again and again and takes nothing is away all the while.
func (m *member) ended(err error, now time.Time, handOver time.Duration) {
	if err != nil {
		m.failure, m.failedAt = err.Error(), now
	}
	if !m.up {
		return
	}
	if m.ill.IsZero() || now.Sub(m.since) >= handOver && len(m.lane.list) == 0 {
		m.ill = now
	}
	m.up, m.left, m.leaving, m.since = false, m.leaving, false, now
}

// wellAgain notes that n entries were acknowledged.
func (m *member) wellAgain(n int) {
	if n > 0 {
		m.ill, m.failure = time.Time{}, ""
	}
}

// alive says that what is at m, or belongs there, waits for it: it is connected, or has not been away for long.
func (s *Share) alive(m *member, now time.Time) bool {
	switch {
	case m.removed || m.clash != nil || m.since.IsZero():
		return false
	case m.up:
		return !m.leaving
	}
	return !m.left && now.Before(s.deadline(m))
}

// deadline is when others stand in for a member that is away.
func (s *Share) deadline(m *member) time.Time {
	from := m.since
	if !m.ill.IsZero() && m.ill.Before(from) {
		from = m.ill
	}
	return from.Add(s.o.HandOver)
}

// ready says that a member may take what is new to it: it is connected, and long enough if others have stood in for it.
func (s *Share) ready(m *member, now time.Time) bool {
	return m.up && s.alive(m, now) && (!m.out || !now.Before(m.since.Add(s.o.ReturnAfter)))
}

// SetMembers says who the members are, in their order. It can be called at any time. One that is not there any more finishes
// what is under way and leaves the rest to the others.
func (s *Share) SetMembers(list []Member) error {
	seen := map[string]bool{}
	for _, m := range list {
		if m.Name == "" || seen[m.Name] || m.Weight < 0 {
			return fmt.Errorf("members of a target: got %q with weight %d, want names that are there, once each, and no weight below 0", m.Name, m.Weight)
		}
		seen[m.Name] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.members
	s.members = nil
	for _, c := range list {
		c.Weight = max(c.Weight, 1)
		s.members = append(s.members, s.member(old, c))
	}
	for _, m := range old {
		if !m.removed && !s.has(m) {
			m.removed = true
		}
		if m.removed && !s.has(m) && (m.running || len(m.lane.list) > 0) {
			s.members = append(s.members, m)
		}
	}
	for _, p := range s.parts {
		p.want = nil
	}
	poke(s.minding)
	poke(s.reading)
	return nil
}

// member is the present one of that name and address, or a new one. Called with mu held.
func (s *Share) member(old []*member, c Member) *member {
	for _, m := range old {
		if !m.removed && m.Name == c.Name && m.Address == c.Address {
			m.Weight = c.Weight
			return m
		}
	}
	m := &member{Member: c}
	m.lane = &Lane{s: s, m: m, news: make(chan struct{}, 1)}
	return m
}

func (s *Share) has(m *member) bool {
	for _, o := range s.members {
		if o == m {
			return true
		}
	}
	return false
}

// start begins a member's connection. Called with mu held.
func (s *Share) start(m *member, now time.Time) {
	if s.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	m.running, m.cancel, m.since, m.ill, m.left = true, cancel, now, time.Time{}, false
	who := m.Member // as it is now: SetMembers may change its weight
	s.wg.Go(func() {
		err := s.o.Run(ctx, who, m.lane)
		over := ctx.Err() != nil
		cancel()
		m.lane.Down(err)
		s.mu.Lock()
		defer s.mu.Unlock()
		m.running, m.since = false, time.Time{}
		if err == nil && !over {
			err = fmt.Errorf("the connection of member %s ended without being asked to", who.Name)
		}
		if err != nil {
			s.fail(err)
		}
		poke(s.minding)
		poke(s.reading)
	})
}
