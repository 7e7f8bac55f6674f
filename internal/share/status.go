package share

import (
	"time"

	"ftfuse/internal/record"
)

// Amount is how much of something there is; Bytes are of payload.
type Amount struct{ Chunks, Bytes, Records uint64 }

func (a *Amount) add(e *entry) {
	a.Chunks += uint64(len(e.chunks))
	a.Bytes += uint64(e.bytes)
	for i := range e.chunks {
		a.Records += uint64(e.chunks[i].Records)
	}
}

// Counters of a Share, since New.
type Counters struct {
	HandOvers uint64 // times that others stood in for a member
	// Uncertain may have reached more than one receiver: it was sent and not acknowledged when another member got it, or
	// when it got another name, or may have been sent by an earlier life of the process.
	Uncertain Amount
}

// Status is a snapshot.
type Status struct {
	Counters
	Policy  Policy
	Members []MemberStatus // in order; those that are leaving come last
}

// MemberStatus is what the Share knows of a member; its connection knows more.
type MemberStatus struct {
	Member
	State    string          // active, ready, returning, leaving, away, given up, standby, removed or clash
	Since    time.Time       // when it came up or went away; zero: it is not run
	Receiver record.SenderID // who answered last
	Parts    int             // that are at it, of 1 with Failover and 64 otherwise
	Waiting  Amount          // given to it, not acknowledged
	Oldest   time.Time       // when the first of that was written or seen; zero if there is none
	Acked    Amount          // by it
	Failure  string          // of its connection; "" while it is well
	FailedAt time.Time
}

// Status tells how things stand.
func (s *Share) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	held := map[*member]int{}
	for _, p := range s.parts {
		held[p.at]++
	}
	st := Status{Counters: s.count, Policy: s.o.Policy}
	for _, m := range s.members {
		ms := MemberStatus{
			Member: m.Member, State: s.state(m, held[m], now), Since: m.since, Receiver: m.receiver, Parts: held[m], Acked: m.acked,
			Failure: m.failure, FailedAt: m.failedAt,
		}
		for _, e := range m.lane.list {
			ms.Waiting.add(e)
		}
		if l := m.lane.list; len(l) > 0 {
			ms.Oldest = time.Unix(0, l[0].chunks[0].Time)
		}
		st.Members = append(st.Members, ms)
	}
	return st
}

// state is a word for people. Called with mu held.
func (s *Share) state(m *member, parts int, now time.Time) string {
	switch {
	case m.removed:
		return "removed"
	case m.clash != nil:
		return "clash"
	case m.leaving:
		return "leaving"
	case m.up && parts > 0:
		return "active"
	case m.up && !s.ready(m, now):
		return "returning"
	case m.up:
		return "ready"
	case m.since.IsZero():
		return "standby"
	case s.alive(m, now):
		return "away"
	}
	return "given up"
}
