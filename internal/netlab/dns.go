package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Service is one answer to a question for SRV.
type Service struct {
	Host             string // a name
	Port             uint16
	Priority, Weight uint16
}

// Alias has DNS answer a name with the addresses that these hosts have now.
func (n *Network) Alias(name string, hosts ...*Host) {
	var addrs []netip.Addr
	for _, h := range hosts {
		addrs = append(addrs, h.Addr())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[name+"."] = addrs
}

// Services has DNS answer a question for SRV, as "_ftfuse._tcp.logs.test".
func (n *Network) Services(name string, s ...Service) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports[name+"."] = s
}

// rename puts a host's new address in the place of its old one, wherever that is an answer.
func (n *Network) rename(host string, from, to netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, addrs := range n.names {
		n.names[name] = slices.Clone(addrs)
		if i := slices.Index(addrs, from); i >= 0 {
			n.names[name][i] = to
		}
	}
}

// StartNames starts the name server, which a new network has already.
func (n *Network) StartNames() error {
	return n.hub.do(func() error {
		c, err := net.ListenPacket("udp4", netip.AddrPortFrom(address(0), 53).String())
		if err != nil {
			return err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.dns = c
		n.wait.Go(func() { n.answer(c) })
		return nil
	})
}

// StopNames ends the name server's process: who asks is told that nobody listens.
func (n *Network) StopNames() error {
	n.mu.Lock()
	c := n.dns
	n.dns = nil
	n.mu.Unlock()
	if c == nil {
		return nil
	}
	err := c.Close()
	n.wait.Wait()
	return err
}

// answer is the name server, until its socket is closed.
func (n *Network) answer(c net.PacketConn) {
	b := make([]byte, 1500)
	for {
		size, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		if reply, err := n.reply(b[:size]); err == nil { // else the peer asks again, or gives up
			_, _ = c.WriteTo(reply, from)
		}
	}
}

// reply answers one question (RFC 1035, 2782): a name that is not known does not exist, and one that is has no records of
// another type.
func (n *Network) reply(asked []byte) ([]byte, error) {
	var p dnsmessage.Parser
	head, err := p.Start(asked)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	head.Response, head.Authoritative, head.RecursionAvailable = true, true, true
	m := dnsmessage.Message{Header: head, Questions: []dnsmessage.Question{q}}
	n.mu.Lock()
	defer n.mu.Unlock()
	name := strings.ToLower(q.Name.String())
	addrs, services := n.names[name], n.ports[name]
	if addrs == nil && services == nil {
		m.RCode = dnsmessage.RCodeNameError
		return m.Pack()
	}
	about := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
	if q.Type == dnsmessage.TypeA {
		for _, a := range addrs {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: about, Body: &dnsmessage.AResource{A: a.As4()}})
		}
	}
	if q.Type == dnsmessage.TypeSRV {
		for _, s := range services {
			target, err := dnsmessage.NewName(s.Host + ".")
			if err != nil {
				return nil, err
			}
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: about, Body: &dnsmessage.SRVResource{
				Priority: s.Priority, Weight: s.Weight, Port: s.Port, Target: target}})
		}
	}
	return m.Pack()
}

// writeResolver writes a resolv.conf(5) that asks the name server of whatever network a process is in.
func writeResolver(path string) error {
	text := fmt.Sprintf("nameserver %s\noptions timeout:1 attempts:2\n", address(0))
	return os.WriteFile(path, []byte(text), 0o644)
}
