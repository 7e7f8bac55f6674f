package e2e

import (
	"slices"

	"ftfuse/internal/control"
	"ftfuse/internal/netlab"
)

// answers says that others have only this station's word for what it has: a relay that does not wait for those behind it, or
// one whose name is on its disk, by which the receiver behind it knows what it has had.
func (s *station) answers() bool { return len(s.routes) > 0 }

// shares reports whether a route leads to one of several.
func (r route) shares() bool { return r.policy != "" && r.policy != "broadcast" }

// kill kills the process. What one that shares out has counted is read when nothing of it gets out any more: of what it
// counts later, nothing is anywhere.
func (s *station) kill() {
	s.f.t.Helper()
	for _, r := range s.routes {
		if r.shares() {
			s.f.must(s.host.Cut(netlab.Both))
			defer func() { s.f.must(s.host.Heal()) }()
			s.remember()
			break
		}
	}
	s.proc.kill()
}

// remember keeps what a process that ends has counted.
func (s *station) remember() {
	said, turns := s.said()
	s.uncertain, s.handOvers = s.uncertain.Plus(said), s.handOvers+turns
}

// said is what the present process says that it may have doubled, and how often others stood in for a member.
func (s *station) said() (uncertain control.Count, handOvers uint64) {
	st := s.status()
	var targets []control.TargetStatus
	switch {
	case st.Sender != nil:
		targets = st.Sender.Targets
	case st.Receiver != nil:
		targets = st.Receiver.Targets
	default:
		s.f.t.Errorf("%s does not say how it is", s.name)
	}
	for _, g := range targets {
		uncertain, handOvers = uncertain.Plus(g.Uncertain), handOvers+g.HandOvers
	}
	return uncertain, handOvers
}

// ways is by how many stations what comes to a receiver can come: what was sent by two of them is there twice.
func (s *station) ways() int {
	n := 0
	for _, relay := range s.f.relays() {
		for _, r := range relay.routes {
			if slices.Contains(r.members, s) {
				n++
			}
		}
	}
	return max(n, 1)
}

// behind puts line n behind one of the lines that came last by each of so many ways, whose order is kept: behind the highest
// that it can follow. ok is false if there is none.
func behind(ends []int, n, ways int) (_ []int, ok bool) {
	best := -1
	for i, end := range ends {
		if end < n && (best < 0 || end > ends[best]) {
			best = i
		}
	}
	switch {
	case best >= 0:
		ends[best] = n
	case len(ends) < ways:
		ends = append(ends, n)
	default:
		return ends, false
	}
	return ends, true
}

func (f *fleet) relays() []*station {
	return slices.DeleteFunc(f.of("receiver"), func(s *station) bool { return len(s.routes) == 0 })
}

// bounded holds what came more than once against what the senders say of it.
func (f *fleet) bounded(there map[*station]lines) {
	f.t.Helper()
	for _, s := range f.of("sender") {
		uncertain, turns := s.said()
		uncertain, turns = uncertain.Plus(s.uncertain), turns+s.handOvers
		doubled := s.doubled(there)
		f.t.Logf("%s: %d lines came more than once, %d are uncertain, %d hand-overs", s.name, doubled, uncertain.Records, turns)
		if uint64(doubled) > uncertain.Records {
			f.t.Errorf("%s: %d lines came more than once, want at most the %d that it counts as uncertain", s.name, doubled, uncertain.Records)
		}
	}
}

// doubled is how often lines of a sender's that go to one of several are there more than once.
func (s *station) doubled(there map[*station]lines) (doubled int) {
	for _, r := range s.routes {
		if !r.shares() {
			continue
		}
		ends := map[*station]bool{}
		for _, m := range r.members {
			m.ends(ends)
		}
		for _, l := range s.loads {
			for n := range l.most() {
				k := 0
				for end := range ends {
					k += there[end][written{l.id, n + 1}]
				}
				doubled += max(k-1, 0)
			}
		}
	}
	return doubled
}

// ends adds the receivers to which what comes to a station goes in the end.
func (s *station) ends(all map[*station]bool) {
	if len(s.routes) == 0 {
		all[s] = true
	}
	for _, r := range s.routes {
		for _, m := range r.members {
			m.ends(all)
		}
	}
}

// handedOn reports whether nothing waits at a relay, and holds its counters against themselves.
func (s *station) handedOn() bool {
	s.f.t.Helper()
	st := s.status().Receiver
	if st == nil || st.Queue == nil {
		return false
	}
	for _, flow := range st.Flows {
		if !flow.Balanced() {
			s.f.t.Errorf("%s: nothing adds up: %+v", s.name, flow)
			return true
		}
		if flow.Queued != (control.Count{}) {
			return false
		}
	}
	return true
}
