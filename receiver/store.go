package receiver

import (
	"context"
	"errors"
	"fmt"

	"ftfuse/internal/record"
)

// Store is where a Server puts what it receives. Its methods are called from several goroutines at once, but for one stream
// by one at a time: Mark, then Put.
type Store interface {
	// Put stores a batch so that it survives what the program promises its data to survive, then returns nil: nobody
	// else has the data any more. All of the batch must be stored or none: after an error the same chunks come
	// again, unless Mark says that they are there. An error that wraps ErrRefused gives the batch up for good: the
	// sender drops and counts it, and delivers a gap in its place. Put should return ctx.Err() when ctx ends. The batch and all
	// that it points to are only valid, and must not be changed, until Put returns.
	Put(ctx context.Context, b *Batch) error

	// Mark returns how far the store holds a stream, the zero Mark for a stream that it has never seen. It is
	// called when a sender connects and before each Put, and must cover everything that Put returned nil for. On an error
	// the sender is asked to come back, or the Put waits.
	Mark(ctx context.Context, s Stream) (Mark, error)
}

// ErrRefused says that trying again will not help; see Store.Put.
var ErrRefused = errors.New("refused for good")

// Batch is what Store.Put stores at once: at least one chunk, at most some 8 MiB of payload.
type Batch struct {
	Chunks   []Chunk
	Advances []Advance // one for each stream that Chunks are of
}

// Advance is what a batch does to the mark of a stream.
type Advance struct {
	Stream
	From, To Mark // before and behind the batch; a store that holds another mark than From has been changed by somebody else
}

// Mark is how far a store holds a stream: everything up to Seq. Chain is the checksum over all of it, to be stored as it
// is: 64 bits that use the highest one too. The zero value: nothing.
type Mark struct{ Seq, Chain uint64 }

// output is a Store as ingest sees it.
type output struct{ store Store }

func (o output) Mark(ctx context.Context, s record.Stream) (record.Durable, error) {
	m, err := o.store.Mark(ctx, Stream{SenderID(s.Sender), s.Epoch})
	return record.Durable{Stream: s, Seq: m.Seq, Chain: record.Chain(m.Chain)}, err
}

func (o output) Put(ctx context.Context, chunks []record.Chunk) error {
	var b Batch
	var err error
	if b.Advances, err = o.advances(ctx, chunks); err != nil {
		return err
	}
	b.Chunks = newChunks(chunks)
	err = o.store.Put(ctx, &b)
	if errors.Is(err, ErrRefused) {
		return fmt.Errorf("%w: %w", record.ErrRefused, err)
	}
	return err
}

// advances asks the store once more where each stream stands: nobody else moves it meanwhile, and there is nothing here
// to be kept in step.
func (o output) advances(ctx context.Context, chunks []record.Chunk) ([]Advance, error) {
	var list []Advance
	at := map[record.Stream]int{}
	var last record.Stream
	n := -1
	for i := range chunks {
		c := &chunks[i]
		if s := c.Source.Stream; n < 0 || s != last {
			var ok bool
			if n, ok = at[s]; !ok {
				m, err := o.Mark(ctx, s)
				if err != nil {
					return nil, err
				}
				from := Mark{m.Seq, uint64(m.Chain)}
				n = len(list)
				at[s] = n
				list = append(list, Advance{Stream{SenderID(s.Sender), s.Epoch}, from, from})
			}
			last = s
		}
		to := &list[n].To
		to.Chain = uint64(record.Chain(to.Chain).Next(c.Seq, c.CRC, c.Len))
		to.Seq = c.Seq
	}
	return list, nil
}
