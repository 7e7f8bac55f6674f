package ingest

import (
	"context"
	"errors"
	"net"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// web is an allowance of everybody who comes from this machine.
func web() Allowance {
	return Allowance{Name: "web", Identity: func(name string) bool { return name == "127.0.0.1" }}
}

func glob(pattern string) func(string) bool {
	return func(name string) bool { ok, _ := path.Match(pattern, name); return ok }
}

// at makes one chunk of a host's file.
func at(s record.Stream, seq uint64, host, file string) []record.Chunk {
	list := chunks(s, seq, seq, 10)
	list[0].Source = &record.Source{Stream: s, Host: host}
	list[0].File = &record.File{Mount: "m", Path: file}
	return list
}

// A sender may give its streams ids that are derived from its own: no relay is needed for that.
func TestDerivedStreamsAreOwn(t *testing.T) {
	out := newMemory()
	s, address := serve(t, Options{Output: out})
	s.SetPeers([]Allowance{web()})
	target := stream(1)
	p := connect(t, address, record.Stream{Sender: target.Sender.Derive("target x"), Epoch: target.Epoch}, 1)
	for n := range uint64(3) {
		part := at(target, n+1, "h", "p")
		part[0].Source = part[0].Source.Via(target.Sender.Derive(string(rune('a' + n))))
		p.batch(part)
		p.acked(n + 1)
	}
}

// What a peer may not send is refused with the batch that has it, of which nothing is stored, and counted by its reason.
func TestWhatPeersMayNotSend(t *testing.T) {
	own := stream(1)
	foreign := at(own, 2, "h", "p")
	foreign[0].Source = at(stream(9), 2, "h", "p")[0].Source.Via(own.Sender.Derive("part 1"))
	relayed := at(own, 2, "h", "p")
	relayed[0].Source.Hops = string(make([]byte, record.HopLen))
	for name, test := range map[string]struct {
		allow  func(*Allowance)
		second []record.Chunk
		reason Reason
		says   string
	}{
		"another host":        {func(a *Allowance) { a.Hosts = glob("h") }, at(own, 2, "db1", "p"), DeniedHost, `may not send as host "db1"`},
		"another file":        {func(a *Allowance) { a.Paths = glob("p*") }, at(own, 2, "h", "q"), DeniedPath, `may not send file "q"`},
		"a file by a detour":  {func(a *Allowance) { a.Paths = func(p string) bool { return p == "p" || strings.HasPrefix(p, "web/") } }, at(own, 2, "h", "web/../db/x"), DeniedPath, "web/../db/x"},
		"others' data":        {func(*Allowance) {}, at(stream(9), 1, "h", "p"), DeniedRelay, "may not bring data of others"},
		"others' under an id": {func(*Allowance) {}, foreign, DeniedRelay, "may not bring data of others"},
		"data by a relay":     {func(*Allowance) {}, relayed, DeniedRelay, "may not bring data of others"},
		"a host, of a relay":  {func(a *Allowance) { a.Relay = true; a.Hosts = glob("h") }, at(stream(9), 1, "db1", "p"), DeniedHost, `"db1"`},
		"the second of a few": {func(a *Allowance) { a.Paths = glob("p*") }, append(at(own, 2, "h", "p"), at(own, 3, "h", "q")...), DeniedPath, `"q"`},
	} {
		t.Run(name, func(t *testing.T) {
			out := newMemory()
			s, address := serve(t, Options{Output: out})
			a := web()
			test.allow(&a)
			s.SetPeers([]Allowance{a})
			p := connect(t, address, own, 1)
			p.batch(at(own, 1, "h", "p"))
			p.acked(1)
			p.batch(test.second)
			n := p.refused(wire.Denied)
			if n.Number != 2 || !strings.Contains(string(n.Text), test.says) || !strings.Contains(string(n.Text), "web") {
				t.Errorf("got NACK of batch %d: %s; want batch 2, peer web, and %q", n.Number, n.Text, test.says)
			}
			until(t, "counted", func() bool { return s.Status().Refused[test.reason.String()] == 1 })
			if got := len(out.seqs(own)) + len(out.seqs(stream(9))); got != 1 {
				t.Errorf("got %d chunks stored, want the first alone", got)
			}
		})
	}
}

// Who may not come at all is refused at HELLO, before another connection has to make way for it.
func TestWhoMayNotCome(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Allowance)
		reason Reason
		code   wire.Code
	}{
		"no peer fits": {func(a *Allowance) { a.Identity = glob("10.*") }, DeniedPeer, wire.Denied},
		"denied":       {func(a *Allowance) { a.Deny = true }, DeniedPeer, wire.Denied},
		"another host": {func(a *Allowance) { a.Hosts = glob("web*") }, DeniedHost, wire.Denied},
		"too many":     {func(a *Allowance) { a.Connections = 1 }, TooManyPerPeer, wire.Busy},
	} {
		t.Run(name, func(t *testing.T) {
			out := newMemory()
			s, address := serve(t, Options{Output: out})
			s.SetPeers([]Allowance{web()})
			first := connect(t, address, stream(1), 1)
			a := web()
			test.change(&a)
			p := dial(t, address)
			s.policy.Store(&policy{list: []entry{{a, s.shares["web"]}}}) // for those who come now
			p.send(hello(stream(1), 1))                                  // it would take the first one's place
			p.refused(test.code)
			until(t, "counted", func() bool { return s.Status().Refused[test.reason.String()] == 1 })
			first.batch(chunks(stream(1), 1, 1, 10))
			first.acked(1)
		})
	}
}

// New allowances hold for connections that are open: those that may not go on end, the others do not notice.
func TestAllowancesChangeUnderConnections(t *testing.T) {
	out := newMemory()
	var certificate atomic.Pointer[error]
	s, address := serve(t, Options{Output: out, Secure: func(_ context.Context, nc net.Conn) (net.Conn, Identity, error) {
		return nc, Identity{Name: "127.0.0.1", Recheck: func() error {
			if err := certificate.Load(); err != nil {
				return *err
			}
			return nil
		}}, nil
	}})
	a := web()
	a.Connections = 1
	s.SetPeers([]Allowance{a})
	p := connect(t, address, stream(1), 1)
	s.SetPeers([]Allowance{{Name: "other", Identity: func(string) bool { return true }}, a})
	p.batch(chunks(stream(1), 1, 1, 10))
	p.acked(1)
	if got := s.Status().Peers[0].Allowance; got != "other" {
		t.Errorf("got allowance %q, want other", got)
	}
	s.SetPeers([]Allowance{a}) // the place that it had there is free again
	a.Deny = true
	s.SetPeers([]Allowance{a})
	p.refused(wire.Denied)
	s.SetPeers(nil)
	p = connect(t, address, stream(1), 2)
	gone := errors.New("its authority is gone")
	certificate.Store(&gone)
	s.SetPeers(nil)
	if n := p.refused(wire.Denied); !strings.Contains(string(n.Text), "authority is gone") {
		t.Errorf("got %s", n.Text)
	}
	until(t, "all are counted out", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.conns == 0 && s.shares["web"].connections == 0 && s.shares["other"].connections == 0
	})
}

// A quota that is used up takes the credit away; with the next period, a higher quota, or none it comes back. What was
// counted can be carried over to another life.
func TestQuota(t *testing.T) {
	out := newMemory()
	s, address := serve(t, Options{Output: out})
	a := web()
	a.Quota, a.Every = 100, time.Hour
	s.SetPeers([]Allowance{a})
	p := connect(t, address, stream(1), 1)
	if p.welcome.Credit == 0 {
		t.Fatal("got no credit at first")
	}
	p.batch(chunks(stream(1), 1, 9, 10))
	if got := p.ack(); got.Through != 1 || got.Credit == 0 {
		t.Fatalf("got %+v with 90 of 100 bytes, want credit", got)
	}
	p.batch(chunks(stream(1), 10, 10, 10))
	if got := p.ack(); got.Through != 2 || got.Credit != 0 {
		t.Fatalf("got %+v with 100 of 100 bytes, want no credit", got)
	}
	if why := s.Status().Peers[0].Paused; !strings.Contains(why, "peer web has used its quota up: 100 of 100 bytes") {
		t.Errorf("paused: got %q", why)
	}
	s.Regrant() // too early
	a.Quota = 150
	s.SetPeers([]Allowance{a})
	s.Regrant()
	if got := p.ack(); got.Through != 2 || got.Credit == 0 {
		t.Fatalf("got %+v with a higher quota, want credit", got)
	}
	used := s.Usage()
	if used["web"].Bytes != 100 {
		t.Errorf("got usage %+v, want 100 bytes", used)
	}
	next, address := serve(t, Options{Output: out})
	next.Restore(used)
	a.Quota = 100
	next.SetPeers([]Allowance{a})
	p = connect(t, address, stream(1), 2)
	if p.welcome.Credit != 0 {
		t.Error("another life has forgotten the quota")
	}
	next.shares["web"].mu.Lock()
	next.shares["web"].used.Since = time.Now().Add(-time.Hour)
	next.shares["web"].mu.Unlock()
	next.Regrant()
	if got := p.ack(); got.Through != 0 || got.Credit == 0 {
		t.Fatalf("got %+v in the next period, want credit", got)
	}
}

// ack returns the next ACK.
func (p *peer) ack() wire.Ack {
	p.t.Helper()
	a, ok := p.receive().(wire.Ack)
	if !ok {
		p.t.Fatal("got no ACK")
	}
	return a
}

// Duplicates do not count against a quota: they are not written.
func TestQuotaIsOfWhatIsStored(t *testing.T) {
	out := newMemory()
	s, address := serve(t, Options{Output: out})
	a := web()
	a.Quota, a.Every = 1000, time.Hour
	s.SetPeers([]Allowance{a})
	for instance := range byte(3) {
		p := connect(t, address, stream(1), instance)
		p.batch(chunks(stream(1), 1, 5, 10))
		p.acked(1)
		p.nc.Close()
		until(t, "it has gone", func() bool { return len(s.Status().Peers) == 0 })
	}
	if got := s.Usage()["web"].Bytes; got != 50 {
		t.Errorf("got %d bytes counted, want 50", got)
	}
}

// A rate bounds the credit, and is waited for before a batch is read; the wait ends with the connection.
func TestRate(t *testing.T) {
	sh := newShare()
	sh.set(Allowance{Rate: 1000})
	if credit, why := sh.bound(8<<20, time.Now()); credit != minCredit || why != "" {
		t.Errorf("got credit %d %q, want %d", credit, why, minCredit)
	}
	sh.limiter.SetLimit(rate.Every(time.Hour)) // nothing to speak of comes back while this test runs
	if err := sh.pay(t.Context(), 1000); err != nil {
		t.Error(err)
	}
	if left := sh.limiter.Tokens(); left > 1 {
		t.Errorf("got %v bytes left of 1000, want none", left)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sh.pay(ctx, 1<<30) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the connection", err)
	}
	sh.set(Allowance{})
	if err := sh.pay(t.Context(), 1<<30); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	out := newMemory()
	s, address := serve(t, Options{Output: out})
	a := web()
	a.Rate = 1 << 20
	s.SetPeers([]Allowance{a})
	s.shares["web"].limiter.SetLimit(rate.Every(time.Hour))
	p := connect(t, address, stream(1), 1)
	for i := range uint64(3) {
		p.batch(chunks(stream(1), 10*i+1, 10*i+10, 1000))
	}
	p.acked(3)
	if left := s.shares["web"].limiter.Tokens(); left > 1<<20-30_000 {
		t.Errorf("got %v bytes left, want what came taken off", left)
	}
}
