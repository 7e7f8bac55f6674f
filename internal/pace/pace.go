// Package pace says when bytes may go onto the line: not faster than a target's rate, and what matters more first.
package pace

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Class is how much something matters.
type Class uint8

// The classes.
const (
	High Class = iota
	Normal
	Low
	classes
)

func (c Class) String() string { return [...]string{"high", "normal", "low"}[min(c, Low)] }

// patience is how long bytes of a class wait for those that matter more; then one piece of theirs passes, lest they starve.
const patience = time.Second

// Piece is the most that passes at once, in bytes: what matters more waits no longer than for one.
const Piece = 64 << 10

// Line is the way to one target, shared by all connections that lead there.
type Line struct {
	rate *rate.Limiter // nil: no limit

	mu      sync.Mutex // guards the fields below
	passing [classes]int
	changed chan struct{} // closed and replaced when one has passed
}

// New makes a line. bytes is how many may pass in a second, 0 for no limit; burst is for how long unused allowance is kept.
func New(bytes int64, burst time.Duration) (*Line, error) {
	l := &Line{changed: make(chan struct{})}
	if bytes < 0 || bytes > 0 && burst <= 0 {
		return nil, fmt.Errorf("new line: got %d bytes a second and a burst of %v, want neither below 0", bytes, burst)
	}
	if bytes > 0 {
		kept := max(int64(float64(bytes)*burst.Seconds()), Piece)
		l.rate = rate.NewLimiter(rate.Limit(bytes), int(kept))
	}
	return l, nil
}

// Carries is how many bytes may pass in d, what was saved up left out; 0 where there is no limit.
func (l *Line) Carries(d time.Duration) int64 {
	if l.rate == nil {
		return 0
	}
	return int64(float64(l.rate.Limit()) * d.Seconds())
}

// Do calls write for n bytes, at most Piece, when they may pass. It returns ctx's error when ctx ends first. While write takes
// longer than the others have patience, it holds up nobody: it is its receiver that does not read, and on a line so thin that a
// piece takes as long the others pass by then anyway.
func (l *Line) Do(ctx context.Context, c Class, n int, write func() error) error {
	l.enter(c)
	leave := sync.OnceFunc(func() { l.leave(c) })
	defer leave()
	if err := l.yield(ctx, c); err != nil {
		return err
	}
	if l.rate != nil {
		if err := l.rate.WaitN(ctx, n); err != nil {
			return fmt.Errorf("wait for the rate limit: %w", err)
		}
	}
	defer time.AfterFunc(patience, leave).Stop()
	return write()
}

func (l *Line) enter(c Class) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passing[c]++
}

func (l *Line) leave(c Class) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passing[c]--
	close(l.changed)
	l.changed = make(chan struct{})
}

// yield waits while anything that matters more passes or waits, but not for ever.
func (l *Line) yield(ctx context.Context, c Class) error {
	if c == High {
		return ctx.Err()
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	for {
		busy, changed := l.higher(c)
		if !busy {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-enough.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Line) higher(c Class) (busy bool, changed chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h := High; h < c; h++ {
		busy = busy || l.passing[h] > 0
	}
	return busy, l.changed
}
