// Package pulse tells whether the workers of a program get on with what they have begun, for its watchdog.
package pulse

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Pulse is the sign of life of one worker. Only the worker calls Begin, Beat and End, which cost an atomic addition
// each; none looks at a clock. The zero value belongs to an idle worker whom nobody watches.
type Pulse struct {
	n    atomic.Uint64 // odd while at work
	name string
	// What Hung has last seen. Under Group.mu.
	seen uint64
	at   time.Time
}

// Begin says that a unit of work begins: one that ends soon unless something hangs. Waiting for work, for a lock that
// a program holds or for room in a queue by a rule's policy is no work.
func (p *Pulse) Begin() { p.n.Add(1) }

// Beat says that the unit in work goes on.
func (p *Pulse) Beat() { p.n.Add(2) }

// End says that the unit is done.
func (p *Pulse) End() { p.n.Add(1) }

// Group is a set of pulses that are watched together. The zero value is empty; with a nil one nobody watches.
type Group struct {
	mu     sync.Mutex // guards pulses and what Hung keeps in them
	pulses []*Pulse
}

// Join makes a pulse for a worker of that name; several workers may share a name.
func (g *Group) Join(name string) *Pulse {
	p := &Pulse{name: name}
	if g != nil {
		g.mu.Lock()
		g.pulses = append(g.pulses, p)
		g.mu.Unlock()
	}
	return p
}

// Leave ends the watch over a worker that has ended.
func (g *Group) Leave(p *Pulse) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.pulses, p); i >= 0 {
		g.pulses = slices.Delete(g.pulses, i, i+1)
	}
}

// Hung returns the names of the workers that have been seen in the same unit of work for at least limit. A unit is
// seen from the first call on that finds it: call it several times within limit.
func (g *Group) Hung(now time.Time, limit time.Duration) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for _, p := range g.pulses {
		n := p.n.Load()
		switch {
		case n%2 == 0 || n != p.seen:
			p.seen, p.at = n, now
		case now.Sub(p.at) >= limit && !slices.Contains(names, p.name):
			names = append(names, p.name)
		}
	}
	return names
}
