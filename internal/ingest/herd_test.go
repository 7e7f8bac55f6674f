package ingest

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// Peers of an orderly stop are told to come back at different times, by about a thousand a second.
func TestStopSpreadsTheHerd(t *testing.T) {
	s, err := New(Options{Output: newMemory()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		conns int
		most  uint64 // ms
	}{{1, 1}, {10_000, 10_000}, {1 << 20, uint64(comeBackMost.Milliseconds())}} {
		s.conns, s.crowd = tc.conns, 0
		var late, high int
		for range 1000 {
			got := s.comeBack()
			s.conns-- // who has gone does not make it earlier for the others
			if got > tc.most {
				t.Fatalf("%d connections: got %d ms, want at most %d", tc.conns, got, tc.most)
			}
			if got > tc.most/2 {
				late++
			}
			if got > tc.most*9/10 {
				high++
			}
		}
		if tc.conns > 1 && (late < 350 || late > 650 || high < 20) {
			t.Errorf("%d connections: got %d of 1000 in the later half, %d in the last tenth", tc.conns, late, high)
		}
	}
}

// What is said at a stop reaches the peer.
func TestGoawaySaysWhen(t *testing.T) {
	s, err := New(Options{Output: newMemory(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ln := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	p := connect(t, ln.Addr().String(), stream(1), 1)
	s.mu.Lock()
	s.crowd = 1 << 20 // as if there were many
	s.mu.Unlock()
	cancel()
	f, ok := p.receive().(wire.Goaway)
	if !ok || f.RetryMillis == 0 || f.RetryMillis > uint64(comeBackMost.Milliseconds()) {
		t.Errorf("got %+v, want GOAWAY with a time to come back", f)
	}
	p.nc.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// One identity that connects again and again, while its first connection cannot end, holds few connections and no others up.
func TestReconnectStorm(t *testing.T) {
	out := newMemory()
	enter, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	out.fail = func(_ context.Context, list []record.Chunk) error {
		if list[0].Source.Stream == stream(1) {
			once.Do(func() { close(enter); <-leave })
		}
		return nil
	}
	s, address := serve(t, Options{Output: out, PerAddress: 500, HandshakeTimeout: patience}) // those that wait are still there in the end
	attack(t, address, out, func() {
		old := connect(t, address, stream(1), 1)
		old.batch(chunks(stream(1), 1, 5, 10))
		<-enter
		var storm []*peer
		for range 100 {
			p := dial(t, address)
			p.send(hello(stream(1), 1))
			storm = append(storm, p)
		}
		until(t, "all but a few are refused", func() bool { return s.Status().Refused["waiting"] == 100-maxWaiting })
		close(leave)
		until(t, "one is left", func() bool { return s.Status().Connections == 2 })
		for _, p := range storm {
			p.nc.Close()
		}
		until(t, "none is left", func() bool { return s.Status().Connections == 1 })
	})
	out.holds(t, stream(1), 1, 5, 10)
	if len(s.waiting) != 0 || len(s.streams.held) != 0 {
		t.Errorf("got %v waiting, %v locked, want nothing left", s.waiting, s.streams.held)
	}
}

// Peers that ask for the marks of as many streams as they may, again and again, leave nothing behind.
func TestManyStreamsAskedFor(t *testing.T) {
	out := newMemory()
	s, address := serve(t, Options{Output: out})
	attack(t, address, out, func() {
		for round := range uint64(20) {
			h := hello(stream(1), 1)
			for i := range uint64(wire.MaxStreams - 1) {
				h.Streams = append(h.Streams, record.Stream{Sender: record.SenderID{7}, Epoch: round<<32 + i})
			}
			p := dial(t, address)
			p.send(h)
			if w, ok := p.receive().(wire.Welcome); !ok || len(w.Marks) != 0 {
				t.Fatalf("got %+v, want WELCOME without marks", w)
			}
			s.mu.Lock()
			kept := len(s.peers[stream(1)].hello.Streams)
			s.mu.Unlock()
			if kept != 0 {
				t.Errorf("got %d streams kept, want none", kept)
			}
			p.nc.Close()
			until(t, "it is gone", func() bool { return s.Status().Connections == 1 })
		}
	})
}

// The log does not grow with the number of connections.
func TestLogIsBounded(t *testing.T) {
	var text strings.Builder
	s, err := New(Options{Output: newMemory(), Logger: slog.New(slog.NewTextHandler(&text, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	here := &conn{s: s, nc: ours}
	for range 10 * logBurst {
		here.log(slog.LevelInfo, "sender connected")
	}
	if n := strings.Count(text.String(), "\n"); n < logBurst || n > 2*logBurst {
		t.Errorf("got %d lines, want about %d", n, logBurst)
	}
	s.said = bucket{rate: logRate, room: logBurst} // time goes by
	here.log(slog.LevelInfo, "sender connected")
	if !strings.Contains(text.String(), "unsaid=") {
		t.Error("nothing says how many lines are missing")
	}
}

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := bucket{rate: 10, room: 5}
	take := func() (n int) {
		for b.take(now) {
			n++
		}
		return n
	}
	for _, tc := range []struct {
		after time.Duration
		want  int
	}{{0, 5}, {0, 0}, {200 * time.Millisecond, 2}, {time.Hour, 5}, {99 * time.Millisecond, 0}, {time.Millisecond, 1}} {
		now = now.Add(tc.after)
		if got := take(); got != tc.want {
			t.Errorf("after %v: got %d, want %d", tc.after, got, tc.want)
		}
	}
}
