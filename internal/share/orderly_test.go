package share_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/share"
)

// scene is a site with a share that runs, in a bubble whose time is not that of the clock.
type scene struct {
	*site
	*life
	n int
}

func play(t *testing.T, o share.Options, list []share.Member, f func(s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for _, m := range list {
			names = append(names, m.Name)
		}
		site, st := newSite(t, append(names, "new")...), newStore()
		s := &scene{site: site, life: site.live(st, o, list)}
		f(s)
		s.await("in the end")
		s.end()
		s.quiet()
		s.complete(st)
		if d, u := s.doubles(), s.share.Status().Uncertain.Chunks; d > u {
			t.Errorf("got %d doubled chunks, %d uncertain ones", d, u)
		}
	})
}

// write adds chunks of many handles.
func (s *scene) write(chunks int) {
	for range chunks {
		s.n++
		s.backlog.add(record.Chunk{Handle: uint64(s.n*7919) % 997})
	}
}

// stored is how many chunks a receiver holds.
func (s *scene) stored(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.receivers[name].holds)
}

func (s *scene) slow(name string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receivers[name].delay = d
}

// exact checks that nothing was doubled, nor could have been.
func (s *scene) exact() {
	s.t.Helper()
	if d, st := s.doubles(), s.share.Status(); d != 0 || st.Uncertain != (share.Amount{}) || st.HandOvers != 0 {
		s.t.Errorf("got %d doubled chunks, %+v, want none", d, st.Counters)
	}
}

func (s *scene) member(name string) (m share.MemberStatus) {
	for _, m = range s.share.Status().Members {
		if m.Name == name {
			return m
		}
	}
	s.t.Fatalf("no member %s", name)
	return m
}

// Failover: all to the first; to the second when that has been away for HandOver, not before; back when it has been well
// for ReturnAfter, after what is under way, so that nothing is sent twice.
func TestFailover(t *testing.T) {
	play(t, options(share.Failover), members("a", "b", "c"), func(s *scene) {
		s.write(100)
		s.await("at the first")
		if m := s.member("b"); s.stored("a") != 100 || m.State != "standby" {
			t.Fatalf("got %d chunks at the first, %+v", s.stored("a"), m)
		}
		s.set("a", false)
		s.write(10)
		time.Sleep(1900 * time.Millisecond)
		if n := s.stored("b"); n != 0 {
			t.Fatalf("got %d chunks at the second before the time has come", n)
		}
		s.await("at the second")
		if s.stored("b") != 10 || s.stored("c") != 0 || s.share.Status().HandOvers != 1 {
			t.Fatalf("got %+v", s.share.Status())
		}
		s.set("a", true)
		s.slow("b", 50*time.Millisecond)
		for s.stored("a") == 100 { // the second is always busy
			s.write(20)
			time.Sleep(100 * time.Millisecond)
		}
		s.await("at the first again")
		if m := s.member("b"); m.State != "standby" || s.doubles() != 0 {
			t.Errorf("got %+v, %d doubled, want a second that is not connected and nothing doubled", m, s.doubles())
		}
	})
}

// A receiver that says it goes, and one that is taken out of the configuration, finish what is under way; the rest goes to
// the others at once, and nothing twice.
func TestOrderly(t *testing.T) {
	for _, p := range policies {
		for name, leave := range map[string]func(s *scene){
			"goaway":  func(s *scene) { s.leave("a") },
			"removed": func(s *scene) { _ = s.share.SetMembers(members("b", "c")) },
		} {
			t.Run(p.String()+" "+name, func(t *testing.T) {
				play(t, options(p), members("a", "b", "c"), func(s *scene) {
					s.slow("a", 30*time.Millisecond)
					s.write(60)
					time.Sleep(50 * time.Millisecond)
					s.write(500)
					time.Sleep(10 * time.Millisecond)
					leave(s)
					start := time.Now()
					s.await("elsewhere")
					if took := time.Since(start); took > 1500*time.Millisecond {
						t.Errorf("got %v until all was elsewhere, want no wait for the hand-over time", took)
					}
					if d, u := s.doubles(), s.share.Status().Uncertain; d != 0 || u != (share.Amount{}) {
						t.Errorf("got %d doubled chunks, %+v uncertain, want none", d, u)
					}
				})
			})
		}
	}
}

// A connection that asks for more in the moment in which its member is taken out gets nothing: what it got would count as sent.
func TestNothingForOneThatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStore().open()
		has, goes := make(chan struct{}), make(chan struct{})
		began := sync.OnceFunc(func() { close(has) })
		take := func(lane *share.Lane, d time.Duration) (record.Batch, error) {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			return lane.Next(ctx, 1)
		}
		s, err := share.New(share.Options{Backlog: b, Sender: self, Run: func(ctx context.Context, m share.Member, lane *share.Lane) error {
			if err := lane.Up(record.SenderID{m.Name[0]}, nil); err != nil {
				return err
			}
			for ctx.Err() == nil {
				got, err := lane.Next(ctx, 1)
				if err != nil {
					return nil
				}
				if m.Name == "a" {
					began()
					<-goes
					if more, err := take(lane, time.Second); err == nil {
						t.Errorf("got positions %d to %d for a member that was taken out, want none", more.First, more.Last)
					}
				}
				if err := lane.Ack(got.Last, record.Durable{}); err != nil {
					return err
				}
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetMembers(members("a")); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		for range 10 {
			b.add(record.Chunk{Handle: 1})
			synctest.Wait() // one entry of the lane each
		}
		<-has
		if err := s.SetMembers(members("b")); err != nil {
			t.Fatal(err)
		}
		close(goes)
		for !b.done() {
			time.Sleep(time.Millisecond)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if u := s.Status().Uncertain; u != (share.Amount{}) {
			t.Errorf("got %+v uncertain, want none", u)
		}
	})
}

// A new member takes its share of parts, and only that, after what is under way.
func TestNewMember(t *testing.T) {
	for _, p := range []share.Policy{share.Balance, share.Hash} {
		t.Run(p.String(), func(t *testing.T) {
			o := options(p)
			if p == share.Hash {
				o.Key = func(c *record.Chunk) string { return strconv.FormatUint(c.Handle, 10) }
			}
			play(t, o, members("a", "b", "c"), func(s *scene) {
				s.write(2000)
				s.await("at three")
				before := map[string]int{}
				for _, n := range []string{"a", "b", "c"} {
					before[n] = s.member(n).Parts
					if before[n] < 12 || before[n] > 32 {
						t.Errorf("member %s: got %d parts of 64, want a third or so", n, before[n])
					}
				}
				if err := s.share.SetMembers(members("a", "b", "c", "new")); err != nil {
					t.Fatal(err)
				}
				for range 20 {
					s.write(500)
					time.Sleep(200 * time.Millisecond)
				}
				s.await("at four")
				if n := s.member("new").Parts; n < 8 || n > 26 {
					t.Errorf("got %d parts at the new member, want a quarter or so", n)
				}
				for n, was := range before {
					if now := s.member(n).Parts; now > was {
						t.Errorf("member %s: got %d parts, had %d: want none moved to it", n, now, was)
					}
				}
				s.exact()
			})
		})
	}
}

// Weights: a member of weight 3 gets three times what one of weight 1 gets.
func TestWeights(t *testing.T) {
	for _, p := range []share.Policy{share.Balance, share.Hash} {
		t.Run(p.String(), func(t *testing.T) {
			o := options(p)
			if p == share.Hash {
				o.Key = func(c *record.Chunk) string { return strconv.FormatUint(c.Handle, 10) }
			}
			list := members("a", "b", "c")
			list[0].Weight = 3
			play(t, o, list, func(s *scene) {
				time.Sleep(time.Second) // all are connected
				for range 10 {
					s.write(500)
					time.Sleep(time.Second)
				}
				s.await("by weight")
				if n := s.stored("a"); n < 2200 || n > 3800 {
					t.Errorf("got %d of 5000 chunks at weight 3 of 5, want 3000 or so", n)
				}
				s.exact()
			})
		})
	}
}

// Hash: the same key goes to the same member while that is well, and comes back to it.
func TestHashComesBack(t *testing.T) {
	play(t, options(share.Hash), members("a", "b", "c"), func(s *scene) {
		s.write(1000)
		s.await("at home")
		home := s.member("a").Parts
		s.set("a", false)
		time.Sleep(3 * time.Second)
		s.write(1000)
		s.await("elsewhere")
		if m := s.member("a"); m.Parts != 0 || m.State != "given up" {
			t.Errorf("got %+v, want no part at a member that is away", m)
		}
		s.set("a", true)
		time.Sleep(4 * time.Second)
		s.write(1000)
		if n := s.member("a").Parts; n != 0 {
			t.Errorf("got %d parts at a member that came back just now", n)
		}
		time.Sleep(2 * time.Second)
		s.write(1000)
		s.await("at home again")
		if n := s.member("a").Parts; n != home {
			t.Errorf("got %d parts, want the %d of before", n, home)
		}
	})
}

// With replicas: 1 only one other stands in; what belongs to two members that are away waits.
func TestReplicas(t *testing.T) {
	o := options(share.Hash)
	o.Replicas = 1
	play(t, o, members("a", "b", "c"), func(s *scene) {
		s.set("a", false)
		s.set("b", false)
		s.write(100) // less than a lane holds
		time.Sleep(time.Minute)
		if n := s.stored("c"); n == 0 || n == 100 {
			t.Errorf("got %d of 100 chunks at the third, want what it is first or second choice of", n)
		}
		s.set("a", true)
	})
}

// Two members that are one receiver: it is used once, and the other says why.
func TestSameReceiver(t *testing.T) {
	for _, p := range []share.Policy{share.Balance, share.Hash} {
		t.Run(p.String(), func(t *testing.T) {
			list := members("a", "b")
			list = append(list, share.Member{Name: "again", Address: "a"})
			play(t, options(p), list, func(s *scene) {
				s.write(300)
				s.await("at two")
				time.Sleep(10 * time.Second) // the one that was replaced is connected again
				s.write(300)
				s.await("at two again")
				states := map[string]int{}
				for _, n := range []string{"a", "again"} {
					states[s.member(n).State]++
				}
				if states["clash"] != 1 || states["active"] != 1 {
					t.Errorf("got %v, want one that is used and one that is not: %+v", states, s.share.Status().Members)
				}
			})
		})
	}
}

// A member that is full and well makes the others wait for it, but not longer than it is well; what is held is bounded.
func TestBounded(t *testing.T) {
	o := options(share.Hash)
	play(t, o, members("a", "b"), func(s *scene) {
		s.slow("a", time.Hour)
		s.write(5000)
		time.Sleep(time.Minute)
		if n := s.member("a").Waiting.Chunks; n == 0 || int64(n)*612 > 2*o.Bound {
			t.Errorf("got %d chunks held for a member that takes nothing, bound %d", n, o.Bound)
		}
		if n := s.stored("b"); n > 2000 {
			t.Errorf("got %d chunks at the other, want it to wait", n)
		}
		s.set("a", false)
		s.slow("a", 0)
		start := time.Now()
		s.await("at the other")
		if took := time.Since(start); took < time.Second || took > 10*time.Second {
			t.Errorf("got %v until the other had all, want some 2 s", took)
		}
	})
}

// A record that goes on in further chunks stays at one member, though its part is to go to another.
func TestRecordsStay(t *testing.T) {
	play(t, options(share.Failover), members("a", "b"), func(s *scene) {
		s.set("a", false)
		time.Sleep(3050 * time.Millisecond) // between two attempts at the first, which would be as good a choice as the second
		s.set("a", true)
		for n := range 200 { // the first is well for ReturnAfter when this is in its middle
			c := record.Chunk{Handle: 1, Flags: record.Continued | record.Continues}
			if n == 199 {
				c.Flags = record.Continues
			}
			s.backlog.add(c)
			time.Sleep(50 * time.Millisecond)
		}
		s.await("the record")
		if n := s.stored("b"); n != 200 {
			t.Errorf("got %d chunks of a record of 200 at one member", n)
		}
		s.write(10)
		s.await("behind it")
		if n := s.stored("a"); n != 10 {
			t.Errorf("got %d of 10 chunks at the first, behind the record", n)
		}
	})
}

// Bad options are refused, with what was expected.
func TestOptions(t *testing.T) {
	good := options(share.Hash)
	good.Backlog, good.Run = newStore().open(), (&life{}).connect
	for name, spoil := range map[string]func(o *share.Options){
		"no backlog":   func(o *share.Options) { o.Backlog = nil },
		"no run":       func(o *share.Options) { o.Run = nil },
		"policy":       func(o *share.Options) { o.Policy = share.Hash + 1 },
		"no key":       func(o *share.Options) { o.Key = nil },
		"no name":      func(o *share.Options) { o.By = "" },
		"below zero":   func(o *share.Options) { o.HandOver = -1 },
		"return below": func(o *share.Options) { o.ReturnAfter = -1 },
		"bound":        func(o *share.Options) { o.Bound = -1 },
		"replicas":     func(o *share.Options) { o.Replicas = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := share.New(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	s, err := share.New(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]share.Member{{{Name: "a"}, {Name: "a"}}, {{}}, {{Name: "a", Weight: -1}}} {
		if err := s.SetMembers(list); err == nil {
			t.Errorf("members %+v were taken", list)
		}
	}
}
