package capture

import (
	"testing"

	"ftfuse/internal/record"
)

// What was written while nobody looked counts as unseen before the follower has looked for the first time: who asks then
// must not hear that all is delivered.
func TestUnseenFromTheBeginning(t *testing.T) {
	dir, sink := t.TempDir(), newChain()
	r := start(t, dir, sink, Recovery{}, nil)
	sp, err := r.file(t, "a.log").OpenSpool(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	w := kernel(t, sp)
	mustWrite(t, w, "seen\n")
	sink.waitFor(t, "the first line", func() bool { return string(sink.all()) == "seen\n" })
	r.stop()
	mustWrite(t, w, "not seen\n")

	c, err := New(r.o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Recover(sink.replay(true)); err != nil {
		t.Fatal(err)
	}
	if got := c.Usage().Unseen; got != 9 {
		t.Fatalf("got %d bytes unseen, want the 9 that were written since", got)
	}
}
