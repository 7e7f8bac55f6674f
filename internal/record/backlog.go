package record

import "context"

// Batch is a run of queue positions on its way to one destination.
type Batch struct {
	First, Last uint64 // positions in the queue, both included; Last >= First
	Chunks      []Chunk
	Bytes       int64 // sum of the chunks' Len
	Part        Part
}

// Part says how a batch of a backlog relates to the one before. Within a part positions grow, and the streams of the
// sender itself are of one part each.
type Part uint8

// The parts. What is Fresh or Alone is of one part.
const (
	Whole Part = iota // all goes in order
	Old               // it waited while the destination was away
	Fresh             // it came since, and goes beside what is Old
	Alone             // as Fresh, and nothing Old comes any more before a Rewind
)

// Backlog is one destination's view of the queue: what it has not acknowledged yet, in order. One goroutine
// calls Next and Rewind; Ack may come from another.
type Backlog interface {
	// Next returns the batch after the one it returned last, of at most max payload bytes but at least one
	// entry; it blocks until there is one, or returns ctx.Err(). Payloads are Data or Extents of Store.
	Next(ctx context.Context, max int64) (Batch, error)
	// Rewind makes Next start again at the first position not acknowledged (after a reconnect).
	Rewind()
	// Ack says that the destination answers for everything up to and including position last.
	// mark is the sender's own stream at last. The space is given free after the cursor is committed.
	Ack(last uint64, mark Durable) error
	// Acked returns what the last Ack committed.
	Acked() (last uint64, mark Durable)
	// Given returns the highest sequence of the sender's own stream that the queue has ever given, in any epoch and
	// for any destination; it never falls while the backlog is open. A destination that holds a higher one of the
	// present epoch has it from another life of this queue.
	Given() uint64
	// Drop says that the destination can never take the positions first..last; they are counted and become a gap.
	Drop(first, last uint64, why Reason) error
	// NewEpoch moves everything of the sender's own stream that this destination has not acknowledged into a
	// new epoch, because the destination knows the old one with other content. Rewinds. Other destinations
	// keep the old one for what they may have seen of it.
	NewEpoch() (uint64, error)
}
