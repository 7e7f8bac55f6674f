package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
)

// Lacks says what keeps this machine from making networks, "" if nothing does.
func Lacks() string {
	if os.Geteuid() != 0 {
		return "needs root: makes network namespaces"
	}
	for _, p := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(p); err != nil {
			return "needs the program " + p + ": scripts/ci-deps.sh installs it"
		}
	}
	return ""
}

// Network is one segment of Ethernet, 10.88.0.0/16, with a name server at 10.88.0.1. Networks do not see each other, so
// each has the same addresses. Its methods may be called from any goroutine.
type Network struct {
	hub  *space         // has the bridge, and the name server's address
	wait sync.WaitGroup // for the name server

	mu    sync.Mutex
	dns   net.PacketConn          // of the name server; nil: it does not run
	next  int                     // number of the next host, and last byte of its address
	hosts []*Host                 //
	names map[string][]netip.Addr // what DNS answers, by names with a dot behind
	ports map[string][]Service    // the same for SRV
}

const prefix = 16

func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 88, byte(n / 250), byte(n%250 + 1)})
}

// New makes a network without hosts. Close ends it.
func New() (*Network, error) {
	hub, err := newSpace()
	if err != nil {
		return nil, err
	}
	n := &Network{hub: hub, next: 1, names: map[string][]netip.Addr{}, ports: map[string][]Service{}}
	err = hub.ip(
		"link set lo up",
		"link add hub0 type bridge",
		fmt.Sprintf("address add %s/%d dev hub0", address(0), prefix),
		"link set hub0 up")
	if err == nil {
		err = n.StartNames()
	}
	if err != nil {
		hub.close()
		return nil, fmt.Errorf("new network: %w", err)
	}
	return n, nil
}

// Close takes the network from what still runs in it.
func (n *Network) Close() error {
	err := n.StopNames()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hosts {
		h.space.close()
	}
	n.hosts = nil
	n.hub.close()
	return err
}

// Host adds a host with an address of its own. DNS knows it by its name.
func (n *Network) Host(name string) (*Host, error) {
	n.mu.Lock()
	number := n.next
	n.next++
	n.mu.Unlock()
	s, err := newSpace()
	if err != nil {
		return nil, err
	}
	h := &Host{name: name, net: n, space: s, port: fmt.Sprintf("port%d", number), addr: address(number)}
	if err := h.join(); err != nil {
		s.close()
		return nil, fmt.Errorf("new host %s: %w", name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts = append(n.hosts, h)
	n.names[name+"."] = []netip.Addr{h.addr}
	return h, nil
}

// fresh returns an address that no host has had.
func (n *Network) fresh() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	return address(n.next - 1)
}
