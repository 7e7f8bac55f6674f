package queue

import (
	"fmt"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// A mark that was adopted is in the heads of later databases. Entries that are older, and still needed by somebody, must not
// take its checksum away when the queue is opened again.
func TestAdoptedMarksOutliveOlderEntries(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentEntries = 4
	q, _ := open(t, o)
	cursor(t, q, "slow") // needs everything
	stream := record.Stream{Sender: record.SenderID{2}, Epoch: 5}
	other := *source
	other.Stream = stream
	relay := func(seq uint64) record.Chunk {
		c := inline("r", fmt.Sprintln("line", seq))
		c.Source, c.Seq = &other, seq
		return c
	}
	for seq := range uint64(3) {
		appendAll(t, q, relay(seq+1))
	}
	want := record.Durable{Stream: stream, Seq: 100, Chain: 12345}
	q.Adopt([]record.Durable{want}, time.Now())
	for range 10 { // new databases, with the mark in their heads
		appendAll(t, q, inline("r", "own\n"))
	}
	if len(q.segs) < 2 {
		t.Fatalf("%d databases: the test tests nothing", len(q.segs))
	}
	for life := range 2 {
		q.Close()
		q, _ = open(t, o)
		if got := q.Mark(stream); got != want {
			t.Fatalf("life %d: got mark %+v, want %+v", life, got, want)
		}
		c := relay(want.Seq + 1)
		appendAll(t, q, c)
		want = want.Add(&c)
	}
	got, _ := drain(t, cursor(t, q, "slow"), 1<<20)
	if len(got) != 15 {
		t.Fatalf("got %d chunks, want the 15 that were appended", len(got))
	}
	balanced(t, q)
}
