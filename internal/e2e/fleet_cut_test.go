package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/control"
	"ftfuse/internal/netlab"
)

const quick = 2 * time.Millisecond // between lines

func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// apart waits until a sender knows that its receiver is away, and the receiver that its sender is.
func (f *fleet) apart(s, r *station) {
	f.t.Helper()
	f.until(s.name+" knows that "+r.name+" is away", 30*time.Second, func() bool {
		st := s.status().Sender
		return st != nil && st.Peers[0].State != "connected"
	})
	f.until(r.name+" knows that "+s.name+" is away", 30*time.Second, func() bool {
		st := r.status().Receiver
		return st != nil && st.Totals.Connections == 0
	})
}

// flowing waits until more of a writer's lines have come to a receiver.
func (f *fleet) flowing(r *station) {
	f.t.Helper()
	f.flowingAfter(r, func() {})
}

// flowingAfter is flowing where what comes may have come before anybody looks, once this is done.
func (f *fleet) flowingAfter(r *station, do func()) {
	f.t.Helper()
	stored := func() uint64 {
		if st := r.status().Receiver; st != nil {
			return st.Totals.Stored.Records
		}
		return 0
	}
	before := stored()
	do()
	f.until("lines come to "+r.name, 30*time.Second, func() bool { return stored() > before })
}

// A link is cut for longer than all time-outs, one way, the other and both: each side finds out by itself, and when the
// link is healed all arrives, once.
func TestNetworkCut(t *testing.T) {
	t.Parallel()
	for _, way := range []netlab.Way{netlab.Both, netlab.Out, netlab.In} {
		t.Run(way.String(), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			r, s1, s2 := f.twoToOne()
			f.must(r.host.Cut(way))
			f.apart(s1, r)
			f.apart(s2, r)
			f.must(r.host.Heal())
			f.flowing(r)
			f.settle()
		})
	}
}

// twoToOne starts two senders that write to one receiver, and waits until something has arrived.
func (f *fleet) twoToOne() (r, s1, s2 *station) {
	r = f.receiver("r1")
	s1, s2 = f.sender("s1", to(r)), f.sender("s2", to(r))
	f.start()
	s1.write(quick)
	s2.write(quick)
	f.flowing(r)
	return r, s1, s2
}

// What a sender sends is lost between it and its receiver, and only that: others go on.
func TestNetworkLost(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r, s1, _ := f.twoToOne()
	f.must(s1.host.Lose(r.host))
	f.until("s1 knows that r1 is away", 30*time.Second, func() bool {
		st := s1.status().Sender
		return st != nil && st.Peers[0].State != "connected"
	})
	f.flowing(r)
	f.must(s1.host.Heal())
	f.settle()
}

// A link is slower than the writers, with a long queue and with a short one that loses what does not fit.
func TestNetworkSlow(t *testing.T) {
	t.Parallel()
	for _, queue := range []int{70 << 10, 1 << 20} {
		t.Run(fmt.Sprintf("queue of %d KiB", queue>>10), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			r := f.receiver("r1")
			s := f.sender("s1", to(r))
			s.calm, r.calm = true, true
			f.start()
			peer := func() control.PeerStatus { // zero for one that does not say how it is
				if st := s.status().Sender; st != nil {
					return st.Peers[0]
				}
				return control.PeerStatus{}
			}
			f.until("s1 is connected", 30*time.Second, func() bool { p := peer(); return p.Connected() })
			before := peer()
			f.must(s.host.Slow(netlab.Pace{Rate: 64 << 10, Queue: queue}))
			s.write(time.Millisecond)
			f.until("a backlog", 60*time.Second, func() bool { st := s.status().Sender; return st != nil && st.Queue.Bytes > 300<<10 })
			f.flowing(r)
			f.settle()
			if p := peer(); p.Reconnects != before.Reconnects || p.Failures != before.Failures || !p.Connected() {
				t.Errorf("a slow link is no broken one: %+v, before it was slow %+v", p, before)
			}
		})
	}
}

// The receiver gets another address while it runs: senders that know it by its name find it again.
func TestNetworkMoves(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := f.receiver("r1")
	s := f.sender("s1", to(r))
	f.start()
	s.write(quick)
	for range 2 {
		f.flowing(r)
		f.must(r.host.Move())
		at := fmt.Sprintf("address=%s:%d ", r.host.Addr(), port) // status has the name
		f.until("s1 says that it is connected to "+at, 30*time.Second, func() bool { return strings.Contains(s.proc.all(), at) })
	}
	f.flowing(r)
	f.settle()
}

// A receiver is replaced by one with an empty disk: what it had acknowledged is on the old one, and everything else comes
// to the new one.
func TestNetworkReplaced(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r, s1, _ := f.twoToOne()
	r.replace()
	f.flowing(r)
	f.must(r.host.Cut(netlab.In)) // so that something waits
	f.until("something waits", 30*time.Second, func() bool { return s1.owes(true) && r.status().Receiver != nil })
	f.must(r.host.Heal())
	r.replace()
	f.flowing(r)
	f.settle()
}

// clones makes two senders with copies of one disk, which have nothing to deliver and do not run, and their receiver.
func (f *fleet) clones() (r, s1, s2 *station) {
	f.t.Helper()
	r = f.receiver("r1")
	s1 = f.sender("s1", to(r))
	f.start()
	s1.write(quick)
	f.flowing(r)
	f.endWriters()
	f.drained()
	s1.proc.stop(f.t)
	return r, s1, s1.clone("s2")
}

// Two machines run copies of one disk: the receiver tells them apart, and all of both arrives, once.
func TestNetworkCloned(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r, s1, s2 := f.clones()
	s1.start()
	s2.start()
	f.drained()
	s1.write(quick)
	s2.write(quick)
	f.flowing(r)
	s1.host.Cut(netlab.Both)
	f.flowing(r)
	f.must(s1.host.Heal())
	f.settle()
	if a, b := s1.status().Sender, s2.status().Sender; a.ID != b.ID || a.Queue.Epoch == b.Queue.Epoch {
		t.Errorf("the clones have ids %s and %s, epochs %d and %d; want one id and two epochs", a.ID, b.ID, a.Queue.Epoch, b.Queue.Epoch)
	}
}

// One copy of a disk delivers what the other one has captured under the same names, before the two have met at the receiver, and the
// other is killed meanwhile, which begins an epoch: that the receiver holds more under the old names proves nothing.
func TestNetworkClonesApart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r, s1, s2 := f.clones()
	s1.host.Cut(netlab.Both)
	s1.start()
	s1.write(quick)
	f.until("s1 has something that waits", 30*time.Second, func() bool { return s1.owes(true) })
	s1.endWriters()
	s2.start()
	s2.write(quick)
	captured := func(s *station) (n uint64) {
		if st := s.status().Sender; st != nil {
			for _, flow := range st.Flows {
				n += flow.Captured.Records
			}
		}
		return n
	}
	f.flowing(r)
	f.until("s2 has captured much more", 60*time.Second, func() bool { has := captured(s1); return has > 0 && captured(s2) > 4*has })
	s2.proc.kill()
	s1.proc.kill()
	s1.start()
	f.flowingAfter(r, func() { f.must(s1.host.Heal()) }) // s1 has no more than what waits
	s2.start()
	f.settle()
}
