package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/control"
	"ftfuse/internal/netlab"
)

const (
	addresses = "dns:logs.test:24747"
	services  = "srv:_ftfuse._tcp.logs.test"
)

// named is a target whose members the DNS says; all are listed that ever are one.
func named(policy, names string, members ...*station) route {
	return route{policy: policy, names: names, members: members}
}

// alias has logs.test be these.
func (f *fleet) alias(list ...*station) {
	var hosts []*netlab.Host
	for _, s := range list {
		hosts = append(hosts, s.host)
	}
	f.net.Alias("logs.test", hosts...)
}

// offered is a record of the service: a receiver with the port that it has now.
func (s *station) offered(priority, weight uint16) netlab.Service {
	return netlab.Service{Host: s.host.Name(), Port: uint16(s.port), Priority: priority, Weight: weight}
}

func (f *fleet) services(list ...netlab.Service) {
	f.net.Services(strings.TrimPrefix(services, "srv:"), list...)
}

// peers are a sender's receivers by address, those left out that go.
func (s *station) peers() map[string]control.PeerStatus {
	all := map[string]control.PeerStatus{}
	if st := s.status().Sender; st != nil {
		for _, p := range st.Peers {
			if p.Role != "removed" {
				all[p.Address] = p
			}
		}
	}
	return all
}

// knows waits until a sender's receivers are these addresses, and no others.
func (s *station) knows(list ...string) {
	s.f.t.Helper()
	slices.Sort(list)
	s.f.until(fmt.Sprintf("the receivers of %s are %v", s.name, list), 30*time.Second, func() bool {
		var now []string
		for address := range s.peers() {
			now = append(now, address)
		}
		slices.Sort(now)
		return slices.Equal(now, list)
	})
}

// ip is where a receiver is found by its address.
func (s *station) ip() string { return fmt.Sprintf("%s:%d", s.host.Addr(), s.port) }

// spread starts writers of so many files, each of which often opens its file anew: what they write is of many handles and paths.
func (s *station) spread(n int) {
	s.f.t.Helper()
	for i := range n {
		id := fmt.Sprintf("%s-w%d", s.name, len(s.loads))
		s.loads = append(s.loads, startLoad(s.f.t, s.mnt(), id, fmt.Sprintf("w%d.log", i), "-pause", "4ms", "-again=true", "-reopen", "10"))
	}
}

// all waits until more comes to each of these.
func (f *fleet) all(list ...*station) {
	f.t.Helper()
	for _, r := range list {
		f.flowing(r)
	}
}

// The addresses of a name change while data flows: one leaves, another comes, and the first comes back. As nobody is away,
// nothing is sent twice.
func TestAddressesComeAndGo(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"failover", "balance", "hash, hash: path"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			list := f.receivers(3)
			a, b, c := list[0], list[1], list[2]
			f.alias(a, b)
			s := f.sender("s1", named(policy, addresses, list...))
			for _, of := range f.stations { // nobody is away who is only slow
				of.calm = true
			}
			f.start()
			s.spread(8)
			shared := func(first, other *station) {
				t.Helper()
				s.knows(first.ip(), other.ip())
				f.flowing(first)
				if policy != "failover" { // which has all go to the first
					f.flowing(other)
				}
			}
			shared(a, b)
			f.alias(b, c)
			shared(b, c)
			f.alias(c, a)
			shared(a, c)
			f.settle()
			if n := s.doubled(f.there()); n > 0 {
				t.Errorf("%d lines came more than once, and nobody was away", n)
			}
		})
	}
}

// Answers have other members each time, as those of a DNS that gives a part of a long list, connections do not live long, and
// some receivers die.
func TestAddressesInTurn(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"failover", "balance", "hash, hash: path"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			list := f.receivers(3)
			f.alias(list[0])
			r := named(policy, addresses, list...)
			r.more = ", max_age: 1s"
			s := f.sender("s1", r)
			f.start()
			s.spread(6)
			rnd := random(t)
			for i := range soak(12) {
				some := slices.Clone(list)
				rnd.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
				some = some[:1+rnd.Intn(2)]
				f.alias(some...)
				var at []string
				for _, m := range some {
					at = append(at, m.ip())
				}
				s.knows(at...)
				if i%3 == 2 {
					some[0].kill()
					some[0].start()
				}
			}
			f.settle()
		})
	}
}

// atPorts are n receivers, each at a port of its own.
func (f *fleet) atPorts(n int) []*station {
	list := f.receivers(n)
	for i, r := range list {
		r.port = 4001 + i
	}
	return list
}

// Of the records of a service those of the lowest priority number share, by their weights and each at its port. A record goes,
// another takes its place, and a receiver starts anew at another port.
func TestServicesShare(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.atPorts(3)
	a, b, c := list[0], list[1], list[2]
	f.services(a.offered(10, 30), b.offered(10, 10), c.offered(20, 10))
	s := f.sender("s1", named("balance", services, list...))
	f.start()
	s.spread(12)
	s.knows(a.at(), b.at())
	f.all(a, b)
	f.until("the one that weighs more gets more", 60*time.Second, func() bool {
		of := s.peers()
		return of[b.at()].Acked.Records > 300 && of[a.at()].Acked.Records > 2*of[b.at()].Acked.Records
	})
	if n := c.status().Receiver.Totals.Stored.Records; n > 0 {
		t.Errorf("a record of a higher priority number has got %d lines", n)
	}
	f.services(b.offered(10, 10), c.offered(10, 10))
	s.knows(b.at(), c.at())
	f.all(b, c)
	b.proc.stop(t)
	b.port = 4012
	b.start()
	f.services(a.offered(10, 10), b.offered(10, 10), c.offered(20, 10))
	s.knows(a.at(), b.at())
	f.all(a, b)
	f.settle()
}

// With failover all records are members, in the order of their priorities, which can change.
func TestServicesInOrder(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.atPorts(3)
	a, b, c := list[0], list[1], list[2]
	f.services(c.offered(30, 1), b.offered(20, 1), a.offered(10, 1))
	s := f.sender("s1", named("failover", services, list...))
	f.start()
	s.write(quick)
	s.knows(a.at(), b.at(), c.at())
	active := func(r *station) {
		t.Helper()
		f.until(r.name+" is the active one", 30*time.Second, func() bool { return s.peers()[r.at()].Role == "active" })
		f.flowing(r)
	}
	active(a)
	f.services(c.offered(5, 1), b.offered(20, 1), a.offered(10, 1))
	active(c)
	c.kill()
	active(a)
	f.services(b.offered(20, 1), c.offered(30, 1))
	active(b)
	c.start()
	f.services(b.offered(20, 1), c.offered(10, 1))
	active(c)
	f.settle()
}

// The name server is away, which hosts are told or not: the last answer holds, status and metrics say so, and one that was
// killed is found again. What the name server says when it is back counts.
func TestNamesAway(t *testing.T) {
	t.Parallel()
	for what, names := range map[string]struct{ away, back func(s *station) error }{
		"stopped": {func(s *station) error { return s.f.net.StopNames() }, func(s *station) error { return s.f.net.StartNames() }},
		"lost":    {func(s *station) error { return s.host.LoseNames() }, func(s *station) error { return s.host.Heal() }},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			list := f.receivers(3)
			a, b, c := list[0], list[1], list[2]
			f.alias(a, b)
			s := f.sender("s1", named("balance", addresses, list...))
			f.start()
			s.spread(6)
			f.all(a, b)
			f.must(names.away(s))
			s.failing(true)
			f.alias(b, c)
			s.knows(a.ip(), b.ip())
			a.kill()
			a.start()
			f.all(a, b)
			s.failing(true)
			f.must(names.back(s))
			s.failing(false)
			s.knows(b.ip(), c.ip())
			f.all(b, c)
			f.settle()
		})
	}
}

// failing waits until a sender says that the DNS is away, or that it is not, everywhere it says that.
func (s *station) failing(want bool) {
	t := s.f.t
	t.Helper()
	var st control.Status
	s.f.until(fmt.Sprintf("%s says of the DNS that it is away: %v", s.name, want), 60*time.Second, func() bool {
		st = s.status()
		return st.Sender != nil && (st.Sender.Targets[0].DNS != "") == want
	})
	var said strings.Builder
	if err := st.Print(&said, control.Style{}); err != nil {
		t.Fatal(err)
	}
	if since := st.Sender.Targets[0].DNSSince; strings.Contains(said.String(), "the DNS does not tell") != want || since.IsZero() == want {
		t.Errorf("the DNS is away: %v; status says since %v:\n%s", want, since, &said)
	}
	value := map[bool]string{true: "1", false: "0"}[want]
	s.f.until("the metric of the DNS is "+value, 60*time.Second, func() bool { // an answer may be late once
		_, text := get(t, s.scrape(), "/metrics")
		_, samples := exposed(t, text)
		return samples[`ftfuse_target_dns_failing{target="t0"}`] == value
	})
}

// A sender starts while the name server is away: it knows no receiver, what is captured waits, and all of it arrives.
func TestNamesAwayAtTheStart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	list := f.receivers(2)
	f.alias(list...)
	s := f.sender("s1", named("hash, hash: path", addresses, list...))
	f.start()
	s.spread(6)
	f.all(list...)
	f.must(f.net.StopNames())
	s.kill()
	s.start()
	s.failing(true)
	s.knows()
	f.until("something waits", 30*time.Second, func() bool { return s.owes(true) })
	f.must(f.net.StartNames())
	s.failing(false)
	f.all(list...)
	f.settle()
}

// A name has one address, which changes while the receiver runs: another member is the same receiver, known by the name in its
// certificate, and what it has is not sent again.
func TestAddressMoves(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := f.receiver("r1")
	f.alias(r)
	s := f.sender("s1", named("failover", addresses, r))
	f.certified(map[string]*station{"logs.test": r, "s1": s})
	f.start()
	s.write(quick)
	for range 2 {
		f.flowing(r)
		f.must(r.host.Move())
		s.knows(r.ip())
		f.until("s1 is connected to "+r.ip(), 30*time.Second, func() bool {
			p := s.peers()[r.ip()]
			return p.Connected() && p.TLS && p.Identity == "logs.test"
		})
	}
	f.flowing(r)
	f.settle()
}

// certified gives stations certificates for these names, of one authority.
func (f *fleet) certified(names map[string]*station) {
	f.t.Helper()
	ca := filepath.Join(f.dir, "ca")
	certs(f.t, f.dir, "init", "--dir", ca, "--name", "test")
	for name, s := range names {
		certs(f.t, f.dir, "issue", name, "--dir", ca, "--out", f.dir)
		s.tls = fmt.Sprintf("ca: %s/ca.crt, cert: %s/%s.crt, key: %[2]s/%[3]s.key", ca, f.dir, name)
	}
}
