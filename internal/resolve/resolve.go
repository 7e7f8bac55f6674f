// Package resolve finds the receivers that the members of a target stand for, by the DNS where they are names of it.
package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Most bounds the receivers of one target. Further ones of an answer are left out.
const Most = 64

// Listed is a member as the configuration has it. Address is HOST:PORT or unix:/PATH, which is one receiver; dns:HOST:PORT,
// where each address of HOST is one; or srv:NAME, where each SRV record of NAME is one (RFC 2782).
type Listed struct {
	Name    string
	Address string
	Weight  int
}

// Receiver is one receiver. Those of the DNS are named by their address.
type Receiver struct {
	Name    string
	Address string // HOST:PORT or unix:/PATH
	Host    string // that the configuration or the SRV record names, without the port; "": a unix socket
	Weight  int
}

// Options of a Watch. Zero values take the defaults in brackets.
type Options struct {
	Members  []Listed
	FirstOf  bool          // of SRV records those of the lowest priority number alone; else all, in the order of their priorities
	Every    time.Duration // between questions, give or take a tenth [30 s]
	AtLeast  time.Duration // between questions, however often Ask is called [5 s]
	Timeout  time.Duration // for one question [10 s]
	Resolver *net.Resolver // [net.DefaultResolver]
	Logger   *slog.Logger  // [slog.Default()]
	Changed  func([]Receiver)
}

// Watch keeps the list of receivers. The last answer for a name holds until there is another one that names somebody.
type Watch struct {
	o     Options
	asks  chan struct{} // one token
	fresh chan struct{} // one token: the members are others
	first chan struct{} // closed after the first round

	mu      sync.Mutex // guards the rest
	members []Listed
	answers map[string][]Receiver // by address as it is listed
	list    []Receiver
	failing error // of the last round
	since   time.Time
}

// New starts nothing. Before the first answers, the list has those members that need none.
func New(o Options) *Watch {
	o.Every = cmp.Or(o.Every, 30*time.Second)
	o.AtLeast = cmp.Or(o.AtLeast, 5*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Changed == nil {
		o.Changed = func([]Receiver) {}
	}
	w := &Watch{o: o, asks: make(chan struct{}, 1), fresh: make(chan struct{}, 1), first: make(chan struct{}), members: o.Members,
		answers: map[string][]Receiver{}}
	w.list = w.merge()
	return w
}

// Set replaces the members. Run asks for their names at once.
func (w *Watch) Set(members []Listed) {
	w.mu.Lock()
	w.members = members
	w.mu.Unlock()
	select {
	case w.fresh <- struct{}{}:
	default:
	}
}

// First is closed when Run has asked for every name once, whatever came of it.
func (w *Watch) First() <-chan struct{} { return w.first }

func named(address string) bool {
	return strings.HasPrefix(address, "dns:") || strings.HasPrefix(address, "srv:")
}

// Receivers returns the list as it is now, in the order of the members; those of one name in an order of their own, which
// is the same everywhere.
func (w *Watch) Receivers() []Receiver {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// Failing says what the DNS could not tell, and since when; "" when it could.
func (w *Watch) Failing() (string, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing == nil {
		return "", time.Time{}
	}
	return w.failing.Error(), w.since
}

// Ask has the names asked for soon: a receiver could not be reached.
func (w *Watch) Ask() {
	select {
	case w.asks <- struct{}{}:
	default:
	}
}

// Run asks at once and then again and again until ctx ends, which is not an error. Changed is called by its goroutine alone.
func (w *Watch) Run(ctx context.Context) error {
	for first := true; ; first = false {
		w.round(ctx)
		if first {
			close(w.first)
		}
		asked := time.Now()
		if !w.rest(ctx, w.o.Every*9/10+rand.N(w.o.Every/5+1), asked.Add(w.o.AtLeast)) {
			return nil
		}
	}
}

// rest waits for d, or until somebody asks, but at least until earliest. It returns false when ctx has ended.
func (w *Watch) rest(ctx context.Context, d time.Duration, earliest time.Time) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	case <-w.fresh:
		return true
	case <-w.asks:
	}
	early := time.NewTimer(time.Until(earliest))
	defer early.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C: // who asks is never answered later than without
	case <-w.fresh:
	case <-early.C:
	}
	return true
}

// round asks for every name once, and puts together what is known then.
func (w *Watch) round(ctx context.Context) {
	w.mu.Lock()
	members := w.members
	w.mu.Unlock()
	answers, failed := map[string][]Receiver{}, error(nil)
	for _, m := range members {
		if !named(m.Address) {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, w.o.Timeout)
		list, err := w.look(asking, m)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err == nil && len(list) == 0 {
			err = errors.New("got no address, want at least one")
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("resolve %s: %w", m.Address, err))
			continue
		}
		answers[m.Address] = list
	}
	w.note(failed)
	w.mu.Lock()
	for address, list := range w.answers { // who is not listed any more needs none
		if answers[address] == nil && slices.ContainsFunc(w.members, func(m Listed) bool { return m.Address == address }) {
			answers[address] = list
		}
	}
	w.answers = answers
	before := w.list
	w.list = w.merge()
	now := slices.Clone(w.list)
	w.mu.Unlock()
	if !slices.Equal(before, now) {
		w.o.Changed(now)
	}
}

// note tells people of a turn, and keeps the present failure for status.
func (w *Watch) note(err error) {
	w.mu.Lock()
	was := w.failing
	if w.failing = err; err != nil && was == nil {
		w.since = time.Now()
	}
	w.mu.Unlock()
	switch {
	case err != nil && was == nil:
		w.o.Logger.Warn("target: the DNS does not say who its members are; its last answer holds, where there was one", "error", err)
	case err == nil && was != nil:
		w.o.Logger.Info("target: the DNS answers again")
	}
}

// merge puts what is known together. Who has an address first keeps it. Called with mu held, or before others know w.
func (w *Watch) merge() []Receiver {
	list, seen := []Receiver{}, map[string]bool{}
	for _, m := range w.members {
		found := w.answers[m.Address]
		if !named(m.Address) {
			found = []Receiver{single(m)}
		}
		for _, r := range found {
			if !seen[r.Address] && len(list) < Most {
				seen[r.Address] = true
				list = append(list, r)
			}
		}
	}
	return list
}

func single(m Listed) Receiver {
	host := ""
	if !strings.HasPrefix(m.Address, "unix:") {
		host, _, _ = net.SplitHostPort(m.Address) // which the configuration has checked
	}
	return Receiver{Name: m.Name, Address: m.Address, Host: host, Weight: m.Weight}
}

// Once asks for the members and returns their receivers; with an error, those that are known all the same.
func Once(ctx context.Context, members []Listed) ([]Receiver, error) {
	w := New(Options{Members: members, Logger: slog.New(slog.DiscardHandler)})
	w.round(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list, w.failing
}
