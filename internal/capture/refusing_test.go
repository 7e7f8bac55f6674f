package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// balky refuses once when it is told to, after something has happened meanwhile.
type balky struct {
	*chain
	meanwhile func() // nil: takes
}

func (b *balky) Put(ctx context.Context, chunks []record.Chunk) error {
	if f := b.meanwhile; f != nil {
		b.meanwhile = nil
		f()
		return errors.New("disk full")
	}
	return b.chain.Put(ctx, chunks)
}

// newBalky is a capture whose follower the test is.
func newBalky(t *testing.T) (*rig, *balky) {
	t.Helper()
	sink := &balky{chain: newChain()}
	c, err := New(Options{Dir: t.TempDir(), Source: &record.Source{}, Sink: sink, SegmentSize: 2 * record.MaxChunk,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	sink.store = c
	return &rig{Capture: c, sink: sink.chain}, sink
}

// numbered returns n bytes of numbered lines, n a multiple of 100.
func numbered(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "%099d\n", i)
	}
	return b
}

// A spool that rests grows while the queue refuses what comes from another: housekeeping in the middle of the turn finds it,
// and it is read from then on.
func TestSpoolThatWakesWhileTheQueueRefuses(t *testing.T) {
	r, sink := newBalky(t)
	f := r.file(t, "a.log")
	open := func() *Spool {
		sp, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{})
		if err != nil {
			t.Fatal(err)
		}
		return sp
	}
	rests := open()
	w := kernel(t, rests)
	mustWrite(t, w, "1\n")
	now, ctx := time.Now(), context.Background()
	for range 3 {
		r.turn(ctx, now)
		now = now.Add(time.Second)
	}
	if len(r.pass.idle) != 1 {
		t.Fatalf("%d spools rest, want 1", len(r.pass.idle))
	}
	grows := open()
	mustWrite(t, kernel(t, grows), string(numbered(4_000_000)))
	r.pass.tidied = now // what finds the one that rests is the refusal
	sink.meanwhile = func() { mustWrite(t, w, "2\n") }
	for range 10 {
		r.turn(ctx, now)
	}
	if sink.meanwhile != nil {
		t.Fatal("the queue was not asked")
	}
	if got := string(sink.bytes[rests.ID()]); got != "1\n2\n" {
		t.Errorf("of the spool that rested came %q, want both lines; it is hot: %v, its turn comes: %v", got, r.pass.hot[rests.r] != nil, len(r.pass.order))
	}
	if got := len(sink.bytes[grows.ID()]); got != len(numbered(4_000_000)) {
		t.Errorf("of the other came %d bytes", got)
	}
}

// A log segment is deleted while the queue refuses what comes from a later one: those behind it are read in their order.
func TestSegmentThatGoesWhileTheQueueRefuses(t *testing.T) {
	r, sink := newBalky(t)
	d := decision
	d.Readback = 0
	l, err := r.file(t, "a.log").OpenLog(d, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	mustLog(t, l, "first\n")
	r.log.seal(false)
	now, ctx := time.Now(), context.Background()
	r.turn(ctx, now)
	if len(sink.chunks) != 1 || len(r.pass.segs) != 1 || !r.pass.segs[0].settled {
		t.Fatalf("%d chunks and %d segments, want one of each, registered", len(sink.chunks), len(r.pass.segs))
	}
	text := numbered(5_000_000)
	for rest := text; len(rest) > 0; {
		n := min(len(rest), 64<<10)
		mustLog(t, l, string(rest[:n]))
		rest = rest[n:]
	}
	sink.meanwhile = func() { r.Release(sink.chunks[0].Extents) }
	r.pass.tidied = now
	for range 10 {
		r.turn(ctx, now)
	}
	if sink.meanwhile != nil || len(r.pass.segs) != 3 {
		t.Fatalf("%d segments are left, want 3", len(r.pass.segs))
	}
	if got := sink.bytes[l.ID()]; !bytes.Equal(got, append([]byte("first\n"), text...)) {
		t.Errorf("got %d bytes in another order, want %d", len(got), len(text)+6)
	}
}
