package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"
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
			if got := answered(t, c, s); got != want[s] {
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
				crash(q) // which takes back nothing that was told
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

func answered(t testing.TB, c *Cursor, s record.Stream) record.Durable {
	t.Helper()
	d, err := Answered([]*Cursor{c}, []record.Stream{s})
	if err != nil {
		t.Fatal(err)
	}
	return d[0]
}

// What somebody was told to be answered for is so after a kill too.
func TestAwaitedSurvivesAKill(t *testing.T) {
	o := options(fastDir(t))
	q, _ := open(t, o)
	c := cursor(t, q, "up")
	all := relayedChunks(rand.New(rand.NewPCG(3, 3)), 40)
	appendAll(t, q, all...)
	for i := range all {
		b, _ := next(t, c, 1)
		if err := c.Ack(b.Last, record.Durable{}); err != nil {
			t.Fatal(err)
		}
		end := record.Durable{Stream: all[i].Source.Stream, Seq: all[i].Seq}
		if err := c.Await(t.Context(), []record.Durable{end}); err != nil {
			t.Fatal(err)
		}
		crash(q)
		q, _ = open(t, o)
		c = cursor(t, q, "up")
		if got := answered(t, c, end.Stream); got.Seq < end.Seq {
			t.Fatalf("got sequence %d answered after a kill, %d was before", got.Seq, end.Seq)
		}
	}
}

// Nobody is told what cannot be kept: not while the disk is full, and all when it has room again.
func TestAwaitOnAFullDisk(t *testing.T) {
	f := &faults{err: syscall.ENOSPC}
	o := options(fastDir(t))
	o.Storage, o.RetryEvery = f.open, time.Millisecond
	q, _ := open(t, o)
	c := cursor(t, q, "up")
	all := relayedChunks(rand.New(rand.NewPCG(4, 4)), 1)
	appendAll(t, q, all...)
	b, _ := next(t, c, 1)
	f.mu.Lock()
	f.at, f.until, f.writes = f.n+1, 1<<30, true
	f.mu.Unlock()
	if err := c.Ack(b.Last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	end := record.Durable{Stream: all[0].Source.Stream, Seq: all[0].Seq}
	if d, err := Answered([]*Cursor{c}, []record.Stream{end.Stream}); !errors.Is(err, record.ErrFull) {
		t.Errorf("got %+v answered, error %v, want that the disk is full", d, err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Await(t.Context(), []record.Durable{end}) }()
	for range 3 {
		tried := opened(f)
		for opened(f) == tried { // it tries again and again
			select {
			case err := <-done:
				t.Fatalf("got %v on a full disk", err)
			case <-time.After(time.Millisecond):
			}
		}
	}
	f.mu.Lock()
	f.at = 0
	f.mu.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	crash(q)
	q, _ = open(t, o)
	if got := answered(t, cursor(t, q, "up"), end.Stream); got.Seq != end.Seq {
		t.Errorf("got sequence %d answered, want %d", got.Seq, end.Seq)
	}
}

// opened is how many operations a storage has seen.
func opened(f *faults) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
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
		if got := answered(t, c, s); got != q.Mark(s) {
			t.Errorf("got %+v, want %+v", got, q.Mark(s))
		}
	}
}

// What is not for a destination needs no answer of it, and is not among what it owes, while other data of the stream is.
func TestNothingIsOwedOfWhatIsNotForADestination(t *testing.T) {
	r := newRelaying(t, 0, "up", "other")
	s, blocks := streamOf(1, 1), streamOf(2, 1)
	r.put(nil, blocks)
	r.put([]string{"other"}, s)
	first := r.want[s]
	owes := func(when string, n int, want record.Durable) {
		t.Helper()
		c := cursor(t, r.Queue, "up")
		if got := answered(t, c, s); got != want {
			t.Errorf("%s: got answered %+v, want %+v", when, got, want)
		}
		if got := len(c.Owed()); got != n {
			t.Errorf("%s: got %d streams owed, want %d", when, got, n)
		}
	}
	owes("nothing for it", 1, first)
	r.put([]string{"up"}, s)
	r.put([]string{"other"}, s)
	owes("some for it", 2, first)
	r.reopen(crash)
	owes("opened", 2, first)
	r.deliver("up")
	owes("acknowledged", 0, r.want[s])
}
