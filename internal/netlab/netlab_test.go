package netlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestMain(m *testing.M) { os.Exit(Isolate(m.Run)) }

// two makes a network of two hosts.
func two(t *testing.T) (n *Network, a, b *Host) {
	t.Helper()
	if why := Lacks(); why != "" {
		t.Skip(why)
	}
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	hosts := make([]*Host, 2)
	for i, name := range []string{"a.test", "b.test"} {
		if hosts[i], err = n.Host(name); err != nil {
			t.Fatal(err)
		}
	}
	return n, hosts[0], hosts[1]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mailbox is a socket of a host's for datagrams.
func mailbox(t *testing.T, h *Host) net.PacketConn {
	t.Helper()
	var c net.PacketConn
	must(t, h.space.do(func() (err error) {
		c, err = net.ListenPacket("udp4", ":7")
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c
}

// calls numbers the calls of passes, which tell their datagrams from those of earlier ones by it.
var calls atomic.Uint64

// passes reports whether a datagram comes from one host to another. What comes is sent again until it does, as the first
// packets may wait for an Ethernet address; that nothing comes is known after a while, a longer one if it should.
func passes(t *testing.T, from, to *Host, in net.PacketConn, should bool) bool {
	t.Helper()
	c, err := from.Dial(context.Background(), "udp4", netip.AddrPortFrom(to.Addr(), 7))
	must(t, err)
	defer c.Close()
	tries := 10
	if should {
		tries = 600 // the machine may be busy
	}
	b, text := make([]byte, 100), fmt.Sprintf("call %d", calls.Add(1))
	for range tries {
		_, _ = c.Write([]byte(text)) // an error is of an earlier packet
		must(t, in.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		for {
			n, _, err := in.ReadFrom(b)
			if err != nil {
				break
			}
			if string(b[:n]) == text {
				return true
			}
		}
	}
	return false
}

func TestLinks(t *testing.T) {
	_, a, b := two(t)
	for _, h := range []*Host{a, b} { // what is cut one way cannot be asked for its Ethernet address, which is asked for 5 s after a use
		must(t, h.space.ip("ntable change name arp_cache dev "+wire+" delay_probe 3600000"))
	}
	atA, atB := mailbox(t, a), mailbox(t, b)
	for _, c := range []struct {
		what   string
		do     func() error
		ab, ba bool
	}{
		{"nothing", func() error { return nil }, true, true},
		{"cut", func() error { return b.Cut(Both) }, false, false},
		{"healed", b.Heal, true, true},
		{"cut out", func() error { return b.Cut(Out) }, true, false},
		{"and in", func() error { return b.Cut(In) }, false, false},
		{"healed", b.Heal, true, true},
		{"cut in", func() error { return b.Cut(In) }, false, true},
		{"slow, still cut", func() error { return b.Slow(Pace{Rate: 1 << 20}) }, false, true},
		{"healed", b.Heal, true, true},
		{"slow", func() error { return b.Slow(Pace{Rate: 1 << 20}) }, true, true},
		{"a loses", func() error { return a.Lose(b) }, false, true},
		{"b healed", b.Heal, false, true},
		{"a healed", a.Heal, true, true},
		{"healed again", a.Heal, true, true},
	} {
		must(t, c.do())
		if ab, ba := passes(t, a, b, atB, c.ab), passes(t, b, a, atA, c.ba); ab != c.ab || ba != c.ba {
			t.Errorf("%s: a to b passes %v, b to a %v; want %v, %v", c.what, ab, ba, c.ab, c.ba)
		}
	}
}

// A connection outlives a cut, as TCP has it, and goes on over a slow link.
func TestConnectionsOutliveCuts(t *testing.T) {
	_, a, b := two(t)
	l, err := b.Listen("tcp4", ":80")
	must(t, err)
	defer l.Close()
	echoed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.Copy(c, c)
		}
		echoed <- err
	}()
	c, err := a.Dial(context.Background(), "tcp4", netip.AddrPortFrom(b.Addr(), 80))
	must(t, err)
	defer c.Close()
	must(t, a.Cut(Both))
	_, err = c.Write([]byte("hello"))
	must(t, err)
	got := make([]byte, 5)
	must(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := io.ReadFull(c, got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a link that is cut came %q, %v", got, err)
	}
	must(t, a.Heal())
	must(t, a.Slow(Pace{Rate: 64 << 10}))
	must(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("over the healed link came %q, %v", got, err)
	}
	c.Close()
	if err := <-echoed; err != nil {
		t.Error(err)
	}
}

// asked is how often a name is asked for: the name server has a second for each of two questions, and the machine may be busy.
const asked = 30

// answered has DNS asked, again if there is no answer in time.
func answered[T any](ask func() (T, error)) (got T, err error) {
	for range asked {
		var away *net.DNSError
		if got, err = ask(); !errors.As(err, &away) || !away.IsTimeout {
			break
		}
	}
	return got, err
}

// DNS knows where hosts are, for processes too, and a moved host is reached at its new address only.
func TestNames(t *testing.T) {
	n, a, b := two(t)
	var err error
	n.Alias("logs.test", a, b)
	n.Services("_ftfuse._tcp.logs.test", Service{Host: "b.test", Port: 99, Priority: 1, Weight: 2})
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return a.Dial(ctx, network, netip.AddrPortFrom(address(0), 53))
	}}
	ask := func(name string, want ...netip.Addr) {
		t.Helper()
		got, err := answered(func() ([]netip.Addr, error) { return r.LookupNetIP(context.Background(), "ip4", name) })
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s is %v, %v; want %v", name, got, err, want)
		}
		for i := range want {
			if got[i].Unmap() != want[i] {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	}
	ask("b.test", b.Addr())
	ask("logs.test", a.Addr(), b.Addr())
	if srv, err := answered(func() (srv []*net.SRV, err error) {
		_, srv, err = r.LookupSRV(context.Background(), "ftfuse", "tcp", "logs.test")
		return srv, err
	}); err != nil || len(srv) != 1 || *srv[0] != (net.SRV{Target: "b.test.", Port: 99, Priority: 1, Weight: 2}) {
		t.Errorf("SRV of logs.test: got %v, %v", srv, err)
	}
	var missing *net.DNSError
	if _, err := answered(func() ([]string, error) { return r.LookupHost(context.Background(), "c.test") }); !errors.As(err, &missing) || !missing.IsNotFound {
		t.Errorf("c.test: got %v, want that it does not exist", err)
	}

	before, in := b.Addr(), mailbox(t, b)
	must(t, b.Move())
	ask("b.test", b.Addr())
	ask("logs.test", a.Addr(), b.Addr())
	if b.Addr() == before || !passes(t, a, b, in, true) {
		t.Errorf("b has moved from %v to %v, where nothing reaches it", before, b.Addr())
	}
	var said strings.Builder
	for range asked {
		c := exec.Command("getent", "ahostsv4", "b.test")
		c.Stdout = &said
		must(t, a.Start(c))
		if err = c.Wait(); err == nil {
			break
		}
	}
	if err != nil || !strings.HasPrefix(said.String(), b.Addr().String()+" ") {
		t.Errorf("a process on a finds b.test at %q, %v; want %v", said.String(), err, b.Addr())
	}
}

// Names can be away: the host is told so, or its questions are lost. Nothing else is.
func TestNamesAway(t *testing.T) {
	n, a, b := two(t)
	in := mailbox(t, b)
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return a.Dial(ctx, network, netip.AddrPortFrom(address(0), 53))
	}}
	for _, c := range []struct {
		what       string
		away, back func() error
	}{{"stopped", n.StopNames, n.StartNames}, {"lost", a.LoseNames, a.Heal}} {
		must(t, c.away())
		if got, err := r.LookupHost(context.Background(), "b.test"); err == nil {
			t.Errorf("%s: names answer %v", c.what, got)
		}
		if !passes(t, a, b, in, true) {
			t.Errorf("%s: nothing passes", c.what)
		}
		must(t, c.back())
		if got, err := answered(func() ([]string, error) { return r.LookupHost(context.Background(), "b.test") }); err != nil || len(got) != 1 {
			t.Errorf("%s and back: got %v, %v", c.what, got, err)
		}
	}
}

// Networks have the same addresses and do not see each other; when one is closed its links are gone.
func TestNetworksAreApart(t *testing.T) {
	_, a, b := two(t)
	n2, _, b2 := two(t)
	if b.Addr() != b2.Addr() {
		t.Fatalf("b has the address %v in one network and %v in the other", b.Addr(), b2.Addr())
	}
	in, in2 := mailbox(t, b), mailbox(t, b2)
	if !passes(t, a, b, in, true) {
		t.Error("nothing passes in its own network")
	}
	must(t, in2.SetReadDeadline(time.Now().Add(50*time.Millisecond))) // one that is over reads nothing, whatever has come
	if size, from, err := in2.ReadFrom(make([]byte, 10)); err == nil {
		t.Errorf("b of the other network has got %d bytes from %v", size, from)
	}
	must(t, n2.Close())
	if !passes(t, a, b, in, true) {
		t.Error("nothing passes when the other network is closed")
	}
}
