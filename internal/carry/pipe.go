package carry

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"ftfuse/internal/record"
)

// Pipe sends what in says until it ends, and returns when the receiver has acknowledged all of it. Each call is a stream of its
// own: nothing says whether the same bytes are the same data. What is not acknowledged is kept in memory, at most about the
// window. Reading in may go on for as long as it blocks when ctx ends first.
func (o Options) Pipe(ctx context.Context, in io.Reader, as As) (r Result, err error) {
	if err := o.complete(); err != nil {
		return r, fmt.Errorf("send: %w", err)
	}
	began := time.Now()
	if _, err := o.ask(ctx, as.Host); err != nil {
		return r, fmt.Errorf("send: %w", err)
	}
	p := newPipe(o.Folder.id, as, o.BootID)
	go p.in.read(in)
	defer p.in.stop()
	st, err := o.deliver(ctx, p, as.Host)
	r = Result{Sent: st.AckedBytes, Records: st.AckedRecords, Took: time.Since(began)}
	if err == nil {
		err = p.in.failure()
	}
	if err != nil {
		return r, fmt.Errorf("send: %w", err)
	}
	return r, nil
}

// intake reads ahead of who takes: up to a chunk.
type intake struct {
	mu      sync.Mutex // guards the fields below, never held while anything blocks
	buf     []byte
	ended   bool
	err     error
	ready   chan struct{} // a token: there is more, or the end
	room    chan struct{} // a token: there is room
	stopped chan struct{}
}

func (i *intake) read(in io.Reader) {
	p := make([]byte, 128<<10)
	for {
		n, err := in.Read(p)
		i.mu.Lock()
		i.buf = append(i.buf, p[:n]...)
		i.ended = err != nil
		if err != nil && !errors.Is(err, io.EOF) {
			i.err = fmt.Errorf("read standard input: %w", err)
		}
		full := len(i.buf) >= record.MaxChunk
		i.mu.Unlock()
		token(i.ready)
		if err != nil {
			return
		}
		for full {
			select {
			case <-i.room:
			case <-i.stopped:
				return
			}
			i.mu.Lock()
			full = len(i.buf) >= record.MaxChunk
			i.mu.Unlock()
		}
	}
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (i *intake) stop() { close(i.stopped) }

func (i *intake) failure() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// take returns whole lines, a piece of a line that is longer than a chunk, or what is left at the end; nothing if that must be waited for.
func (i *intake) take(unit record.Unit) (p []byte, end bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := min(len(i.buf), record.MaxChunk)
	if unit == record.Line && (!i.ended || n < len(i.buf)) {
		if last := bytes.LastIndexByte(i.buf[:n], '\n'); last >= 0 || n < record.MaxChunk {
			n = last + 1
		}
	}
	p = bytes.Clone(i.buf[:n])
	i.buf = append(i.buf[:0], i.buf[n:]...)
	token(i.room)
	return p, i.ended && len(i.buf) == 0
}

// pipe is a reader as a backlog. Positions are the chunks' sequences: places in what was read.
type pipe struct {
	in     intake
	base   record.Chunk
	of     record.Stream
	open   bool // of Next: inside a line
	id     [16]byte
	ready  chan struct{}
	finish sync.Once

	mu    sync.Mutex // guards the fields below
	kept  []record.Chunk
	next  int // of kept
	given uint64
	acked record.Durable
	end   bool // all was read, and is in kept
	bad   error
}

func newPipe(id record.SenderID, as As, boot string) *pipe {
	p := &pipe{ready: make(chan struct{}), in: intake{ready: make(chan struct{}, 1), room: make(chan struct{}, 1), stopped: make(chan struct{})}}
	_, _ = rand.Read(p.id[:]) // never fails
	h := sha256.New()
	h.Write(p.id[:])
	p.of = record.Stream{Sender: id, Epoch: epochOf(h)}
	p.acked.Stream = p.of
	p.base = record.Chunk{
		Source: &record.Source{Stream: p.of, Host: as.Host, BootID: boot},
		File:   &record.File{Mount: as.Mount, Path: as.Path, Rule: as.Rule, Unit: as.Unit},
		Writer: &record.Writer{}, Handle: p.of.Epoch, Clock: record.Seen,
	}
	return p
}

func (p *pipe) done() <-chan struct{} { return p.ready }
func (p *pipe) stream() record.Stream { return p.of }
func (p *pipe) instance() [16]byte    { return p.id }

func (p *pipe) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bad
}

func (p *pipe) standing() (int64, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.acked.Seq), -1
}

func (p *pipe) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.kept) == 0
}

// Given implements record.Backlog.
func (p *pipe) Given() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given
}

// Next implements record.Backlog: one chunk at a time.
func (p *pipe) Next(ctx context.Context, _ int64) (record.Batch, error) {
	for {
		if b, ok := p.again(); ok {
			return b, nil
		}
		data, end := p.in.take(p.base.File.Unit)
		if len(data) > 0 {
			p.keep(data, end)
			continue
		}
		if end {
			p.close()
			<-ctx.Done()
			return record.Batch{}, ctx.Err()
		}
		select {
		case <-p.in.ready:
		case <-ctx.Done():
			return record.Batch{}, ctx.Err()
		}
	}
}

// again returns the next of the chunks that are kept.
func (p *pipe) again() (record.Batch, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next >= len(p.kept) {
		return record.Batch{}, false
	}
	c := p.kept[p.next]
	p.next++
	return record.Batch{First: c.Offset + 1, Last: c.Seq, Chunks: []record.Chunk{c}, Bytes: int64(c.Len)}, true
}

// keep makes a chunk of data.
func (p *pipe) keep(data []byte, end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.base
	p.open = fill(&c, data, c.File.Unit, p.open, end)
	c.Offset, c.Time = p.given, time.Now().UnixNano()
	p.given += uint64(len(data))
	c.Seq = p.given
	p.kept = append(p.kept, c)
}

// close notes that nothing more will come.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = true
	p.settle()
}

// settle says so when all is acknowledged. The caller holds mu.
func (p *pipe) settle() {
	if p.end && len(p.kept) == 0 {
		p.finish.Do(func() { close(p.ready) })
	}
}

// Rewind implements record.Backlog.
func (p *pipe) Rewind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = 0
}

// Ack implements record.Backlog.
func (p *pipe) Ack(last uint64, mark record.Durable) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.kept) && p.kept[n].Seq <= last {
		p.acked = p.acked.Add(&p.kept[n])
		n++
	}
	p.kept = append(p.kept[:0:0], p.kept[n:]...)
	p.next = max(0, p.next-n)
	if mark.Chain != p.acked.Chain {
		return p.fail(errors.New("the receiver was replaced or set back meanwhile, and knows less than it had acknowledged"))
	}
	p.settle()
	return nil
}

// Acked implements record.Backlog.
func (p *pipe) Acked() (uint64, record.Durable) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked.Seq, p.acked
}

// fail ends the uplink. The caller holds mu.
func (p *pipe) fail(err error) error {
	if p.bad == nil {
		p.bad = err
	}
	return fmt.Errorf("%w: %w", err, record.ErrClosed)
}

// Drop implements record.Backlog: nothing is given up.
func (p *pipe) Drop(first, last uint64, why record.Reason) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fail(fmt.Errorf("bytes %d to %d: the receiver can never take them (%v); its journal says why", first-1, last, why))
}

// NewEpoch implements record.Backlog. The epoch is random: nobody else can have sent under it.
func (p *pipe) NewEpoch() (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 0, p.fail(fmt.Errorf("the receiver holds other data under its name: %w", ErrChanged))
}
