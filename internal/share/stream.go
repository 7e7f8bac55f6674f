// Package share gives what waits for one target to the receivers that are its members.
package share

import (
	"context"

	"ftfuse/internal/record"
)

// Named is a backlog whose streams bear ids of their own, derived by a label. A receiver keeps one mark for each stream, and
// drops what the mark covers: what reaches it by two ways, each of which has a part of the data or its own pace, has to come
// as two streams. Source.First still says who captured it.
type Named struct {
	record.Backlog
	own    record.SenderID
	sender record.SenderID // that own has here
	label  string
}

// Name returns b with other ids. own is the id of the machine whose queue it is.
func Name(b record.Backlog, own record.SenderID, label string) *Named {
	return &Named{b, own, own.Derive(label), label}
}

// Sender is the id that own has here.
func (n *Named) Sender() record.SenderID { return n.sender }

func (n *Named) id(sender record.SenderID) record.SenderID {
	if sender == n.own {
		return n.sender
	}
	return sender.Derive(n.label)
}

// Next implements record.Backlog.
func (n *Named) Next(ctx context.Context, limit int64) (record.Batch, error) {
	b, err := n.Backlog.Next(ctx, limit)
	var from, to *record.Source
	for i := range b.Chunks {
		c := &b.Chunks[i]
		if c.Source != from {
			from = c.Source
			to = from.Via(n.id(from.Sender))
		}
		c.Source = to
	}
	return b, err
}

// Ack implements record.Backlog. The queue keeps the mark by its own id.
func (n *Named) Ack(last uint64, mark record.Durable) error {
	if mark.Sender == n.Sender() {
		mark.Sender = n.own
	}
	return n.Backlog.Ack(last, mark)
}

// Acked implements record.Backlog.
func (n *Named) Acked() (uint64, record.Durable) {
	last, mark := n.Backlog.Acked()
	return last, n.Mark(mark)
}

// Mark gives a mark of the queue's own stream the id that it has here.
func (n *Named) Mark(m record.Durable) record.Durable {
	if m.Sender == n.own {
		m.Sender = n.Sender()
	}
	return m
}

// Streams gives a list of streams the ids that they have here.
func (n *Named) Streams(list []record.Stream) []record.Stream { return renamed(list, n.id) }

// renamed gives streams other ids.
func renamed(list []record.Stream, id func(record.SenderID) record.SenderID) []record.Stream {
	named := make([]record.Stream, len(list))
	for i, s := range list {
		named[i] = record.Stream{Sender: id(s.Sender), Epoch: s.Epoch}
	}
	return named
}
