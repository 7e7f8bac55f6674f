package share_test

import (
	"context"
	"fmt"
	"sync"

	"ftfuse/internal/record"
)

var self = record.SenderID{7}

// store is a queue in memory with one cursor, which outlives the process that uses it. Positions count from 1.
type store struct {
	mu      sync.Mutex
	entries [][]record.Chunk // [position-1]
	epochs  []uint64         // of each entry
	acked   uint64
	handed  uint64
	seq     uint64
	epoch   uint64
	lost    map[uint64]bool // sequences that were dropped
	gaps    int
	renamed int // new epochs that a member demanded
}

func newStore() *store { return &store{lost: map[uint64]bool{}} }

// add appends an entry of chunks, which get the next sequences.
func (s *store) add(chunks ...record.Chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range chunks {
		s.seq++
		chunks[i].Seq = s.seq
		chunks[i].Len, chunks[i].Records = 100, 1
	}
	s.entries = append(s.entries, chunks)
	s.epochs = append(s.epochs, s.epoch)
}

// sent is the last position that a receiver may have seen.
func (s *store) sent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handed
}

// backlog is what one life of the process has of a store.
type backlog struct {
	*store
	next uint64
	wake chan struct{}
	dead bool // the process was killed: nothing reaches the store any more
}

// open begins a life, with an epoch of its own.
func (s *store) open() *backlog {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	return &backlog{store: s, next: s.acked + 1, wake: make(chan struct{}, 1)}
}

func (b *backlog) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *backlog) add(chunks ...record.Chunk) {
	b.store.add(chunks...)
	b.poke()
}

func (b *backlog) Next(ctx context.Context, limit int64) (record.Batch, error) {
	for {
		if batch, ok := b.read(limit); ok {
			return batch, nil
		}
		select {
		case <-b.wake:
		case <-ctx.Done():
			return record.Batch{}, ctx.Err()
		}
	}
}

func (b *backlog) read(limit int64) (batch record.Batch, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch.First = b.next
	for !b.dead && b.next <= uint64(len(b.entries)) {
		entry, epoch := b.entries[b.next-1], b.epochs[b.next-1]
		n := int64(len(entry)) * 100
		if batch.Last != 0 && batch.Bytes+n > limit {
			break
		}
		source := &record.Source{Stream: record.Stream{Sender: self, Epoch: epoch}}
		for _, c := range entry {
			c.Source = source
			batch.Chunks = append(batch.Chunks, c)
		}
		batch.Bytes += n
		batch.Last = b.next
		b.handed = max(b.handed, b.next)
		b.next++
	}
	return batch, batch.Last != 0
}

func (b *backlog) Rewind() {
	b.mu.Lock()
	b.next = b.acked + 1
	b.mu.Unlock()
	b.poke()
}

func (b *backlog) Ack(last uint64, _ record.Durable) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last <= b.acked || last >= b.next {
		return fmt.Errorf("ack %d: want more than %d and less than %d", last, b.acked, b.next)
	}
	if !b.dead {
		b.acked = last
	}
	return nil
}

func (b *backlog) Acked() (uint64, record.Durable) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.acked, record.Durable{}
}

func (b *backlog) Given() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq
}

func (b *backlog) Drop(first, last uint64, why record.Reason) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for pos := first; pos <= last && !b.dead; pos++ {
		entry := b.entries[pos-1]
		for i := range entry {
			b.lost[entry[i].Seq] = true
		}
		end := entry[len(entry)-1]
		b.entries[pos-1] = []record.Chunk{{Seq: end.Seq, Gap: &record.Gap{First: entry[0].Seq, Reason: why}}}
		b.gaps++
	}
	return nil
}

func (b *backlog) NewEpoch() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return b.epoch, nil
	}
	b.epoch++
	b.renamed++
	for pos := b.acked + 1; pos <= uint64(len(b.entries)); pos++ {
		b.epochs[pos-1] = b.epoch
	}
	b.next = b.acked + 1
	return b.epoch, nil
}

// kill ends a life at once. What it acknowledged last may not have come to disk.
func (b *backlog) kill(forget uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dead = true
	b.acked -= min(forget, b.acked)
}

// streams are those that something may be in which is not acknowledged.
func (b *backlog) streams() (list []record.Stream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[uint64]bool{}
	for _, e := range append(b.epochs[b.acked:len(b.epochs):len(b.epochs)], b.epoch) {
		if !seen[e] {
			seen[e] = true
			list = append(list, record.Stream{Sender: self, Epoch: e})
		}
	}
	return list
}

func (b *backlog) done() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.acked == uint64(len(b.entries))
}
