package uplink

import (
	"context"
	"net"
	"testing"

	"ftfuse/internal/record"
)

// The level of a target's configuration reaches the encoder, and the default is not none.
func TestLevel(t *testing.T) {
	for level, want := range map[int]int{0: 3, 1: 1, 22: 22} {
		u, err := New(Options{
			Backlog: struct{ record.Backlog }{}, Store: struct{ record.Store }{}, Level: level,
			Dial: func(context.Context) (net.Conn, error) { return nil, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := newSession(u, nil).enc.Level; got != want {
			t.Errorf("level %d: got %d, want %d", level, got, want)
		}
	}
}
