// Package ingest accepts senders, takes their batches, drops what is known already, hands the rest on, and only then acknowledges.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"

	"golang.org/x/sync/semaphore"
)

// Output is where chunks go. Mark returns how far it holds a stream durably; it must cover what Put returned nil for. An
// output that cannot say so just now returns an error: no mark would mean that it holds nothing.
// Put is called by one connection at a time for one stream, with that stream's chunks in order; it must not keep the
// slice or any Data. An error that wraps record.ErrRefused refuses the chunks for good, others are tried again.
type Output interface {
	record.Sink
	Mark(context.Context, record.Stream) (record.Durable, error)
}

// Server takes connections from any number of listeners. Several Serve may run at once and share its limits.
type Server struct {
	o       Options
	memory  *semaphore.Weighted // bytes of frames read or being read, of all connections
	streams locks
	stats   counters

	mu        sync.Mutex              // holds for the fields below, never while anything blocks
	conns     int                     // connections that have a goroutine
	addresses map[string]int          // connections by remote host
	peers     map[record.Stream]*conn // connections past their HELLO, by sender and epoch
	waiting   map[record.Stream]int   // connections that wait for the one in peers to end
	crowd     int                     // connections when the first was told to go, for an orderly stop
	said      bucket                  // bounds what the log hears of connections
	unsaid    int                     // lines that it did not
	shares    map[string]*share       // by the name of the allowance

	policy atomic.Pointer[policy] // written with mu held
}

// maxWaiting bounds the connections that wait to replace the one of their sender and epoch. An honest sender has one.
const maxWaiting = 4

// New checks the options. It starts nothing.
func New(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		o: o, memory: semaphore.NewWeighted(o.Memory), streams: locks{held: map[record.Stream]*lock{}},
		addresses: map[string]int{}, peers: map[record.Stream]*conn{}, shares: map[string]*share{}, waiting: map[record.Stream]int{},
		said: bucket{rate: logRate, room: logBurst},
	}
	s.policy.Store(&policy{})
	return s, nil
}

// Serve accepts connections until ctx ends, then lets each store and acknowledge what it has read, says GOAWAY,
// and returns nil when all are closed: at most StopTimeout and some write timeouts later. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	unhook := context.AfterFunc(ctx, func() { ln.Close() })
	defer unhook()
	defer ln.Close()
	for pause := time.Duration(0); ; {
		nc, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("serve %v: accept: %w", ln.Addr(), err)
		}
		if err != nil { // no descriptors left, or the peer has gone: neither is for good
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.o.Logger.Warn("accept failed, trying again", notice.AcceptFailed, "address", ln.Addr(), "error", err, "pause", pause)
			wait(ctx, pause)
			continue
		}
		pause = 0
		host := hostOf(nc.RemoteAddr())
		if why := s.admit(host); why != nil {
			s.turnAway(nc, why)
			continue
		}
		wg.Go(newConn(ctx, s, nc, host).run)
	}
}

// admit counts a connection in, unless there are too many.
func (s *Server) admit(host string) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conns >= s.o.Connections:
		return refuse(TooMany, wire.Busy, 0, "got %d connections, want at most %d", s.conns+1, s.o.Connections)
	case s.addresses[host] >= s.o.PerAddress:
		return refuse(TooManyPerAddress, wire.Busy, 0, "got %d connections from %s, want at most %d", s.addresses[host]+1, host, s.o.PerAddress)
	}
	s.conns++
	s.addresses[host]++
	return nil
}

// leave undoes admit, and join if that was done.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns--
	if s.addresses[c.host]--; s.addresses[c.host] == 0 {
		delete(s.addresses, c.host)
	}
	if s.peers[c.stream()] == c {
		delete(s.peers, c.stream())
	}
	c.goOut()
}

// turnAway refuses a connection that got no goroutine. It says why only where that cannot block: the few bytes fit
// the empty send buffer of a plain socket, but a TLS connection would shake hands first.
func (s *Server) turnAway(nc net.Conn, why *refusal) {
	s.stats.refused[why.reason].Add(1)
	if tcp, ok := nc.(*net.TCPConn); ok && s.o.Secure == nil {
		if err := tcp.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err == nil {
			_, _ = tcp.Write(why.nack.Append(nil)) // a courtesy
		}
	}
	nc.Close()
}

// credit is what a connection may have under way: its part of the memory, so that nobody has to wait for
// others while there are few.
func (s *Server) credit() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(min(s.o.Window, max(s.o.Memory/int64(len(s.peers)+1), minCredit)))
}

// The peers of an orderly stop come back by about a thousand a second, as each needs a handshake and its marks, and all of
// them within some minutes: more at once are turned away by the limits, and come back by their own back-off.
const (
	comeBackRate = 1000
	comeBackMost = 5 * time.Minute
)

// comeBack is when a peer that is told to go shall come back, in ms: at random, lest all come at once.
func (s *Server) comeBack() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crowd = max(s.crowd, s.conns)
	within := min(time.Duration(s.crowd)*time.Second/comeBackRate, comeBackMost)
	return rand.Uint64N(uint64(within.Milliseconds()) + 1)
}

// hostOf is what connections are counted by: the address without port, for IPv6 the /64 that one host can fill.
func hostOf(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.Network()
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is6() && !addr.IsLoopback() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// wait returns after d, or false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
