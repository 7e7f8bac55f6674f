package share

import (
	"context"

	"ftfuse/internal/record"
)

// Relayed is a backlog of what others have sent, as a relay hands it on: each source says that it has passed this relay, and
// each stream bears an id of its own, since its data may reach a receiver beside this relay too, or by another one. What rules
// leave for the destination is what goes on.
type Relayed struct {
	record.Backlog
	relay    record.SenderID
	view     func(*record.Chunk) *record.Chunk
	withhold func(last uint64, rule string, bytes, records uint64)
	cut      map[string]Amount // of the batch at hand, by rule
}

// Relay returns b as relay hands it on. view returns what the destination gets of a chunk, whose payload is Data: the chunk
// itself, another with Data of its own and Cut for what is taken out, or nil for nothing. withhold is told for each rule of the
// senders how much view has taken out of a batch that ends at last, before the batch is handed on. Both are called by one
// goroutine, that of Next.
func Relay(b record.Backlog, relay record.SenderID, view func(*record.Chunk) *record.Chunk, withhold func(last uint64, rule string, bytes, records uint64)) *Relayed {
	return &Relayed{b, relay, view, withhold, map[string]Amount{}}
}

// Next implements record.Backlog. A batch of which rules leave nothing has no chunks, and is to be acknowledged all the same.
func (r *Relayed) Next(ctx context.Context, limit int64) (record.Batch, error) {
	b, err := r.Backlog.Next(ctx, limit)
	var from, to *record.Source
	kept := b.Chunks[:0]
	b.Bytes = 0
	for i := range b.Chunks {
		c := r.left(&b.Chunks[i])
		if c == nil {
			continue
		}
		if c.Source != from {
			from = c.Source
			to = from.Via(r.id(from.Sender))
			to.Hops += string(r.relay[:])
		}
		c.Source = to
		b.Bytes += int64(c.Len)
		kept = append(kept, *c)
	}
	b.Chunks = kept
	for rule, n := range r.cut {
		r.withhold(b.Last, rule, n.Bytes, n.Records)
	}
	clear(r.cut)
	return b, err
}

// left is what rules leave of a chunk, with the checksum of that. A chunk that is damaged stays as it is: whoever sends it
// finds out, and counts it.
func (r *Relayed) left(c *record.Chunk) *record.Chunk {
	v := r.view(c)
	if v == c || c.Gap == nil && record.CRC(c.Data) != c.CRC {
		return c
	}
	r.count(c, v)
	if v != nil {
		v.CRC, v.Len = record.CRC(v.Data), uint32(len(v.Data))
	}
	return v
}

// count notes what is not left of a chunk.
func (r *Relayed) count(c, v *record.Chunk) {
	n := Amount{Bytes: uint64(c.Input()), Records: uint64(c.Records)}
	if v != nil {
		n.Bytes, n.Records = min(n.Bytes, uint64(v.Cut.Bytes)), min(n.Records, uint64(v.Cut.Records))
	}
	if n == (Amount{}) {
		return
	}
	rule := ""
	if c.File != nil {
		rule = c.File.Rule
	}
	sum := r.cut[rule]
	r.cut[rule] = Amount{Bytes: sum.Bytes + n.Bytes, Records: sum.Records + n.Records}
}

// id is what a stream's sender is called behind the relay.
func (r *Relayed) id(sender record.SenderID) record.SenderID {
	return sender.Derive("relay " + r.relay.String())
}

// Streams gives a list of streams the ids that they have behind the relay.
func (r *Relayed) Streams(list []record.Stream) []record.Stream { return renamed(list, r.id) }
