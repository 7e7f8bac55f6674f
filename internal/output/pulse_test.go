package output

import (
	"testing"
	"time"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// An append that does not come back has no pulse, and neither has any that waits for it.
func TestAppendThatHangsIsSeen(t *testing.T) {
	var g pulse.Group
	r := newRig(t)
	r.Pulses = &g
	at, goOn := make(chan struct{}), make(chan struct{})
	r.step = func(string) { at <- struct{}{}; <-goOn }
	r.open()
	now := time.Unix(0, 0)
	look := func() int {
		now = now.Add(time.Hour)
		return len(g.Hung(now, time.Minute))
	}
	if n := look() + look(); n != 0 {
		t.Errorf("an idle output: got %d hung", n)
	}
	done := make(chan error, 1)
	c := r.chunk("log", "one\n")
	go func() { done <- r.out.Put(t.Context(), []record.Chunk{c}) }()
	<-at
	look()
	if n := look(); n != 1 {
		t.Errorf("an append that hangs: got %d hung, want 1", n)
	}
	go func() {
		for range at {
		}
	}()
	close(goOn)
	must(t, <-done)
	close(at)
	if n := look() + look(); n != 0 {
		t.Errorf("after it: got %d hung", n)
	}
	r.close()
	r.want("log", "one\n")
}
