package ingest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// An output that does not come back has no pulse; one that fails and is asked again has.
func TestOutputThatHangsIsSeen(t *testing.T) {
	var g pulse.Group
	var failing atomic.Bool
	asked, goOn := make(chan struct{}), make(chan struct{})
	out := newMemory()
	out.fail = func(context.Context, []record.Chunk) error {
		if failing.Load() {
			return errors.New("no space left on device")
		}
		asked <- struct{}{}
		<-goOn
		return nil
	}
	s, address := serve(t, Options{Output: out, Pulses: &g, RetryMin: time.Millisecond, RetryMax: time.Millisecond})
	p := connect(t, address, stream(1), 1)
	now := time.Unix(0, 0)
	hung := func() int {
		now = now.Add(time.Hour)
		return len(g.Hung(now, time.Minute))
	}
	p.batch(chunks(stream(1), 1, 5, 10))
	<-asked
	hung()
	if n := hung(); n != 1 {
		t.Errorf("an output that hangs: got %d hung, want 1", n)
	}
	goOn <- struct{}{}
	p.acked(1)
	until(t, "it is well again", func() bool { return hung() == 0 })
	failing.Store(true)
	p.batch(chunks(stream(1), 6, 9, 10))
	until(t, "it fails", func() bool { return s.Status().Failures > 3 })
	until(t, "a pulse", func() bool { return hung() == 0 })
	failing.Store(false)
	<-asked
	goOn <- struct{}{}
	p.acked(2)
}
