// Package top is the full-screen live view of a running sender or receiver.
//
// Three parts: a Model, which is fed with what the process answers on its control socket and with keys; View, which makes
// the text of a screen of it and does nothing else; and Run, which has the terminal.
package top

import (
	"slices"
	"time"

	"ftfuse/internal/control"
)

// memory is how far back the curves go.
const memory = time.Minute

// Model is what the screen shows. One goroutine uses it.
type Model struct {
	ASCII    bool          // the terminal shows nothing else
	Switch   bool          // there is another process to look at
	Interval time.Duration // between two answers

	status control.Status
	rates  rates
	curve  []point // the last minute, oldest first
	first  int     // how many points were before it

	away    error     // why there is no answer; nil: there is
	lastNow time.Time // of the local clock, when the last answer came
	now     time.Time

	order  int // index of what is sorted by
	offset int // first row of the first table
	paused bool
	help   bool
}

// point is one moment of the curves, in bytes a second.
type point struct{ in, out float64 }

// rates are per second, between the last two answers of one process.
type rates struct {
	known            bool
	in, out, dropped rate
	flows            map[string]flowRate
	peers, outputs   map[string]rate
}

type flowRate struct{ in, out, dropped rate }

// rate is a growth in a second.
type rate struct{ bytes, records float64 }

// Update takes an answer, which came at the time now.
func (m *Model) Update(s control.Status, now time.Time) {
	m.away, m.now = nil, now
	if m.paused {
		return
	}
	before := m.status
	same := before.PID == s.PID && before.Since.Equal(s.Since) && before.Role == s.Role
	if !same && before.Role != s.Role {
		m.order, m.offset = 0, 0
	}
	m.lastNow = now
	m.status = s
	took := s.Now.Sub(before.Now).Seconds()
	if !same || took <= 0 {
		m.rates, m.curve, m.first = rates{}, nil, 0
		return
	}
	m.rates = compare(&before, &s, took)
	m.curve = append(m.curve, point{m.rates.in.bytes, m.rates.out.bytes})
	if extra := len(m.curve) - m.points(); extra > 0 {
		m.curve = slices.Delete(m.curve, 0, extra)
		m.first += extra
	}
}

// points is how many points the curves have at most.
func (m *Model) points() int { return max(1, int(memory/max(m.Interval, time.Millisecond))) }

// Lost notes that no answer came.
func (m *Model) Lost(err error, now time.Time) { m.away, m.now = err, now }

// Forget begins anew with another process.
func (m *Model) Forget() {
	*m = Model{ASCII: m.ASCII, Switch: m.Switch, Interval: m.Interval}
}

func compare(before, s *control.Status, took float64) rates {
	grown := func(now, then control.Count) rate {
		return rate{growth(now.Bytes, then.Bytes, took), growth(now.Records, then.Records, took)}
	}
	r := rates{known: true, flows: map[string]flowRate{}, peers: map[string]rate{}}
	compareDelivery(&r, before.Delivery(), s.Delivery(), grown)
	if a, b := before.Sender, s.Sender; a != nil && b != nil {
		r.outputs = grownOutputs(a.Outputs, b.Outputs, grown)
	}
	if a, b := before.Receiver, s.Receiver; a != nil && b != nil {
		r.in, r.outputs = grown(b.Totals.Received, a.Totals.Received), grownOutputs(a.Outputs, b.Outputs, grown)
		if !b.Relay() {
			r.out = grown(b.Totals.Stored, a.Totals.Stored)
		}
		for _, p := range b.Peers {
			if i := slices.IndexFunc(a.Peers, func(o control.SourceStatus) bool { return peerKey(o) == peerKey(p) }); i >= 0 {
				r.peers[peerKey(p)] = grown(p.Received, a.Peers[i].Received)
			}
		}
	}
	return r
}

func grownOutputs(a, b []control.OutputStatus, grown func(now, then control.Count) rate) map[string]rate {
	all := map[string]rate{}
	for _, o := range b {
		if i := slices.IndexFunc(a, func(x control.OutputStatus) bool { return x.Name == o.Name }); i >= 0 {
			all[o.Name] = grown(o.Written, a[i].Written)
		}
	}
	return all
}

func compareDelivery(r *rates, a, b control.Delivery, grown func(now, then control.Count) rate) {
	captured, delivered := b.Moved()
	capturedThen, deliveredThen := a.Moved()
	r.in, r.out = grown(captured, capturedThen), grown(delivered, deliveredThen)
	then := map[string]control.Flow{}
	for _, f := range a.Flows {
		then[flowKey(f)] = f
	}
	for _, f := range b.Flows {
		old := then[flowKey(f)] // zero: the flow is new
		x := flowRate{grown(f.Captured, old.Captured), grown(f.Delivered, old.Delivered), grown(f.Dropped.Total(), old.Dropped.Total())}
		r.flows[flowKey(f)] = x
		r.dropped.bytes += x.dropped.bytes
		r.dropped.records += x.dropped.records
	}
	for _, p := range b.Peers {
		if i := slices.IndexFunc(a.Peers, func(o control.PeerStatus) bool { return o.Name() == p.Name() }); i >= 0 {
			r.peers[p.Name()] = grown(p.Acked, a.Peers[i].Acked)
		}
	}
}

// growth is per second; a counter that has fallen has not grown.
func growth(now, then uint64, took float64) float64 {
	if now <= then {
		return 0
	}
	return float64(now-then) / took
}

func flowKey(f control.Flow) string         { return f.Rule + "\x00" + f.Target }
func peerKey(p control.SourceStatus) string { return p.Sender + "\x00" + p.Address }

// Action is what a key asks of Run.
type Action int

// The actions.
const (
	Nothing Action = iota
	Quit
	SwitchOver // to the other process
)

// Key takes a key by its name: a character, or Up, Down, PgUp, PgDn, Home, Tab, Esc, Ctrl-C.
func (m *Model) Key(name string) Action {
	if m.help { // any key closes it
		m.help = false
		if name != "Ctrl-C" && name != "q" {
			return Nothing
		}
	}
	switch name {
	case "q", "Ctrl-C":
		return Quit
	case "p", " ":
		m.paused = !m.paused
	case "s":
		m.order, m.offset = m.order+1, 0
	case "?", "h":
		m.help = true
	case "Up", "k":
		m.offset--
	case "Down", "j":
		m.offset++
	case "PgUp":
		m.offset -= 10
	case "PgDn":
		m.offset += 10
	case "Home", "g":
		m.offset = 0
	case "Tab":
		if m.Switch {
			return SwitchOver
		}
	}
	m.offset = max(0, m.offset)
	return Nothing
}
