package carry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ftfuse/internal/record"
)

// load is a file as a backlog. Positions are the chunks' sequences: places in the file.
type load struct {
	base   record.Chunk // what all chunks share
	of     record.Stream
	cut    cutter // of Next and Rewind
	chain  record.Chain
	ends   []int64 // cuts that are still to come, the last one is where it ends
	last   uint64
	ready  chan struct{}
	finish sync.Once

	mu    sync.Mutex // guards the fields below: Ack may come from another goroutine than Next
	e     *entry
	sent  []sentChunk
	saved time.Time
	bad   error
}

// sentChunk is a chunk that is not acknowledged.
type sentChunk struct {
	end      uint64
	chain    record.Chain // behind it
	crc, len uint32
}

func newLoad(p *plan, as As, boot string) *load {
	return &load{
		base: record.Chunk{
			Source: &record.Source{Stream: p.stream, Host: as.Host, BootID: boot},
			File:   &record.File{Mount: as.Mount, Path: as.Path, Rule: as.Rule, Unit: as.Unit},
			Writer: &record.Writer{}, Handle: p.stream.Epoch, Clock: record.Seen,
		},
		of: p.stream, e: p.e, cut: cutter{s: p.s, unit: as.Unit}, last: uint64(p.e.Ends[len(p.e.Ends)-1]), ready: make(chan struct{}), saved: time.Now(),
	}
}

func (l *load) done() <-chan struct{} { return l.ready }
func (l *load) waiting() bool         { return false }
func (l *load) stream() record.Stream { return l.of }
func (l *load) instance() [16]byte    { return instanceOf(l.of) }
func (l *load) Given() uint64         { return l.last }

func (l *load) fault() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bad
}

func (l *load) standing() (int64, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.e.Acked), int64(l.last)
}

// new is how many bytes were acknowledged behind what the receiver had.
func (l *load) new(had uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.e.Acked, had) - had
}

// keep writes down how far it is.
func (l *load) keep() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.e.save()
}

// end notes why it cannot go on. The error ends the uplink. The caller holds mu.
func (l *load) end(err error) error {
	if l.bad == nil {
		l.bad = err
	}
	return fmt.Errorf("%w: %w", err, record.ErrClosed)
}

// Next implements record.Backlog: one chunk at a time.
func (l *load) Next(ctx context.Context, _ int64) (record.Batch, error) {
	for len(l.ends) > 0 && l.cut.off >= l.ends[0] {
		l.ends = l.ends[1:]
	}
	if len(l.ends) == 0 {
		<-ctx.Done()
		return record.Batch{}, ctx.Err()
	}
	c, err := l.cut.next(l.ends[0], len(l.ends) == 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		return record.Batch{}, l.end(err)
	}
	read := c
	c = l.base
	c.Seq, c.Offset, c.Data, c.Len, c.CRC, c.Records, c.Flags = read.Seq, read.Offset, read.Data, read.Len, read.CRC, read.Records, read.Flags
	c.Time = time.Now().UnixNano()
	l.chain = l.chain.Next(c.Seq, c.CRC, c.Len)
	l.sent = append(l.sent, sentChunk{c.Seq, l.chain, c.CRC, c.Len})
	return record.Batch{First: c.Offset + 1, Last: c.Seq, Chunks: []record.Chunk{c}, Bytes: int64(c.Len)}, nil
}

// Rewind implements record.Backlog.
func (l *load) Rewind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent, l.chain, l.ends = nil, l.e.Chain, l.e.Ends
	if err := l.cut.seek(int64(l.e.Acked)); err != nil {
		_ = l.end(err)
		l.ends = nil
	}
}

// Ack implements record.Backlog. What is acknowledged is written down now and then: the receiver knows better.
func (l *load) Ack(last uint64, mark record.Durable) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.sent) > 0 && l.sent[0].end <= last {
		c := l.sent[0]
		l.sent = l.sent[1:]
		l.e.Acked, l.e.Chain, l.e.Sum = c.end, c.chain, record.JoinCRC(l.e.Sum, c.crc, int64(c.len))
	}
	if l.e.Acked != last {
		return l.end(fmt.Errorf("acknowledge %d: got that while %d was sent", last, l.e.Acked))
	}
	if mark.Chain != l.e.Chain {
		return l.end(fmt.Errorf("the receiver was replaced or set back meanwhile, and knows less than it had acknowledged: send it again"))
	}
	for len(l.e.Ends) > 0 && uint64(l.e.Ends[0]) <= last {
		l.e.Ends = l.e.Ends[1:]
	}
	if last == l.last {
		l.finish.Do(func() { close(l.ready) })
		return nil // the end is written down by who waits for it
	}
	if time.Since(l.saved) > time.Second {
		l.saved = time.Now()
		if err := l.e.save(); err != nil {
			return l.end(err)
		}
	}
	return nil
}

// Acked implements record.Backlog.
func (l *load) Acked() (uint64, record.Durable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.e.Acked == 0 {
		return 0, record.Durable{Stream: l.of}
	}
	return l.e.Acked, record.Durable{Stream: l.of, Seq: l.e.Acked, Chain: l.e.Chain}
}

// Drop implements record.Backlog: nothing of a file is given up.
func (l *load) Drop(first, last uint64, why record.Reason) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end(fmt.Errorf("bytes %d to %d: the receiver can never take them (%v); its journal says why", first-1, last, why))
}

// NewEpoch implements record.Backlog: the receiver holds other chunks under these names than the file makes.
func (l *load) NewEpoch() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 0, l.end(fmt.Errorf("the receiver holds other data of it: %w", ErrChanged))
}
