package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// everywhere waits until receivers have all that loads wrote, and holds it against that: once and in order.
func (s *site) everywhere(l []*load, receivers ...*site) {
	s.t.Helper()
	for _, w := range l {
		for _, r := range receivers {
			s.until("everything of "+w.id+" is at "+r.addr, 60*time.Second, func() bool { return strings.HasSuffix(r.received(w.file), lastLine(w)) })
			w.check(s.t, r.received(w.file))
		}
	}
}

// gathers lets writers write for a while that somebody cannot be reached, so that it waits.
func (s *site) gathers(name string, queued func() uint64) []*load {
	s.t.Helper()
	l := []*load{s.load(name, name+".log", "-pause", "1ms")}
	s.until("something waits", 20*time.Second, func() bool { return queued() > 2<<10 })
	l[0].end(s.t)
	return l
}

// A target with one receiver, which is down, becomes broadcast, by a reload and over a restart: what waited for it goes to every
// member, once. When it has one receiver again, what that one has not got goes on to it.
func TestATargetBecomesBroadcast(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			a, b := newSite(t), newSite(t)
			alone := func(r *site) string { return fmt.Sprintf("address: %q", r.addr) }
			changes := func(members, want string) {
				t.Helper()
				if !restart {
					if said := s.withMembers(members); !strings.Contains(said, want) || strings.Contains(said, "main ended") {
						t.Errorf("the reload said %s, want %s", said, want)
					}
					return
				}
				s.sender.stop(t)
				s.members = members
				s.startSender()
				if log := s.sender.log(); !strings.Contains(log, want) {
					t.Errorf("the log does not say %s", want)
				}
			}
			queued := func(target string) func() uint64 {
				return func() uint64 { return s.flowing("rest", target).Queued.Bytes }
			}
			s.members = alone(a)
			s.startSender()
			l := s.gathers("one", queued("main"))
			changes(membersOf("broadcast", a, b), "what waits for main goes to main/a and main/b")
			l = append(l, s.gathers("two", queued("main/b"))...)
			b.startReceiver()
			s.everywhere(l, b)
			if n := queued("main/a")(); n == 0 {
				t.Error("got nothing queued for the one that is down")
			}
			changes(membersOf("failover", a), "what waits for main/a goes to main")
			l = append(l, s.gathers("three", queued("main"))...)
			a.startReceiver()
			s.everywhere(l, a)
			for _, f := range s.status("sender").Sender.Flows {
				if !f.Balanced() || f.Dropped.Total().Bytes > 0 {
					t.Errorf("flow %+v does not add up, or something was dropped", f)
				}
			}
			if got := b.received("three.log"); got != "" {
				t.Errorf("the one that was left out got %s", brief(got))
			}
		})
	}
}

// So it is on a relay whose target must answer before the sender is told: nothing is acknowledged before every member has it.
func TestATargetOfARelayBecomesBroadcast(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := newSite(t), newSite(t)
	r := s.relayTo("relay1", a.addr, "end")
	r.start()
	s.addr = r.addr
	s.startSender()
	l := s.gathers("one", func() uint64 { return s.queuedAt(r) })
	r.targets = fmt.Sprintf("[{name: up, ack: end, backoff: {min: 10ms, max: 200ms}, %s}]", membersOf("broadcast", a, b))
	r.reload()
	l = append(l, s.gathers("two", func() uint64 { return s.queuedAt(r) })...)
	b.startReceiver()
	s.everywhere(l, b)
	if n := s.flowing("rest", "main").Delivered.Records; n != 0 {
		t.Errorf("the sender was told of %d records, and one member has none", n)
	}
	a.startReceiver()
	s.everywhere(l, a)
	s.drainedRelays(r)
}
