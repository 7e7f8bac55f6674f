package uplink_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/uplink"
	"ftfuse/internal/wire"
)

// script is a receiver by hand: each connection is given to the next function, the last one to all further ones.
func script(t *testing.T, p *pair, steps ...func(r *remote)) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = ln.Addr().String()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(patience))
			r := &remote{t: t, nc: nc, br: bufio.NewReader(nc)}
			r.hello, _ = r.frame().(wire.Hello)
			steps[min(n, len(steps)-1)](r)
			nc.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); p.cut(); <-ended })
}

// remote is the sender as the receiver sees it.
type remote struct {
	t     *testing.T
	nc    net.Conn
	br    *bufio.Reader
	hello wire.Hello
	body  int // of all batches so far
}

// frame returns the next frame: a Control, a wire.BatchHeader, or nil at the end.
func (r *remote) frame() any {
	prefix, err := r.br.Peek(4)
	if err != nil {
		return nil
	}
	n, err := wire.Length(prefix, wire.MaxFrame)
	if err != nil {
		r.t.Error(err)
		return nil
	}
	b := make([]byte, 4+n)
	if _, err := io.ReadFull(r.br, b); err != nil {
		return nil
	}
	if kind, _ := wire.PeekType(b[4:]); kind == wire.TypeBatch {
		h, err := wire.PeekBatch(b[4:])
		if err != nil {
			r.t.Error(err)
		}
		r.body += h.Body
		return h
	}
	f, err := wire.DecodeControl(b[4:])
	if err != nil {
		r.t.Error(err)
	}
	return f
}

// batch reads up to the next batch and returns its number, 0 at the end.
func (r *remote) batch() uint64 {
	for {
		switch f := r.frame().(type) {
		case wire.BatchHeader:
			return f.Number
		case nil:
			return 0
		}
	}
}

func (r *remote) send(f wire.Control) { _, _ = r.nc.Write(f.Append(nil)) }

func (r *remote) welcome(change ...func(w *wire.Welcome)) {
	w := wire.Welcome{Version: 1, Credit: 1 << 20, Limits: wire.Limits{Body: wire.MinBody, Chunks: 100, IdleMillis: 60_000, Codecs: 1}}
	for _, f := range change {
		f(&w)
	}
	r.send(w)
}

// take acknowledges everything until the end.
func (r *remote) take() {
	r.welcome()
	for n := r.batch(); n > 0; n = r.batch() {
		r.send(wire.Ack{Through: n, Credit: 1 << 20})
	}
}

// A receiver that misbehaves, is dead, or goes away: the error says so, and the next connection works.
func TestBadReceivers(t *testing.T) {
	for name, tc := range map[string]struct {
		want   string // in the error
		change func(o *uplink.Options)
		first  func(r *remote)
	}{
		"closes":       {"EOF", nil, func(*remote) {}},
		"stranger":     {"length: got", nil, func(r *remote) { _, _ = r.nc.Write([]byte("220 smtp.example\r\n")) }},
		"version":      {"got version 2", nil, func(r *remote) { r.welcome(func(w *wire.Welcome) { w.Version = 2 }) }},
		"limits":       {"check limits", nil, func(r *remote) { r.welcome(func(w *wire.Welcome) { w.Limits.Body = 1 }) }},
		"no welcome":   {"want WELCOME", nil, func(r *remote) { r.send(wire.Ack{}) }},
		"says nothing": {"timeout", func(o *uplink.Options) { o.HandshakeTimeout = 50 * time.Millisecond }, func(r *remote) { r.frame() }},
		"busy":         {"busy: full", nil, func(r *remote) { r.send(wire.Nack{Code: wire.Busy, Text: "full"}); r.frame() }},
		"leaves":       {"goes away: tea", nil, func(r *remote) { r.send(wire.Goaway{Code: wire.GoingDown, Text: "tea"}) }},
		"acks more":    {"got batch 9", nil, func(r *remote) { r.welcome(); r.batch(); r.send(wire.Ack{Through: 9}); r.frame() }},
		"acks less": {"got batch 1, want at most", func(o *uplink.Options) { o.Batch = 1000 }, func(r *remote) {
			r.welcome()
			r.batch()
			r.batch()
			r.send(wire.Ack{Through: 2, Credit: 1})
			r.send(wire.Ack{Through: 1, Credit: 1})
			for r.frame() != nil {
			}
		}},
		"too many marks": {"got 1025 elements", nil, func(r *remote) {
			r.welcome(func(w *wire.Welcome) { w.Marks = make([]record.Durable, wire.MaxStreams+1) })
			r.frame()
		}},
		"sends hello": {"got wire.Hello", nil, func(r *remote) { r.welcome(); r.send(r.hello); r.frame() }},
		"nacks": {"bad data: sum", nil, func(r *remote) {
			r.welcome()
			n := r.batch()
			r.send(wire.Nack{Code: wire.BadData, Number: n, Text: "sum"})
		}},
		"half open": {"is dead", func(o *uplink.Options) { o.DeadAfter = 50 * time.Millisecond }, func(r *remote) {
			r.welcome()
			for r.frame() != nil {
			}
		}},
		"never acks": {"await ACK", func(o *uplink.Options) { o.AckTimeout = 50 * time.Millisecond }, func(r *remote) {
			r.welcome(func(w *wire.Welcome) { w.Limits.IdleMillis = 1000 })
			for r.frame() != nil {
				r.send(wire.Ping{Token: 3})
			}
		}},
		"does not read": {"send batch", func(o *uplink.Options) { o.WriteTimeout = 300 * time.Millisecond }, func(r *remote) {
			r.welcome(func(w *wire.Welcome) { w.Credit = 1 << 40 })
			for { // until the sender closes, which fails a write
				if _, err := r.nc.Write(wire.Ping{Token: 1}.Append(nil)); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			if tc.change != nil {
				tc.change(&p.options)
			}
			size := 1000
			if name == "does not read" {
				size = record.MaxChunk // more than the sockets hold
			}
			fill(p.backlog, p.spools, 20, 1, size)
			proceed := make(chan struct{})
			script(t, p, tc.first, func(r *remote) { <-proceed; r.take() })
			p.send()
			until(t, "an error shows", func() bool { return p.up.Status().LastError != "" })
			if got := p.up.Status().LastError; !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			close(proceed)
			p.delivered()
			if p.backlog.epochs != 0 || len(p.backlog.dropped) != 0 {
				t.Errorf("got %d epochs, %v dropped, want none", p.backlog.epochs, p.backlog.dropped)
			}
		})
	}
}

// Another process sends under this name: a new one is begun.
func TestClone(t *testing.T) {
	p := newPair(t)
	fill(p.backlog, p.spools, 3, 1, 10)
	var epoch uint64
	script(t, p, func(r *remote) { r.send(wire.Nack{Code: wire.NewEpoch, Text: "clone"}); r.frame() },
		func(r *remote) { epoch = r.hello.Epoch; r.take() })
	stop := p.send()
	p.delivered()
	stop()
	if epoch != 2 || p.backlog.epochs != 1 {
		t.Errorf("got epoch %d, %d new ones, want 2, 1", epoch, p.backlog.epochs)
	}
}

// The credit bounds what is under way, and 0 stops everything until it is raised. A credit beyond all reason leaves
// the sender's own window.
func TestCredit(t *testing.T) {
	const most = 10_000
	for name, tc := range map[string]struct {
		window int64
		credit uint64
	}{"credit": {1 << 20, most}, "window": {most, 1<<64 - 1}} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.options.Batch, p.options.Window = 1000, tc.window
			fill(p.backlog, p.spools, 100, 1, 1000)
			under, early := make(chan int, 1), make(chan bool, 1)
			script(t, p, func(r *remote) {
				r.welcome(func(w *wire.Welcome) { w.Credit = 0 })
				_ = r.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				early <- r.batch() != 0
				_ = r.nc.SetReadDeadline(time.Now().Add(patience))
				r.send(wire.Ack{Through: 0, Credit: tc.credit})
				for r.body+1200 <= most { // a batch is some 1100 bytes
					r.batch()
				}
				_ = r.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				r.batch()
				under <- r.body
			}, (*remote).take)
			p.send()
			if <-early {
				t.Error("got a batch without credit")
			}
			if got := <-under; got > most {
				t.Errorf("got %d bytes under way, want at most %d", got, most)
			}
			p.delivered()
		})
	}
}

// A relay asks for more streams than a HELLO holds: it gets the marks of those that fit, its own among them.
func TestManyStreams(t *testing.T) {
	p := newPair(t)
	want := fill(p.backlog, p.spools, 20, 3, 100)
	var streams []record.Stream
	for n := range 2 * wire.MaxStreams {
		s := record.Stream{Sender: record.SenderID{8, byte(n), byte(n >> 8)}, Epoch: 1}
		streams = append(streams, s)
		p.out.marks[s] = record.Durable{Stream: s, Seq: 5, Chain: 6}
	}
	p.options.Streams = func() []record.Stream { return streams }
	var own record.Durable
	for i := range p.backlog.entries[0] { // the receiver has the first entry
		own = own.Add(&p.backlog.entries[0][i])
	}
	p.out.marks[own.Stream] = own
	p.receive()
	p.send()
	p.delivered()
	p.arrived(want[300:])
	if st := p.up.Status(); st.SkippedChunks != 3 || st.Failures != 0 {
		t.Errorf("got %+v, want 3 chunks skipped", st)
	}
}

// GOAWAY: what is under way is waited for, nothing more is begun, and all is well on the next connection.
func TestGoaway(t *testing.T) {
	p := newPair(t)
	p.options.Batches = 5
	fill(p.backlog, p.spools, 50, 1, record.MaxChunk/4)
	p.options.Batch = record.MaxChunk / 4
	last := make(chan any, 1)
	script(t, p, func(r *remote) {
		r.welcome(func(w *wire.Welcome) { w.Credit = 2 << 20 })
		for range 5 {
			r.batch()
		}
		r.send(wire.Goaway{Code: wire.GoingDown, Text: "upgrade", RetryMillis: 1})
		r.send(wire.Ack{Through: 5, Credit: 2 << 20})
		var f any
		for next := r.frame(); next != nil; next = r.frame() {
			f = next
		}
		last <- f
	}, (*remote).take)
	p.send()
	if f, ok := (<-last).(wire.Goaway); !ok {
		t.Errorf("got %+v last, want GOAWAY", f)
	}
	p.delivered()
	if f := p.up.Status().Failures; f != 0 {
		t.Errorf("got %d failures, want none", f)
	}
}

// A stop waits for the acknowledgements of what is under way.
func TestStopWaits(t *testing.T) {
	p := newPair(t)
	fill(p.backlog, p.spools, 1, 1, 100)
	under, ack := make(chan struct{}), make(chan struct{})
	script(t, p, func(r *remote) {
		r.welcome()
		n := r.batch()
		close(under)
		<-ack
		r.send(wire.Ack{Through: n, Credit: 1})
		r.frame()
	})
	stop := p.send()
	<-under
	go func() {
		until(t, "draining", func() bool { return p.up.Status().State == uplink.Draining })
		close(ack)
	}()
	stop()
	if acked, _ := p.backlog.Acked(); acked != 1 {
		t.Errorf("got position %d, want 1", acked)
	}
}

// Pings keep an idle connection, and measure it.
func TestKeepAlive(t *testing.T) {
	t.Parallel() // a third of the time-out goes by before the first ping
	p := newPair(t)
	script(t, p, func(r *remote) {
		r.welcome(func(w *wire.Welcome) { w.Limits.IdleMillis = 9000 })
		for f := r.frame(); f != nil; f = r.frame() {
			if ping, ok := f.(wire.Ping); ok {
				r.send(wire.Pong(ping))
			}
		}
	})
	p.send()
	until(t, "a round trip is measured", func() bool { return p.up.Status().RTT > 0 })
	if st := p.up.Status(); st.Failures != 0 || st.Connects != 1 {
		t.Errorf("got %+v", st)
	}
}
