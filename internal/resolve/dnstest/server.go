// Package dnstest answers questions of the DNS (RFC 1035) over UDP, for tests.
package dnstest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// SRV is one record of a service.
type SRV struct {
	Priority, Weight, Port uint16
	Host                   string // without the final dot
}

// Server answers for the names that it was told, and says of others that they do not exist.
type Server struct {
	conn net.PacketConn
	done chan struct{}

	mu        sync.Mutex // guards the rest
	addresses map[string][]netip.Addr
	services  map[string][]SRV
	away      bool
	asked     map[string]int
}

// Start listens on address, HOST:PORT; port 0 is any. Close ends it.
func Start(address string) (*Server, error) {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	s := &Server{conn: conn, done: make(chan struct{}), addresses: map[string][]netip.Addr{}, services: map[string][]SRV{}, asked: map[string]int{}}
	go s.serve()
	return s, nil
}

// Close ends the server and waits for it.
func (s *Server) Close() error {
	err := s.conn.Close()
	<-s.done
	return err
}

// Address is where it listens.
func (s *Server) Address() string { return s.conn.LocalAddr().String() }

// Resolver asks this server for everything.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.Address())
	}}
}

// Set says which addresses a host has; none: it does not exist.
func (s *Server) Set(host string, addresses ...string) {
	var list []netip.Addr
	for _, a := range addresses {
		list = append(list, netip.MustParseAddr(a))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses[host] = list
}

// SetSRV says which records a service has; none: it does not exist.
func (s *Server) SetSRV(name string, records ...SRV) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services[name] = records
}

// Fail has every question answered by SERVFAIL, until it is told otherwise.
func (s *Server) Fail(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// Asked counts the questions for a name so far.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name]
}

func (s *Server) serve() {
	defer close(s.done)
	buf := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply, err := s.answer(buf[:n]); err == nil {
			_, _ = s.conn.WriteTo(reply, from) // the resolver asks again
		}
	}
}

// answer makes the reply to one question.
func (s *Server) answer(packet []byte) ([]byte, error) {
	var p dnsmessage.Parser
	head, err := p.Start(packet)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, fmt.Errorf("question: %w", err)
	}
	name := strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[name]++
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: head.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	switch {
	case s.away:
		reply.RCode = dnsmessage.RCodeServerFailure
	case len(s.addresses[name])+len(s.services[name]) == 0:
		reply.RCode = dnsmessage.RCodeNameError
	default:
		reply.Answers = s.records(name, q)
	}
	return reply.Pack()
}

func (s *Server) records(name string, q dnsmessage.Question) (list []dnsmessage.Resource) {
	add := func(body dnsmessage.ResourceBody) {
		list = append(list, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}, Body: body})
	}
	for _, a := range s.addresses[name] {
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			add(&dnsmessage.AResource{A: a.As4()})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			add(&dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	if q.Type == dnsmessage.TypeSRV {
		for _, r := range s.services[name] {
			add(&dnsmessage.SRVResource{Priority: r.Priority, Weight: r.Weight, Port: r.Port, Target: dnsmessage.MustNewName(r.Host + ".")})
		}
	}
	return list
}
