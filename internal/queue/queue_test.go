package queue

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"ftfuse/internal/record"
)

func TestAppendAndDrainOverRestarts(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentEntries = 7
	var want []string
	for round := range 5 {
		q, r := open(t, o)
		if r.Clean != (round > 0) {
			t.Fatalf("round %d: got clean %v", round, r.Clean)
		}
		cursor(t, q, "a")
		for i := range 10 {
			s := fmt.Sprintf("line %d of round %d\n", i, round)
			appendAll(t, q, inline("r", s))
			want = append(want, s)
		}
		balanced(t, q)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	all, last := drain(t, c, 100)
	if got := wholeSequence(t, all, 1); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	epoch := all[0].Source.Epoch
	for i := range all {
		if e := all[i].Source.Epoch; e != epoch || e != q.Epoch() {
			t.Fatalf("chunk %d: got epoch %d, want %d everywhere after clean restarts", i, e, q.Epoch())
		}
	}
	if err := c.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	if err := q.commit(false); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); s.Held != 0 || s.Segments > 2 || s.Cursors[0].Rules[0].Delivered.Records != 50 {
		t.Fatalf("after all is acknowledged: %+v", s)
	}
}

func TestRewindReturnsWhatIsNotAcknowledged(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	c := cursor(t, q, "a")
	for _, l := range lines(1, 20) {
		appendAll(t, q, inline("r", l))
	}
	all, _ := drain(t, c, 1)
	if err := c.Ack(7, record.Durable{Seq: 7, Chain: 9}); err != nil {
		t.Fatal(err)
	}
	c.Rewind()
	again, last := drain(t, c, 1<<20)
	if !reflect.DeepEqual(all[7:], again) || last != 20 {
		t.Fatalf("got %d chunks up to %d after a rewind, want the same 13 up to 20", len(again), last)
	}
	if p, m := c.Acked(); p != 7 || m.Seq != 7 || m.Chain != 9 {
		t.Fatalf("Acked: got %d %v", p, m)
	}
	if err := c.Ack(21, record.Durable{}); !errors.Is(err, record.ErrRefused) {
		t.Fatalf("Ack beyond what was returned: got %v, want refused", err)
	}
	balanced(t, q)
}

func TestNextWaits(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	c := cursor(t, q, "a")
	got := make(chan record.Batch)
	go func() {
		b, err := c.Next(context.Background(), 1)
		if err != nil {
			t.Error(err)
		}
		got <- b
		_, err = c.Next(context.Background(), 1)
		if !errors.Is(err, record.ErrClosed) {
			t.Errorf("Next over Close: got %v, want closed", err)
		}
		close(got)
	}()
	appendAll(t, q, inline("r", "x"))
	if b := <-got; b.First != 1 || b.Last != 1 || b.Bytes != 1 || string(b.Chunks[0].Data) != "x" {
		t.Fatalf("got %+v", b)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	<-got
}

func TestManyAppenders(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentEntries = 50
	snapshots := 0
	o.Snapshot = func() []byte { snapshots++; return []byte("s") } // guarded by rotating: the race detector watches
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				chunks := []record.Chunk{inline("r", fmt.Sprint(g, ",", i)), inline("s", "x"), inline("s", "y")}
				if err := q.Append(chunks); err != nil {
					t.Error(err)
				}
				if chunks[0].Seq == 0 || chunks[1].Seq != chunks[0].Seq+1 || chunks[2].Seq != chunks[0].Seq+2 {
					t.Errorf("sequences of one call: got %d %d %d", chunks[0].Seq, chunks[1].Seq, chunks[2].Seq)
				}
			}
		})
	}
	wg.Wait()
	all, _ := drain(t, c, 300)
	if got := len(wholeSequence(t, all, 1)); got != 2400 {
		t.Fatalf("got %d chunks, want 2400", got)
	}
	var at [8]int
	for i := range all {
		var g, n int
		if k, _ := fmt.Sscanf(string(all[i].Data), "%d ,%d", &g, &n); k == 2 {
			if n != at[g] {
				t.Fatalf("appender %d: got its %d, want %d", g, n, at[g])
			}
			at[g]++
		}
	}
	if snapshots == 0 {
		t.Fatal("no snapshot was taken")
	}
	balanced(t, q)
}

func TestReplayAndExtents(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentEntries = 4
	n := 0
	o.Snapshot = func() []byte { return fmt.Append(nil, n) }
	q, r := open(t, o)
	if r.Snapshot != nil {
		t.Fatalf("got snapshot %q of a new queue", r.Snapshot)
	}
	c := cursor(t, q, "a")
	for n < 10 {
		chunk := spooled("r", 5, int64(n)*100, 100)
		if err := q.AppendApplied([]record.Chunk{chunk}, func() { n++ }); err != nil {
			t.Fatal(err)
		}
	}
	drain(t, c, 300)
	if err := c.Ack(3, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	crashed := q.commit(false)
	crash(q)
	if crashed != nil {
		t.Fatal(crashed)
	}
	q, r = open(t, o)
	if r.Clean || string(r.Snapshot) != "8" {
		t.Fatalf("got clean %v, snapshot %q, want 8", r.Clean, r.Snapshot)
	}
	var seqs []uint64
	err := r.Replay(func(chunks []record.Chunk) error { seqs = append(seqs, chunks[0].Seq); return nil })
	if err != nil || !slices.Equal(seqs, []uint64{9, 10}) {
		t.Fatalf("replay: got %v, %v, want 9 and 10", seqs, err)
	}
	var held []int64
	if err := r.Extents(func(e record.Extent) { held = append(held, e.Off/100) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(held, []int64{3, 4, 5, 6, 7, 8, 9}) {
		t.Fatalf("extents held: got %v", held)
	}
	if q.Held() != 700 {
		t.Fatalf("Held: got %d, want 700", q.Held())
	}
	balanced(t, q)
}

func TestReleaseAfterEveryCursorAndItsCommit(t *testing.T) {
	o := options(t.TempDir())
	var released []record.Extent
	var q *Queue
	o.Release = func(e []record.Extent) {
		m := newMetaStore(&q.o)
		m.d = q.meta.d
		r, _, err := m.load()
		if err != nil {
			t.Error(err)
		}
		for _, c := range r.cursors {
			if int64(c.Acked) < e[len(e)-1].Off {
				t.Errorf("released %v when cursor %s on disk stands at %d", e, c.Name, c.Acked)
			}
		}
		released = append(released, e...)
	}
	q, _ = open(t, o)
	a, b := cursor(t, q, "a"), cursor(t, q, "b")
	for i := range 10 {
		appendAll(t, q, spooled("r", 1, int64(i+1), 10)) // the offset is the position
	}
	drain(t, a, 1<<20)
	drain(t, b, 1<<20)
	steps := []struct {
		c    *Cursor
		last uint64
		want int
	}{{a, 5, 0}, {b, 3, 3}, {b, 7, 5}, {a, 10, 7}, {b, 10, 10}}
	for i, s := range steps {
		if err := s.c.Ack(s.last, record.Durable{}); err != nil {
			t.Fatal(err)
		}
		if err := q.commit(false); err != nil {
			t.Fatal(err)
		}
		if len(released) != s.want {
			t.Fatalf("step %d: got %d extents released, want %d", i, len(released), s.want)
		}
	}
	if q.Held() != 0 {
		t.Fatalf("Held: got %d, want 0", q.Held())
	}
}

func TestRefusesWhatItCouldNotRead(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	numbered, short, bare := inline("r", "x"), inline("r", "x"), inline("r", "x")
	numbered.Seq, short.Len, bare.File = 5, 2, nil
	for _, c := range []record.Chunk{numbered, short, bare} {
		if err := q.Append([]record.Chunk{inline("r", "good"), c}); !errors.Is(err, record.ErrRefused) {
			t.Errorf("got %v, want refused", err)
		}
	}
	if s := q.Stats(); s.Last != 0 {
		t.Fatalf("got %d entries of refused calls", s.Last)
	}
	if _, _, err := Open(options(q.o.Dir)); err == nil {
		t.Fatal("opened twice")
	}
}

func TestRelayedStreamsKeepTheirOrigin(t *testing.T) {
	o := options(t.TempDir())
	q, _ := open(t, o)
	cursor(t, q, "a")
	other := &record.Source{Stream: record.Stream{Sender: record.SenderID{9}, Epoch: 4}, Host: "o"}
	mk := func(seq uint64) record.Chunk {
		c := inline("r", "x")
		c.Source, c.Seq = other, seq
		return c
	}
	var want record.Durable
	for _, seq := range []uint64{5, 6, 9} {
		in := []record.Chunk{mk(seq), inline("r", "own")}
		if err := q.Put(context.Background(), in); err != nil {
			t.Fatal(err)
		}
		if in[1].Seq != 0 {
			t.Fatal("Put has changed the chunks")
		}
		want = want.Add(&in[0])
	}
	if m := q.Mark(other.Stream); m != want {
		t.Fatalf("mark: got %v, want %v", m, want)
	}
	q.Close()
	q, _ = open(t, o)
	if m := q.Mark(other.Stream); m != want {
		t.Fatalf("mark after a restart: got %v, want %v", m, want)
	}
	c := cursor(t, q, "a")
	all, _ := drain(t, c, 1)
	var foreign []uint64
	for i := range all {
		if all[i].Source.Sender != me {
			foreign = append(foreign, all[i].Seq)
			if all[i].Source.Stream != other.Stream || all[i].Source.Host != "o" {
				t.Fatalf("got source %+v", all[i].Source)
			}
		}
	}
	if !slices.Equal(foreign, []uint64{5, 6, 9}) {
		t.Fatalf("got foreign sequences %v", foreign)
	}
	if n, err := q.DropOldest(1<<30, record.QueueFull); err != nil || n != 0 {
		t.Fatalf("dropped %d bytes in flight, %v", n, err)
	}
}

func TestCloseWhileEverybodyWorks(t *testing.T) {
	o := options(fastDir(t))
	o.SegmentEntries, o.CommitEvery = 20, 1
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { q.Run(ctx) })
	ready := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				if err := q.Append([]record.Chunk{inline("r", "x")}); err != nil {
					if !errors.Is(err, record.ErrClosed) {
						t.Error(err)
					}
					return
				}
				if n == 60 {
					ready <- struct{}{}
				}
			}
		})
	}
	wg.Go(func() {
		for {
			b, err := c.Next(ctx, 10)
			if err != nil {
				if !errors.Is(err, record.ErrClosed) {
					t.Error(err)
				}
				return
			}
			c.Ack(b.Last, record.Durable{Seq: b.Last})
			q.Stats()
			q.DropOldest(3, record.QueueFull)
		}
	})
	for range 4 {
		<-ready
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	q, r := open(t, o)
	if !r.Clean || r.Lost != 0 {
		t.Fatalf("after an orderly close: got %+v", r)
	}
	balanced(t, q)
	if s := q.Stats(); s.Seq != s.Last {
		t.Fatalf("got sequence %d at position %d: a hole", s.Seq, s.Last)
	}
}
