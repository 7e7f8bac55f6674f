package e2e

import (
	"math/rand"
	"slices"
	"time"

	"ftfuse/internal/netlab"
)

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
	if len(f.called) > 0 && w.rnd.Intn(3) == 0 {
		w.names()
		return
	}
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
		s.kill()
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
			if r.answers() { // what others have acknowledged by its word alone is not lost with its disk
				return
			}
			w.say(r, "gets an empty disk")
			w.replaced = true
			r.replace()
		})
	case !w.cloned:
		w.clone()
	}
}

// names has DNS name others of those that it named at first, or nobody be told.
func (w *weather) names() {
	f := w.f
	f.t.Helper()
	if s := w.any(f.of("sender")); w.rnd.Intn(4) == 0 {
		w.say(s, "what it asks DNS is lost")
		f.must(s.host.LoseNames())
		return
	}
	list := slices.Clone(f.called)
	w.rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:1+w.rnd.Intn(len(list))]
	for _, s := range list {
		w.say(s, "is what DNS answers")
	}
	f.alias(list...)
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
	s.remember()
	s.proc.stop(f.t)
	c := s.clone(s.name + "c")
	w.say(s, "has a clone, %s", c.name)
	s.start()
	c.start()
	s.write(10 * quick)
	c.write(10 * quick)
}

// clear heals all links.
func (w *weather) clear() {
	w.f.t.Helper()
	for _, s := range w.f.stations {
		w.f.must(s.host.Heal())
	}
}
