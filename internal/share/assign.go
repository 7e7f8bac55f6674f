package share

import (
	"context"
	"hash/fnv"
	"math"
	"time"
)

// mind follows time and news of members until ctx ends: who runs, who is given up, who takes back.
func (s *Share) mind(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		next := s.arrange(time.Now())
		s.mu.Unlock()
		poke(s.reading)
		var due <-chan time.Time
		var timer *time.Timer
		if !next.IsZero() {
			timer = time.NewTimer(max(time.Until(next), time.Millisecond))
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-s.minding:
		case <-due:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// arrange brings everything to where it belongs now, as far as that goes, and returns when time alone changes something;
// zero if never. Called with mu held.
func (s *Share) arrange(now time.Time) time.Time {
	kept := s.members[:0]
	for _, m := range s.members {
		if m.clash != nil && s.resolved(m, now) {
			m.clash = nil
		}
		if m.out && m.up && s.ready(m, now) {
			m.out, m.parted, m.ill = false, false, time.Time{}
		}
		if m.removed && !m.running && len(m.lane.list) == 0 {
			continue
		}
		kept = append(kept, m)
	}
	s.members = kept
	for _, p := range s.parts {
		if p.at != nil {
			s.settle(p, now)
		}
	}
	s.run(now)
	return s.due(now)
}

// resolved says that the receiver that m was met as answers elsewhere no more. Called with mu held.
func (s *Share) resolved(m *member, now time.Time) bool {
	o := m.clash
	return o.removed || o.receiver != m.receiver || !s.alive(o, now)
}

// due is when the next member has been away, or well, for long enough. Called with mu held.
func (s *Share) due(now time.Time) (next time.Time) {
	for _, m := range s.members {
		at := s.deadline(m)
		switch {
		case m.since.IsZero() || m.removed:
			continue
		case m.up:
			at = m.since.Add(s.o.ReturnAfter)
		}
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// run starts and stops connections. Called with mu held.
func (s *Share) run(now time.Time) {
	more := true
	for _, m := range s.members {
		wanted := more && !m.removed && m.clash == nil
		switch {
		case wanted && !m.running:
			s.start(m, now)
		case !wanted && m.running:
			m.cancel()
		}
		if wanted && s.o.Policy == Failover && s.suffices(m, now) {
			more = false
		}
	}
}

// suffices says that Failover needs no member behind m. Called with mu held.
func (s *Share) suffices(m *member, now time.Time) bool {
	at := s.parts[0].at
	return s.alive(m, now) && (at == m || at == nil || !s.alive(at, now))
}

// settle moves a part to where it belongs, if that can be now, or notes that it is to go. Called with mu held.
func (s *Share) settle(p *part, now time.Time) {
	p.want = nil
	to := s.belongs(p, now)
	if to == nil || to == p.at {
		return
	}
	switch {
	case s.alive(p.at, now):
		if p.idle() && p.whole(now) {
			s.move(p, to, now)
		} else {
			p.want = to
		}
	case !p.at.up && !(p.at.removed && p.at.running):
		s.move(p, to, now)
	}
}

// move takes a part, and what of it is not acknowledged, to another member. What may be at the former one is uncertain.
// Called with mu held.
func (s *Share) move(p *part, to *member, now time.Time) {
	from := p.at
	p.at, p.want = to, nil
	list := p.entries
	p.entries = nil
	if !s.alive(from, now) {
		from.out = true
		if !from.parted { // once for all of its parts
			from.parted = true
			s.count.HandOvers++
		}
	}
	if len(list) == 0 {
		return
	}
	from.lane.forget(p)
	for _, e := range list {
		if e.sent {
			s.count.Uncertain.add(e)
			e.sent = false
		}
		to.lane.add(e)
	}
}

// forget takes a part's entries out. Called with mu held.
func (l *Lane) forget(p *part) {
	kept := l.list[:0]
	for _, e := range l.list {
		if e.part == p {
			l.bytes -= e.cost
			continue
		}
		kept = append(kept, e)
	}
	clear(l.list[len(kept):])
	l.list, l.next = kept, 0
}

// belongs says where a part should be now; nil: nowhere better. Called with mu held.
func (s *Share) belongs(p *part, now time.Time) *member {
	switch s.o.Policy {
	case Failover:
		return s.first(p.at, now)
	case Hash:
		return s.home(p, now)
	}
	return s.lightest(p, now)
}

// first is the first member in order that may be the active one.
func (s *Share) first(at *member, now time.Time) *member {
	lives := at != nil && s.alive(at, now)
	for _, m := range s.members {
		switch {
		case m == at && lives:
			return m
		case !m.up || !s.alive(m, now):
		case !lives || !now.Before(m.since.Add(s.o.ReturnAfter)):
			return m
		}
	}
	return nil
}

// home is the member that rendezvous hashing gives a part to.
func (s *Share) home(p *part, now time.Time) (best *member) {
	var fallback *member
	for _, m := range s.candidates(p) {
		switch {
		case s.ready(m, now), (m == p.at || p.at == nil) && !m.out && s.alive(m, now):
			return m
		case fallback == nil && m.up && s.alive(m, now):
			fallback = m
		}
	}
	if p.at != nil && s.alive(p.at, now) {
		return p.at
	}
	return fallback
}

// candidates are the members that a part may be at, the first choice first.
func (s *Share) candidates(p *part) []*member {
	type scored struct {
		m *member
		v float64
	}
	var list []scored
	for _, m := range s.members {
		if m.removed || m.clash != nil {
			continue
		}
		v := score(m.Member, p.n)
		at := len(list)
		for at > 0 && list[at-1].v < v {
			at--
		}
		list = append(list[:at:at], append([]scored{{m, v}}, list[at:]...)...)
	}
	if n := s.o.Replicas; n > 0 && len(list) > n+1 {
		list = list[:n+1]
	}
	members := make([]*member, len(list))
	for i := range list {
		members[i] = list[i].m
	}
	return members
}

// score is that of weighted rendezvous hashing: -weight / ln(h), with h from 0 to 1 by the names of part and member (Schindelhauer
// and Schomaker, "Weighted Distributed Hash Tables", 2005). The highest has the part; another member changes only what it gets.
func score(m Member, part int) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(m.Name))
	u := float64(mix(h.Sum64()^mix(uint64(part)+1))>>11) + 0.5
	return float64(m.Weight) / -math.Log(u/(1<<53))
}

// mix spreads the bits of x: the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// lightest is where a part of Balance should be: where it is, unless that has more parts for its weight and no less to do, or
// is full while another has little.
func (s *Share) lightest(p *part, now time.Time) (best *member) {
	held := map[*member]int{}
	for _, q := range s.parts {
		held[q.at]++
	}
	better := func(a, b *member) bool { // a before b
		na, nb := float64(held[a]+1)/float64(a.Weight), float64(held[b]+1)/float64(b.Weight)
		return na < nb
	}
	at := p.at
	lives := at != nil && s.alive(at, now)
	var spare *member
	for _, m := range s.members {
		switch {
		case m == at || !m.up || !s.alive(m, now):
			continue
		case !s.ready(m, now):
			if spare == nil || better(m, spare) {
				spare = m
			}
			continue
		case lives && !s.lighter(m, at, held):
			continue
		}
		if best == nil || better(m, best) {
			best = m
		}
	}
	switch {
	case best != nil:
		return best
	case lives:
		return at
	}
	return spare
}

// lighter says that a part should go from at to m.
func (s *Share) lighter(m, at *member, held map[*member]int) bool {
	load, now := m.lane.bytes/int64(m.Weight), at.lane.bytes/int64(at.Weight)
	if at.lane.full() && load < now/2 {
		return true
	}
	return load <= now+s.o.Bound/8 && float64(held[m]+1)/float64(m.Weight) < float64(held[at])/float64(at.Weight)
}
