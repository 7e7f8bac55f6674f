package netlab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"sync"
)

// Host is a machine in a network, as far as the network is concerned: files and processes are those of this machine.
// Its methods may be called from any goroutine.
type Host struct {
	name  string
	net   *Network
	space *space
	port  string // of the bridge

	mu    sync.Mutex // held while the link changes
	addr  netip.Addr
	lost  []netip.Addr // peers that this host cannot send to
	state link
}

// wire is the device of every host.
const wire = "eth0"

// join connects a new host with the bridge.
func (h *Host) join() error {
	peer := fmt.Sprintf("/proc/%d/fd/%d", pid, h.space.file.Fd())
	if err := h.net.hub.ip(
		fmt.Sprintf("link add %s type veth peer name %s netns %s", h.port, wire, peer),
		fmt.Sprintf("link set %s master hub0 up", h.port),
	); err != nil {
		return err
	}
	return h.space.ip(
		"link set lo up",
		fmt.Sprintf("address add %s/%d dev %s", h.addr, prefix, wire),
		fmt.Sprintf("link set %s up", wire))
}

// Name is the host's, as DNS knows it.
func (h *Host) Name() string { return h.name }

// Addr is the address that the host has now.
func (h *Host) Addr() netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addr
}

// Start starts a process on the host.
func (h *Host) Start(c *exec.Cmd) error { return h.space.do(c.Start) }

// Listen listens on the host, on an address of its own or all ("tcp", ":80").
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	err = h.space.do(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// Dial connects from the host to an address, not a name.
func (h *Host) Dial(ctx context.Context, network string, to netip.AddrPort) (c net.Conn, err error) {
	err = h.space.do(func() error { // one address is dialled by the caller's thread
		c, err = new(net.Dialer).DialContext(ctx, network, to.String())
		return err
	})
	return c, err
}

// Move gives the host an address that nobody has had, in place of its own. DNS knows it at once; connections of the old
// address are left to die.
func (h *Host) Move() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	to := h.net.fresh()
	if err := h.space.ip(
		fmt.Sprintf("address del %s/%d dev %s", h.addr, prefix, wire),
		fmt.Sprintf("address add %s/%d dev %s", to, prefix, wire),
	); err != nil {
		return fmt.Errorf("move %s: %w", h.name, err)
	}
	h.net.rename(h.name, h.addr, to)
	h.addr = to
	for _, peer := range h.lost { // which Linux forgets with the last address of a device
		if err := h.lose(peer); err != nil {
			return fmt.Errorf("move %s: %w", h.name, err)
		}
	}
	return nil
}
