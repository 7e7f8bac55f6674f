// Package tap lets onlookers listen to the chunks that pass through a stage, and never makes the stage wait for them.
//
// A stage offers what it has handed on. Nobody listening costs it one atomic load. With listeners it looks at each
// chunk's attributes, and only of what a listener wants, has room for and is allowed by its rate is anything copied.
// Payloads on disk, splitting into records and talking to the onlooker are the work of the listener's own goroutine. What
// a listener does not get is counted, and the listener is told.
package tap

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/record"
)

// MaxListeners is how many can listen at once.
const MaxListeners = 8

const (
	maxWaiting = 4096    // chunks that wait for one listener
	maxHeld    = 4 << 20 // bytes of payloads and marks in them: a few of the largest chunks
)

// ErrBusy says that MaxListeners listen already.
var ErrBusy = errors.New("too many listen already")

// Hub is where a stage offers chunks. The zero value is ready, for chunks with Data. Store must be set before the
// first Offer if they may have Extents.
type Hub struct {
	Store record.Store

	mu        sync.Mutex                  // guards changes of listeners
	listeners atomic.Pointer[[]*Listener] // nil: nobody listens; what it points to is never changed
}

// Filter says what a listener wants: all conditions that are set must hold.
type Filter struct {
	Path func(mount, path string) bool // nil: any
	Host func(name string) bool        // nil: any
	Rule string                        // "": any
	PID  *uint32                       // nil: any, also where the writer is not known
	UID  *uint32                       // nil: any, also where the writer is not known
	Rate int                           // records a second at most, spread evenly; 0: no bound
}

// Listen adds a listener, which must be closed. It returns ErrBusy when there are MaxListeners.
func (h *Hub) Listen(f Filter) (*Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*Listener
	if p := h.listeners.Load(); p != nil {
		all = *p
	}
	if len(all) >= MaxListeners {
		return nil, ErrBusy
	}
	l := &Listener{hub: h, filter: f, ready: make(chan struct{}, 1), meter: meter{rate: float64(f.Rate)}}
	all = append(slices.Clone(all), l)
	h.listeners.Store(&all)
	return l, nil
}

func (h *Hub) remove(l *Listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.listeners.Load()
	if p == nil {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(*p), func(x *Listener) bool { return x == l })
	if len(rest) == 0 {
		h.listeners.Store(nil)
		return
	}
	h.listeners.Store(&rest)
}

// Offer shows chunks to whoever listens. It keeps neither the slice nor any Data, Extents or Marks, and never waits:
// the listeners' locks are held for moments only. It may be called by several goroutines; what one of them offers is heard
// in order.
func (h *Hub) Offer(chunks []record.Chunk) {
	if p := h.listeners.Load(); p != nil {
		h.offer(*p, chunks)
	}
}

func (h *Hub) offer(listeners []*Listener, chunks []record.Chunk) {
	now := time.Now()
	for i := range chunks {
		c := &chunks[i]
		if c.Hollow() {
			continue // filters took out all of it
		}
		for _, l := range listeners {
			if l.filter.wants(c) {
				l.hear(c, now)
			}
		}
	}
}

func (f *Filter) wants(c *record.Chunk) bool {
	if f.Path != nil && (c.File == nil || !f.Path(c.File.Mount, c.File.Path)) {
		return false
	}
	if f.Rule != "" && (c.File == nil || c.File.Rule != f.Rule) {
		return false
	}
	if f.Host != nil && (c.Source == nil || !f.Host(c.Source.Host)) {
		return false
	}
	if f.PID == nil && f.UID == nil {
		return true
	}
	w := c.Writer
	return w != nil && w.Kind != record.Unknown && (f.PID == nil || w.PID == *f.PID) && (f.UID == nil || w.UID == *f.UID)
}

// meter hands out an allowance of records that grows evenly with time.
type meter struct {
	rate  float64 // a second; 0: no bound
	saved float64
	last  time.Time
}

// take returns how many of n records are allowed now. What can be saved up is the allowance of a tenth of a second, and
// at least one record: a burst does not use up what a later moment should have.
func (m *meter) take(n int, now time.Time) int {
	if m.rate <= 0 {
		return n
	}
	most := max(1, m.rate/10)
	if m.last.IsZero() {
		m.saved = most
	} else if d := now.Sub(m.last); d > 0 {
		m.saved = min(most, m.saved+m.rate*d.Seconds())
	}
	m.last = now
	n = min(n, int(m.saved))
	m.saved -= float64(n)
	return n
}
