package queue

import (
	"testing"
	"time"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// An Append whose disk does not answer has no pulse.
func TestAppendThatHangsIsSeen(t *testing.T) {
	var g pulse.Group
	var f faults
	o := options(t.TempDir())
	o.Storage, o.Pulses = f.open, &g
	q, _ := open(t, o)
	cursor(t, q, "a")
	appendAll(t, q, inline("r", "one"))
	now := time.Unix(0, 0)
	hung := func() int {
		now = now.Add(time.Hour)
		return len(g.Hung(now, time.Minute))
	}
	if n := hung() + hung(); n != 0 {
		t.Errorf("an idle queue: got %d hung", n)
	}
	f.mu.Lock() // every operation of the disk waits for it
	done := make(chan error, 1)
	go func() { done <- q.Append([]record.Chunk{inline("r", "two")}) }()
	for hung() == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 10 {
		if hung() != 1 {
			t.Error("an append that hangs seems well")
		}
	}
	f.mu.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := hung() + hung(); n != 0 {
		t.Errorf("after it: got %d hung", n)
	}
}
