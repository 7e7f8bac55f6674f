package queue

import (
	"bytes"
	"testing"

	"ftfuse/internal/record"
)

// ruled returns a chunk of which filters have taken cut bytes and records, in a handle's stream from off on.
func ruled(text string, off uint64, cut record.Cut) record.Chunk {
	c := inline("r", text)
	c.Handle, c.Offset, c.Cut = 7, off, cut
	c.Span = c.Len + cut.Bytes
	c.Records = uint32(bytes.Count([]byte(text), []byte{'\n'}))
	return c
}

func TestWhatFiltersTookOutIsCounted(t *testing.T) {
	o := options(t.TempDir())
	q, _ := open(t, o)
	cursor(t, q, "a")
	appendAll(t, q,
		ruled("kept\n", 0, record.Cut{Bytes: 10, Records: 2}),
		ruled("", 15, record.Cut{Bytes: 20, Records: 3}), // hollow
		ruled("more\n", 35, record.Cut{}),
	)
	balanced(t, q)
	q.Close()

	q, r := open(t, o)
	balanced(t, q)
	var ends []uint64
	err := r.Replay(func(chunks []record.Chunk) error {
		for i := range chunks {
			ends = append(ends, chunks[i].Offset+uint64(chunks[i].Input()))
		}
		return nil
	})
	if err != nil || len(ends) != 3 || ends[0] != 15 || ends[1] != 35 || ends[2] != 40 {
		t.Fatalf("replay: handles registered up to %v, %v, want 15, 35 and 40", ends, err)
	}
	a := cursor(t, q, "a")
	got, last := drain(t, a, 1<<20)
	if len(got) != 2 {
		t.Fatalf("got %d chunks, want 2: the hollow one goes nowhere", len(got))
	}
	if err := a.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	row := q.Stats().Cursors[0].Rules[0]
	want := Tally{30, 5}
	if row.Filtered != want || row.Delivered != (Tally{10, 2}) || row.Captured != (Tally{40, 7}) {
		t.Fatalf("got %+v, want 30 bytes and 5 records filtered, 10 and 2 delivered, 40 and 7 captured", row)
	}
}

func TestDroppedIsWhatFiltersLeft(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	cursor(t, q, "a")
	appendAll(t, q, ruled("kept\n", 0, record.Cut{Bytes: 10, Records: 2}))
	if _, err := q.DropOldest(1, record.QueueFull); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	row := q.Stats().Cursors[0].Rules[0]
	if row.Filtered != (Tally{10, 2}) || row.Dropped["queue_full"] != (Tally{5, 1}) {
		t.Fatalf("got %+v, want 10 bytes filtered and 5 dropped", row)
	}
}

func TestBoundOfOneDestination(t *testing.T) {
	o := options(t.TempDir())
	o.Bound = func(c string) int64 { return map[string]int64{"slow": 25}[c] }
	q, _ := open(t, o)
	slow, other := cursor(t, q, "slow"), cursor(t, q, "other")
	for i := range 10 {
		appendAll(t, q, spooled("r", 1, int64(i)*10, 10))
	}
	if b, _ := next(t, slow, 10); b.Last != 1 {
		t.Fatalf("got a batch up to %d, want 1 to be in flight", b.Last)
	}
	if err := q.BoundNow(); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	slow.Rewind()
	got, _ := drain(t, slow, 1<<20)
	if g := gapsOf(got); len(g) != 1 || g[0] != "2-9 queue_full 80" || got[0].Seq != 1 || got[len(got)-1].Seq != 10 {
		t.Fatalf("got %d chunks with gaps %v, want 1, the gap 2-9 of 80 bytes, and 10", len(got), g)
	}
	if got, _ := drain(t, other, 1<<20); len(got) != 10 {
		t.Fatalf("the other destination got %d chunks, want all 10", len(got))
	}
}

// What is left out on the way to a destination counts as filtered when the batch is acknowledged, each time that is read; what
// belongs to a batch that comes again is forgotten, and no more is counted than was delivered.
func TestWhatIsWithheldIsCounted(t *testing.T) {
	o := options(t.TempDir())
	q, _ := open(t, o)
	a, b := cursor(t, q, "a"), cursor(t, q, "b")
	appendAll(t, q, inline("r", "12345678\n"), inline("s", "1234\n"))
	one, _ := next(t, a, 1)
	a.Withhold(one.Last, "r", 9, 1)
	a.Rewind()
	one, _ = next(t, a, 1)
	a.Withhold(one.Last, "r", 4, 0)
	two, _ := next(t, a, 1)
	a.Withhold(one.Last, "r", 5, 1) // of a batch that is not the last one
	a.Withhold(two.Last, "s", 7, 2) // more than it had
	want := func(when, rule string, filtered, delivered Tally) {
		t.Helper()
		balanced(t, q)
		for _, c := range q.Stats().Cursors {
			for _, r := range c.Rules {
				if c.Name == "a" && r.Rule == rule && (r.Filtered != filtered || r.Delivered != delivered) {
					t.Errorf("%s, rule %s: got %+v filtered and %+v delivered, want %+v and %+v", when, rule, r.Filtered, r.Delivered, filtered, delivered)
				}
			}
		}
	}
	want("under way", "r", Tally{}, Tally{})
	if err := a.Ack(one.Last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	want("first acknowledged", "r", Tally{4, 0}, Tally{5, 1})
	want("first acknowledged", "s", Tally{}, Tally{})
	if err := a.Ack(two.Last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	_, last := drain(t, b, 1<<20)
	if err := b.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	want("all acknowledged", "s", Tally{5, 1}, Tally{})
	q.Close()
	q, _ = open(t, o)
	want("opened again", "r", Tally{4, 0}, Tally{5, 1})
	want("opened again", "s", Tally{5, 1}, Tally{})
}
