package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// relayedChunks makes chunks of several streams in one order, with holes in the sequences, as parts of other queues have.
func relayedChunks(r *rand.Rand, n int) (all []record.Chunk) {
	sources := make([]*record.Source, 4)
	seqs := make([]uint64, len(sources))
	for i := range sources {
		sources[i] = &record.Source{Stream: record.Stream{Sender: record.SenderID{9, byte(i)}, Epoch: 1}, Host: "h"}
	}
	for range n {
		i := r.IntN(len(sources))
		seqs[i] += 1 + uint64(r.IntN(3))
		c := inline("r", "line\n")
		c.Source, c.Seq = sources[i], seqs[i]
		all = append(all, c)
	}
	return all
}

// What a cursor says to be answered for is, at any moment and after any restart, what a reader of the whole history works
// out: for each stream the mark behind the last chunk that is acknowledged.
func TestAnsweredIsWhatIsAcknowledged(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	o := options(fastDir(t))
	o.SegmentEntries = 16
	q, _ := open(t, o)
	c := cursor(t, q, "up")
	want := map[record.Stream]record.Durable{}
	var waiting []record.Chunk // queued, not acknowledged
	all := relayedChunks(r, 400)
	var sent []record.Batch
	check := func() {
		t.Helper()
		for _, ch := range all[:1+r.IntN(len(all))] {
			s := ch.Source.Stream
			if got := c.Answered(s); got != want[s] {
				t.Fatalf("stream %v: got answered %+v, want %+v", s.Sender, got, want[s])
			}
		}
	}
	for rest := all; len(rest) > 0 || len(waiting) > 0; check() {
		switch r.IntN(5) {
		case 0, 1:
			n := min(len(rest), 1+r.IntN(5))
			appendAll(t, q, rest[:n]...)
			waiting, rest = append(waiting, rest[:n]...), rest[n:]
		case 2:
			if b, ok := next(t, c, int64(1+r.IntN(40))); ok {
				sent = append(sent, b)
			}
		case 3:
			if len(sent) == 0 {
				continue
			}
			b := sent[0]
			sent = sent[1:]
			if err := c.Ack(b.Last, record.Durable{}); err != nil {
				t.Fatal(err)
			}
			for i := range b.Chunks {
				s := b.Chunks[i].Source.Stream
				want[s] = want[s].Add(&b.Chunks[i])
			}
			waiting = waiting[len(b.Chunks):]
		default:
			if r.IntN(4) > 0 {
				continue
			}
			if r.IntN(2) == 0 {
				q.Close()
			} else {
				if err := q.commit(false); err != nil { // what a kill may take back is another test's
					t.Fatal(err)
				}
				crash(q)
			}
			q, _ = open(t, o)
			c = cursor(t, q, "up")
			sent = nil
		}
	}
	if n := len(c.Owed()); n != 0 {
		t.Errorf("%d streams owed with nothing waiting", n)
	}
}

// Await ends when all that it waits for is acknowledged, not before, and with the cursor or the queue.
func TestAwait(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	c := cursor(t, q, "up")
	all := relayedChunks(rand.New(rand.NewPCG(1, 1)), 3)
	var ends []record.Durable
	for i := range all {
		all[i].Source = all[0].Source
		all[i].Seq = uint64(i + 1)
		appendAll(t, q, all[i])
	}
	ends = []record.Durable{{Stream: all[0].Source.Stream, Seq: 2}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Await(ctx, ends); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want canceled: nothing is acknowledged", err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Await(t.Context(), ends) }()
	for range 2 {
		select {
		case err := <-done:
			t.Fatalf("got %v before sequence 2 was acknowledged", err)
		default:
		}
		b, _ := next(t, c, 1)
		if err := c.Ack(b.Last, record.Durable{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ends[0].Seq = 3
	go func() { done <- c.Await(t.Context(), ends) }()
	if err := q.RemoveCursor("up"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("got %v, want nil: nobody is owed anything any more", err)
	}
}

// What an operator throws away is not waited for.
func TestAwaitEndsWithAPurge(t *testing.T) {
	o := options(t.TempDir())
	q, _ := open(t, o)
	c := cursor(t, q, "up")
	all := relayedChunks(rand.New(rand.NewPCG(2, 2)), 20)
	appendAll(t, q, all...)
	if _, err := q.DropOldest(1<<30, record.Purged); err != nil {
		t.Fatal(err)
	}
	var ends []record.Durable
	for i := range all {
		ends = append(ends, record.Durable{Stream: all[i].Source.Stream, Seq: all[i].Seq})
	}
	b, ok := next(t, c, 1<<20) // gaps
	for ok {
		if err := c.Ack(b.Last, record.Durable{}); err != nil {
			t.Fatal(err)
		}
		b, ok = next(t, c, 1<<20)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Await(ctx, ends); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		s := all[i].Source.Stream
		if got := c.Answered(s); got != q.Mark(s) {
			t.Errorf("got %+v, want %+v", got, q.Mark(s))
		}
	}
}
