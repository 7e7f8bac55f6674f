package uplink_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"ftfuse/internal/record"
)

// backlog is a queue in memory with one cursor. Positions count from 1; each entry has some chunks.
type backlog struct {
	mu      sync.Mutex
	wake    chan struct{}
	news    chan struct{}    // closed and replaced when acked grows
	entries [][]record.Chunk // [position-1]
	next    uint64
	acked   uint64
	mark    record.Durable
	epoch   uint64
	dropped map[uint64]record.Reason
	epochs  int
	ackErr  error
}

func newBacklog() *backlog {
	return &backlog{wake: make(chan struct{}, 1), news: make(chan struct{}), next: 1, epoch: 1, dropped: map[uint64]record.Reason{}}
}

func (b *backlog) add(entry []record.Chunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, entry)
	b.poke()
}

func (b *backlog) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
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
	for b.next <= uint64(len(b.entries)) {
		entry := b.entries[b.next-1]
		var n int64
		for i := range entry {
			n += int64(entry[i].Len)
		}
		if batch.Last != 0 && batch.Bytes+n > limit {
			break
		}
		batch.Chunks = append(batch.Chunks, entry...)
		batch.Bytes += n
		batch.Last = b.next
		b.next++
	}
	return batch, batch.Last != 0
}

func (b *backlog) Rewind() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = b.acked + 1
	b.poke()
}

func (b *backlog) Ack(last uint64, mark record.Durable) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last <= b.acked { // two goroutines answer: a later position may come first, as at a queue
		return nil
	}
	if last >= b.next {
		return fmt.Errorf("ack %d: want less than %d", last, b.next)
	}
	if b.ackErr == nil {
		b.acked, b.mark = last, mark
		close(b.news)
		b.news = make(chan struct{})
	}
	return b.ackErr
}

func (b *backlog) Acked() (uint64, record.Durable) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.acked, b.mark
}

func (b *backlog) Given() (seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, entry := range b.entries {
		seq = max(seq, entry[len(entry)-1].Seq)
	}
	return seq
}

func (b *backlog) Drop(first, last uint64, why record.Reason) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for pos := first; pos <= last; pos++ {
		b.dropped[pos] = why
		entry := b.entries[pos-1]
		g := record.Gap{First: entry[0].Seq, Reason: why}
		for i := range entry {
			g.Bytes += uint64(entry[i].Len)
			g.Records += uint64(entry[i].Records)
		}
		end := entry[len(entry)-1]
		b.entries[pos-1] = []record.Chunk{{Seq: end.Seq, Source: end.Source, File: end.File, Writer: end.Writer, Gap: &g}}
	}
	b.next = b.acked + 1
	return nil
}

func (b *backlog) NewEpoch() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch++
	b.epochs++
	for _, entry := range b.entries[b.acked:] {
		for i := range entry {
			src := *entry[i].Source
			src.Epoch = b.epoch
			entry[i].Source = &src
		}
	}
	b.mark = record.Durable{}
	b.next = b.acked + 1
	b.poke()
	return b.epoch, nil
}

func (b *backlog) currentEpoch() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.epoch
}

// spools is a Store in memory.
type spools struct {
	mu    sync.Mutex
	data  map[uint64][]byte
	reads int
	fail  func(e record.Extent) error // asked first, if set
}

func (s *spools) ReadExtent(e record.Extent, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.fail != nil {
		if err := s.fail(e); err != nil {
			return err
		}
	}
	if end := e.Off + int64(e.Len); end > int64(len(s.data[e.Spool])) {
		return fmt.Errorf("read spool %d: got an end at %d, want at least %d: %w", e.Spool, len(s.data[e.Spool]), end, record.ErrGone)
	}
	copy(p, s.data[e.Spool][e.Off:])
	return nil
}

var (
	source = &record.Source{Stream: record.Stream{Sender: record.SenderID{7}, Epoch: 1}, Host: "h", BootID: "b"}
	file   = &record.File{Mount: "m", Path: "p"}
	writer = &record.Writer{Comm: "c"}
)

// fill appends entries of per chunks of size bytes each, all in one spool, and returns the whole payload.
func fill(b *backlog, s *spools, entries, per, size int) []byte {
	return fillFrom(source, b, s, entries, per, size)
}

// fillFrom is fill for chunks of a source. Who delivers may take an entry at once.
func fillFrom(src *record.Source, b *backlog, s *spools, entries, per, size int) []byte {
	const spool = 3
	first := uint64(1)
	if n := len(b.entries); n > 0 {
		first = b.entries[n-1][len(b.entries[n-1])-1].Seq + 1
	}
	for n := range entries {
		var entry []record.Chunk
		for k := range per {
			seq := first + uint64(n*per+k)
			data := bytes.Repeat(fmt.Appendf(nil, "%09d\n", seq), size/10+1)[:size]
			s.mu.Lock()
			off := int64(len(s.data[spool]))
			s.data[spool] = append(s.data[spool], data...)
			s.mu.Unlock()
			entry = append(entry, record.Chunk{Seq: seq, Source: src, File: file, Writer: writer, Handle: 1, Offset: uint64(off), Records: 1,
				CRC: record.CRC(data), Len: uint32(size), Extents: []record.Extent{{Spool: spool, Off: off, Len: uint32(size)}}})
		}
		b.add(entry)
	}
	return s.data[spool]
}
