package share_test

import (
	"context"
	"testing"

	"ftfuse/internal/record"
	"ftfuse/internal/share"
)

// marked is a backlog that keeps the mark of an Ack.
type marked struct {
	*backlog
	mark record.Durable
}

func (m *marked) Ack(last uint64, mark record.Durable) error {
	m.mark = mark
	return m.backlog.Ack(last, mark)
}

func (m *marked) Acked() (uint64, record.Durable) {
	last, _ := m.backlog.Acked()
	return last, m.mark
}

// A backlog by another name: its streams bear other ids, the captor's is kept, and the queue's note is by its own.
func TestNamed(t *testing.T) {
	b := newStore().open()
	under := &marked{backlog: b}
	n, other := share.Name(under, self, "target x"), share.Name(under, self, "target y")
	if n.Sender() == self || n.Sender() == other.Sender() {
		t.Errorf("got id %v of %v, and %v", n.Sender(), self, other.Sender())
	}
	b.add(record.Chunk{Handle: 1}, record.Chunk{Handle: 2})
	got, err := n.Next(context.Background(), 1<<20)
	if err != nil || len(got.Chunks) != 2 {
		t.Fatalf("got %d chunks, %v, want 2", len(got.Chunks), err)
	}
	for i := range got.Chunks {
		c := &got.Chunks[i]
		if c.Source.Sender != n.Sender() || c.Source.Captor() != self || c.Origin().Sender != self {
			t.Errorf("got sender %v of %v, want %v of %v", c.Source.Sender, c.Source.Captor(), n.Sender(), self)
		}
		if c.Source != got.Chunks[0].Source {
			t.Error("equal sources became several")
		}
	}
	mark := record.Durable{Stream: record.Stream{Sender: n.Sender(), Epoch: 1}, Seq: 2, Chain: 3}
	if err := n.Ack(1, mark); err != nil {
		t.Fatal(err)
	}
	if under.mark.Sender != self {
		t.Errorf("the queue's note is by %v, want %v", under.mark.Sender, self)
	}
	if last, got := n.Acked(); last != 1 || got != mark {
		t.Errorf("got %d, %+v, want 1, %+v", last, got, mark)
	}
	if l := n.Streams([]record.Stream{{Sender: self, Epoch: 4}}); len(l) != 1 || l[0] != (record.Stream{Sender: n.Sender(), Epoch: 4}) {
		t.Errorf("got %+v", l)
	}
}
