package capture

import (
	"context"
	"slices"
	"time"
)

// ageStreams emits what has waited long enough. When what waits in all streams takes too much memory, complete records
// go first, and if that is not enough, everything goes in pieces.
func (c *Capture) ageStreams(now time.Time) {
	p := &c.pass
	c.flushLoud()
	p.aged, p.due, p.grown = now, time.Time{}, 0
	held := c.eachAging(func(s *stream) { c.add(s.age(now, nil)) })
	if held > maxHeld {
		held = c.eachAging(func(s *stream) { c.add(s.release(nil)) })
	}
	if held > maxHeld {
		c.eachAging(func(s *stream) { c.add(s.cut(nil)) })
	}
	for _, s := range p.aging {
		p.dueBy(s.due())
	}
}

// eachAging calls f for the streams in which something waits, forgets those in which nothing does any more, and returns
// what the others hold in memory.
func (c *Capture) eachAging(f func(*stream)) (held int) {
	p := &c.pass
	p.aging = slices.DeleteFunc(p.aging, func(s *stream) bool {
		f(s)
		held += s.cost()
		s.aging = s.waits()
		return !s.aging
	})
	return held
}

// releaseAll registers what waits for company only: the follower stops.
func (c *Capture) releaseAll(ctx context.Context, now time.Time) {
	c.flushLoud()
	c.eachAging(func(s *stream) { c.add(s.release(nil)) })
	c.put(ctx)
	c.settle(now)
}

// dueBy notes that a stream is to be looked at by then; zero: not at all.
func (p *pass) dueBy(at time.Time) {
	if !at.IsZero() && (p.due.IsZero() || at.Before(p.due)) {
		p.due = at
	}
}

// patience returns how long the follower may sleep when no spool is polled.
func (p *pass) patience(now time.Time) time.Duration {
	if p.due.IsZero() {
		return tidyEvery
	}
	return min(max(p.due.Sub(now), ageEvery), tidyEvery)
}
