package ingest

import (
	"testing"
	"time"

	"ftfuse/internal/pulse"
)

// A connection whose output does not answer for its marks has no pulse.
func TestLedgerThatHangsIsSeen(t *testing.T) {
	var g pulse.Group
	out := newMemory()
	_, address := serve(t, Options{Output: out, Pulses: &g})
	p := connect(t, address, stream(1), 1)
	now := time.Unix(0, 0)
	hung := func() bool {
		now = now.Add(time.Hour)
		return len(g.Hung(now, time.Minute)) > 0
	}
	out.mu.Lock()
	p.batch(chunks(stream(1), 1, 5, 10))
	until(t, "the connection asks", hung)
	for range 10 {
		if !hung() {
			t.Error("a connection that hangs seems well")
		}
	}
	out.mu.Unlock()
	p.acked(1)
	for range 2 { // a hang is what is seen twice
		if hung() {
			t.Error("an idle connection seems to hang")
		}
	}
}
