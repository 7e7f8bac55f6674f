package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
)

var pid = os.Getpid()

// Way is a direction of a host's link.
type Way int

const (
	Out  Way = 1 << iota // what the host sends
	In                   // what is sent to it
	Both = Out | In
)

func (w Way) String() string {
	return map[Way]string{Out: "out", In: "in", Both: "both ways"}[w]
}

// Pace is what passes a slow link.
type Pace struct {
	Rate  int // bytes a second
	Queue int // bytes that wait for their turn; what comes when it is full is lost. A long one is a delay
}

// link is the state of a host's link.
type link struct {
	cut  Way
	pace Pace // zero: as fast as it goes
}

// Cut lets nothing pass in these directions, on top of those that are cut. Neither side is told, nor is what is sent
// kept.
func (h *Host) Cut(w Way) error { return h.change(func(l *link) { l.cut |= w }) }

// Slow lets pass so much in both directions.
func (h *Host) Slow(p Pace) error { return h.change(func(l *link) { l.pace = p }) }

// Lose loses what this host sends to another, and nothing else.
func (h *Host) Lose(to *Host) error { return h.loseAll(to.Addr(), to.name) }

// LoseNames loses what this host asks the name server, and nothing else.
func (h *Host) LoseNames() error { return h.loseAll(address(0), "the name server") }

func (h *Host) loseAll(peer netip.Addr, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.lose(peer); err != nil {
		return fmt.Errorf("lose what %s sends to %s: %w", h.name, name, err)
	}
	if !slices.Contains(h.lost, peer) {
		h.lost = append(h.lost, peer)
	}
	return nil
}

// lose sends what is for an address to an Ethernet address that nobody has. Called with mu held.
func (h *Host) lose(peer netip.Addr) error {
	return h.space.ip(fmt.Sprintf("neighbor replace %s lladdr 02:00:00:00:00:01 nud permanent dev %s", peer, wire))
}

// Heal undoes Cut, Slow, Lose and LoseNames.
func (h *Host) Heal() error {
	h.mu.Lock()
	for _, peer := range h.lost {
		if err := h.space.ip(fmt.Sprintf("neighbor del %s dev %s", peer, wire)); err != nil {
			h.mu.Unlock()
			return fmt.Errorf("heal %s: %w", h.name, err)
		}
	}
	h.lost = nil
	h.mu.Unlock()
	return h.change(func(l *link) { *l = link{} })
}

// change brings the link into another state. What the host sends passes the queue of its device, what is sent to it that
// of the bridge's port.
func (h *Host) change(f func(*link)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.state
	f(&now)
	for _, end := range []struct {
		way    Way
		space  *space
		device string
	}{{Out, h.space, wire}, {In, h.net.hub, h.port}} {
		was, is := h.state.queue(end.way), now.queue(end.way)
		if was == is {
			continue
		}
		verb := "replace"
		if is == "" {
			verb = "del"
		}
		if err := end.space.tc(fmt.Sprintf("qdisc %s dev %s root %s", verb, end.device, is)); err != nil {
			return fmt.Errorf("link of %s: %w", h.name, err)
		}
	}
	h.state = now
	return nil
}

// queue is the queue of one direction, as tc-tbf(8) has it; "" is that of the device.
func (l link) queue(w Way) string {
	switch {
	case l.cut&w != 0:
		return "blackhole"
	case l.pace.Rate > 0: // a burst is a full packet, also of those that a device cuts (64 KiB)
		return fmt.Sprintf("tbf rate %dbps burst 70k limit %d", l.pace.Rate, max(l.pace.Queue, 70<<10))
	}
	return ""
}
