package queue

import (
	"context"
	"testing"

	"ftfuse/internal/record"
)

// Fresh data goes first, old data gets its share, each acknowledgement is of its part, and in the end all goes in order.
func TestFreshFirst(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	c := cursor(t, q, "a")
	f := c.FreshFirst(50)
	add := func(n int) {
		for range n {
			appendAll(t, q, spooled("r", 1, 0, 10))
		}
	}
	add(5)
	if f.Begin(); c.Branched() != nil {
		t.Fatal("branched for no more than the least")
	}
	add(15)
	f.Begin()
	if c.Branched() == nil {
		t.Fatal("has not branched")
	}
	add(5)
	if f.Begin(); c.rec.Branch.From != 26 {
		t.Fatalf("a branch that was not used begins at %d after another outage, want 26", c.rec.Branch.From)
	}
	add(40)
	parts, marks := map[record.Part]int{}, map[record.Part]uint64{}
	var order []record.Part
	for range 40 {
		b, err := f.Next(context.Background(), 10)
		if err != nil {
			t.Fatal(err)
		}
		seq := b.Chunks[0].Seq
		if b.Part != record.Old && b.Part != record.Fresh || seq <= marks[b.Part] || (b.Part == record.Old) != (seq <= 25) {
			t.Fatalf("got sequence %d of part %d after %d", seq, b.Part, marks[b.Part])
		}
		parts[b.Part]++
		marks[b.Part] = seq
		order = append(order, b.Part)
		if err := f.Ack(b.Last, record.Durable{Stream: b.Chunks[0].Source.Stream, Seq: seq}); err != nil {
			t.Fatal(err)
		}
	}
	if parts[record.Old] != 10 || order[0] != record.Fresh || order[1] != record.Fresh {
		t.Fatalf("got %v, want the fresh part first, and a quarter old: %v", parts, order)
	}
	if s := split(t, q); s.Acked != 55 || s.Old != (Tally{150, 15}) || s.Fresh != (Tally{100, 10}) {
		t.Fatalf("got %+v", s)
	}
	f.Rewind()
	if err := f.Drop(11, 11, record.Refused); err == nil {
		t.Fatal("dropped what was not returned since")
	}
	last := uint64(55)
	for n := 0; c.rec.Branch != nil; n++ {
		b, err := f.Next(context.Background(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if b.Part != record.Old {
			last = b.Last
		}
		if err := f.Ack(b.Last, record.Durable{}); err != nil {
			t.Fatal(err)
		}
	}
	if p, _ := f.Acked(); p != last || c.rec.Acked != 65 {
		t.Fatalf("joined at %d, want %d: all fresh ones came before the last old ones", p, last)
	}
	add(1)
	b, err := f.Next(context.Background(), 10)
	if err != nil || b.First != 66 || b.Part != record.Alone {
		t.Fatalf("joined: got %+v, %v", b, err)
	}
	f.Rewind()
	if b, err = f.Next(context.Background(), 10); err != nil || b.First != 66 || b.Part != record.Whole {
		t.Fatalf("after another connection: got %+v, %v", b, err)
	}
	balanced(t, q)
}
