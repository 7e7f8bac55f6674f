package capture

import (
	"context"
	"testing"
	"time"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// hung looks at all pulses an hour later each time, so that whoever is in the same turn as last time hangs.
func hung(g *pulse.Group, hours *time.Duration) bool {
	*hours += time.Hour
	return len(g.Hung(time.Unix(0, 0).Add(*hours), time.Minute)) > 0
}

// holding says when it is given something, and takes it when it is to go on.
type holding struct {
	*chain
	at, goOn chan struct{}
}

func (h *holding) Put(ctx context.Context, chunks []record.Chunk) error {
	select {
	case h.at <- struct{}{}:
	default:
	}
	<-h.goOn
	return h.chain.Put(ctx, chunks)
}

// A follower whose queue does not come back has no pulse; one that idles, or whose queue refuses, has.
func TestFollowerThatHangsIsSeen(t *testing.T) {
	var g pulse.Group
	var hours time.Duration
	sink := newChain()
	stuck := &holding{chain: sink, at: make(chan struct{}, 1), goOn: make(chan struct{})}
	r := start(t, t.TempDir(), sink, Recovery{}, func(o *Options) { o.Pulses, o.Sink = &g, stuck })
	well := func() bool { return !hung(&g, &hours) }
	sink.waitFor(t, "a pulse of an idle follower", well)
	f := r.file(t, "log")
	s, err := f.OpenSpool(decision, "m", "log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	w := kernel(t, s)
	mustWrite(t, w, "one\n")
	<-stuck.at
	well() // which remembers the turn
	for range 10 {
		if well() {
			t.Error("a follower in the same turn for hours seems well")
		}
	}
	close(stuck.goOn)
	sink.waitFor(t, "a pulse after that", well)
	s.Release()
	sink.waitFor(t, "the line", func() bool { return string(sink.all()) == "one\n" })
}
