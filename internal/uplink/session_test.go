package uplink

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// some returns an uplink that is never run.
func some(t *testing.T, level int) *Uplink {
	t.Helper()
	u, err := New(Options{
		Backlog: struct{ record.Backlog }{}, Store: struct{ record.Store }{}, Level: level, Logger: slog.New(slog.DiscardHandler),
		Dial: func(context.Context) (net.Conn, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The level of a target's configuration reaches the encoder, and the default is not none.
func TestLevel(t *testing.T) {
	for level, want := range map[int]int{0: 1, 1: 1, 22: 22} {
		u := some(t, level)
		if got := newSession(u, nil).enc.Level; got != want {
			t.Errorf("level %d: got %d, want %d", level, got, want)
		}
	}
}

// What GOAWAY asks for is waited for before the next connection, within reason.
func TestRetry(t *testing.T) {
	for millis, want := range map[uint64]time.Duration{300: 300 * time.Millisecond, 1 << 63: maxRetryMillis * time.Millisecond} {
		s := newSession(some(t, 0), nil)
		s.halt = func() {}
		if err := s.take(wire.Goaway{RetryMillis: millis}); err != nil {
			t.Fatal(err)
		}
		e, ok := s.over(errDrained).(*ending)
		if !ok || !e.quiet {
			t.Fatalf("got %v, want a quiet end", e)
		}
		if got := e.delay(10 * time.Millisecond); got < want || got > want*5/4 {
			t.Errorf("%d ms asked for: got %v, want %v, and at most a quarter more", millis, got, want)
		}
	}
}
