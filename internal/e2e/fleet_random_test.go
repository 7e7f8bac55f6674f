package e2e

import (
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/netlab"
)

// Fifty networks, each of a shape of its own, in which everything happens at random that can happen to links, addresses,
// processes and disks. FTFUSE_SCHEDULE runs one again that has failed.
func TestNetworkSoak(t *testing.T) {
	if v, err := strconv.ParseInt(os.Getenv("FTFUSE_SCHEDULE"), 10, 64); err == nil {
		storm(t, v)
		return
	}
	rnd := random(t)
	seeds := make(chan int64)
	var wg sync.WaitGroup
	for range 5 { // they wait most of their time
		wg.Go(func() {
			for seed := range seeds {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { storm(t, seed) })
			}
		})
	}
	for range soak(50) {
		seeds <- rnd.Int63()
	}
	close(seeds)
	wg.Wait()
}

// storm is one schedule.
func storm(t *testing.T, seed int64) {
	t.Logf("schedule: FTFUSE_SCHEDULE=%d", seed)
	rnd := rand.New(rand.NewSource(seed))
	f := newFleet(t)
	f.program = nimble(t)
	f.shape(rnd)
	f.start()
	for _, s := range f.of("sender") {
		s.write(time.Duration(2+rnd.Intn(8)) * time.Millisecond)
	}
	w := &weather{f: f, rnd: rnd}
	for range 4 + rnd.Intn(5) {
		w.pass(time.Duration(rnd.Intn(400)) * time.Millisecond)
		w.event()
	}
	w.clear()
	f.settle()
}

// shape makes senders and receivers. A new kind of topology is a new case here.
func (f *fleet) shape(rnd *rand.Rand) {
	var receivers []*station
	for i := range 1 + rnd.Intn(2) {
		receivers = append(receivers, f.receiver(fmt.Sprintf("r%d", i+1)))
	}
	for i := range 1 + rnd.Intn(3) {
		routes := []route{to(receivers[rnd.Intn(len(receivers))])}
		if rnd.Intn(4) == 0 { // a target each
			routes = nil
			for _, r := range receivers {
				routes = append(routes, to(r))
			}
		}
		f.sender(fmt.Sprintf("s%d", i+1), routes...)
	}
	for _, s := range f.stations {
		f.t.Logf("%s sends to %d targets", s.name, len(s.routes))
	}
}

// weather is what befalls a fleet.
type weather struct {
	f        *fleet
	rnd      *rand.Rand
	replaced bool
	cloned   bool
}

// pass lets time pass, as the writers do.
func (w *weather) pass(d time.Duration) { time.Sleep(d) }

func (w *weather) any(list []*station) *station { return list[w.rnd.Intn(len(list))] }

// event lets one thing happen. Links stay as they are until they are healed.
func (w *weather) event() {
	f := w.f
	f.t.Helper()
	s := w.any(f.stations)
	switch k := w.rnd.Intn(20); {
	case k < 4:
		way := netlab.Way(1 + w.rnd.Intn(3))
		w.say(s, "the link is cut, %v", way)
		f.must(s.host.Cut(way))
	case k < 6:
		p := netlab.Pace{Rate: (100 + w.rnd.Intn(900)) << 10, Queue: (70 + w.rnd.Intn(400)) << 10}
		w.say(s, "the link is slow, %+v", p)
		f.must(s.host.Slow(p))
	case k < 8:
		other := w.any(f.stations)
		if other != s {
			w.say(s, "what it sends to %s is lost", other.name)
			f.must(s.host.Lose(other.host))
		}
	case k < 12:
		w.say(s, "the link is healed")
		f.must(s.host.Heal())
	case k < 15:
		w.say(s, "killed")
		s.proc.kill()
		w.pass(time.Duration(w.rnd.Intn(200)) * time.Millisecond)
		s.start()
	case k < 17:
		w.receiver(func(r *station) {
			w.say(r, "stops in order")
			r.proc.stop(f.t)
			w.pass(time.Duration(w.rnd.Intn(200)) * time.Millisecond)
			r.start()
		})
	case k < 18:
		w.receiver(func(r *station) {
			w.say(r, "gets another address")
			f.must(r.host.Move())
		})
	case k < 19 && !w.replaced:
		w.receiver(func(r *station) {
			w.say(r, "gets an empty disk")
			w.replaced = true
			r.replace()
		})
	case !w.cloned:
		w.clone()
	}
}

func (w *weather) say(s *station, format string, a ...any) {
	w.f.t.Helper()
	w.f.t.Logf(s.name+": "+format, a...)
}

func (w *weather) receiver(do func(*station)) { do(w.any(w.f.of("receiver"))) }

// clone has a second machine run a copy of a sender's disk. What the sender has not delivered yet would come from both, so
// it delivers all before.
func (w *weather) clone() {
	f := w.f
	f.t.Helper()
	s := w.any(f.of("sender"))
	w.cloned = true
	w.clear()
	s.endWriters()
	s.drain()
	s.proc.stop(f.t)
	c := s.clone(s.name + "c")
	w.say(s, "has a clone, %s", c.name)
	s.start()
	c.start()
	s.write(quick)
	c.write(quick)
}

// clear heals all links.
func (w *weather) clear() {
	w.f.t.Helper()
	for _, s := range w.f.stations {
		w.f.must(s.host.Heal())
	}
}
