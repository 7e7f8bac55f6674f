package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// item is a batch between run and store.
type item struct {
	number  uint64
	chunks  []record.Chunk
	body    int // bytes, counted against the credit
	payload uint64
	records uint64
	cost    int64 // bytes of memory, given back by release
	frame   *buffer
	scratch *buffer // decompressed; nil if the frame was not compressed
}

func (c *conn) release(it *item) {
	it.frame.free()
	it.scratch.free()
	freeChunks(it.chunks)
	c.s.memory.Release(it.cost)
}

// quiet is how long a peer may send nothing before what only its next frame would use is given back.
const quiet = 2 * time.Second

// read takes frames until the connection ends, and returns why; nil when the peer has closed.
func (c *conn) read() error {
	d := wire.Decoder{MaxChunks: c.s.o.Chunks}
	control := bucket{rate: controlRate, room: controlBurst}
	for number := uint64(1); ; {
		if err := c.await(&d); err == io.EOF {
			return nil
		} else if err != nil {
			return c.readError(err, c.silent)
		}
		size, kind, err := c.peek()
		if err != nil {
			return c.readError(err, c.slow)
		}
		if kind == wire.TypeBatch {
			err = c.batch(&d, number, size)
			number++
		} else if control.take(time.Now()) {
			err = c.control()
		} else {
			err = refuse(Flooding, wire.OverLimit, 0, "got %v and more such frames than %d a second, want batches", kind, controlRate)
		}
		if err != nil {
			return c.readError(err, c.slow)
		}
		c.latest.Store(time.Now().UnixNano())
	}
}

// await waits for a frame's first byte.
func (c *conn) await(d *wire.Decoder) error {
	if err := c.readBy(min(quiet, c.s.o.IdleTimeout/2)); err != nil {
		return err
	}
	_, err := c.br.Peek(1)
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.reading.Err() != nil {
		return err
	}
	d.Forget()
	if err := c.readBy(c.s.o.IdleTimeout - min(quiet, c.s.o.IdleTimeout/2)); err != nil {
		return err
	}
	_, err = c.br.Peek(1)
	return err
}

func (c *conn) silent() *refusal {
	return refuse(Silent, wire.OverLimit, 0, "got no frame in %v", c.s.o.IdleTimeout)
}

func (c *conn) slow() *refusal {
	return refuse(Slow, wire.OverLimit, 0, "got half a frame in %v, want it whole, and %d bytes each second", c.s.o.FrameTimeout, slowest)
}

// peek looks at the next frame's length and type.
func (c *conn) peek() (int, wire.Type, error) {
	if err := c.readBy(c.s.o.FrameTimeout); err != nil {
		return 0, 0, err
	}
	prefix, err := c.br.Peek(4)
	if err != nil {
		return 0, 0, c.half(err)
	}
	size, err := wire.Length(prefix, wire.MaxFrame)
	if err != nil {
		return 0, 0, refuse(Oversized, wire.OverLimit, 0, "%v", err)
	}
	b, err := c.br.Peek(4 + min(size, wire.PreludeMax))
	if err != nil {
		return 0, 0, c.half(err)
	}
	kind, err := wire.PeekType(b[4:])
	if err != nil {
		return 0, 0, refuse(Malformed, wire.Malformed, 0, "%v", err)
	}
	if kind != wire.TypeBatch && size > wire.MaxControl {
		return 0, 0, refuse(Oversized, wire.OverLimit, 0, "%v: got %d bytes, want at most %d", kind, size, wire.MaxControl)
	}
	return size, kind, nil
}

// errCut ends a connection whose peer was killed, or had no time left to finish a frame: it breaks no rule, and sends again what
// was not acknowledged.
var errCut = errors.New("closed by the sender inside a frame, which it is to send again")

// half says what the end of the connection means where there was to be more of a frame.
func (c *conn) half(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errCut
	}
	return err
}

func (c *conn) control() error {
	f, _, err := wire.ReadControl(c.br, nil) // rare: no buffer is kept for it
	if errors.Is(err, record.ErrCorrupt) {
		return refuse(Malformed, wire.Malformed, 0, "%v", err)
	}
	if err != nil {
		return c.half(err)
	}
	switch f := f.(type) {
	case wire.Ping:
		return c.write(wire.Pong(f))
	case wire.Pong:
		if at := c.pinged.Load(); at != 0 && f.Token == uint64(at) {
			c.rtt.Store(time.Now().UnixNano() - at)
		}
	case wire.Goaway, wire.Unknown: // the peer closes when it has its acknowledgements
	default:
		return refuse(Malformed, wire.Malformed, 0, "got %T from a sender", f)
	}
	return nil
}

// batch reads a BATCH frame, checks it, and hands it to store. Memory is taken before, and only once the frame's first bytes are there.
func (c *conn) batch(d *wire.Decoder, number uint64, size int) error {
	b, err := c.br.Peek(4 + min(size, wire.PreludeMax))
	if err != nil {
		return err
	}
	h, err := wire.PeekBatch(b[4:])
	switch {
	case err != nil:
		return refuse(Malformed, wire.Malformed, 0, "%v", err)
	case c.probe:
		return refuse(Malformed, wire.Malformed, h.Number, "got batch %d from a peer that said it would send none", h.Number)
	case h.Number != number:
		return refuse(Malformed, wire.Malformed, h.Number, "got batch %d, want %d", h.Number, number)
	case h.Body > c.s.o.Body:
		return refuse(Oversized, wire.OverLimit, number, "batch %d: got a body of %d bytes, want at most %d", number, h.Body, c.s.o.Body)
	case !c.window.take(number, h.Body):
		return refuse(BeyondCredit, wire.OverLimit, number, "batch %d: got %d bytes more than the credit allows", number, h.Body)
	}
	if err := c.pay(h.Body); err != nil {
		return err
	}
	it := &item{number: number, body: h.Body, cost: min(cost(h, size), c.s.o.Memory)}
	if err := c.reserve(it.cost); err != nil {
		return err
	}
	if err := c.fill(d, it, h, size); err != nil {
		c.release(it)
		return err
	}
	return c.hand(it)
}

// cost is what a batch takes in memory: its frame, its body if that is not in the frame, and its decoded rows.
func cost(h wire.BatchHeader, size int) int64 {
	n := int64(bufferSize(size)) + 16*int64(h.Head)
	if h.Codec != wire.None {
		n += int64(bufferSize(h.Body))
	}
	return n
}

// reserve waits for memory; meanwhile nothing is read from the peer.
func (c *conn) reserve(n int64) error {
	if c.s.memory.TryAcquire(n) {
		return nil
	}
	c.held.Store(true)
	defer c.held.Store(false)
	if c.s.memory.Acquire(c.reading, n) != nil {
		return context.Cause(c.reading)
	}
	return nil
}

// fill reads and decodes the frame.
func (c *conn) fill(d *wire.Decoder, it *item, h wire.BatchHeader, size int) error {
	if err := c.readBy(c.s.o.FrameTimeout + time.Duration(size/slowest)*time.Second); err != nil {
		return err
	}
	if _, err := c.br.Discard(4); err != nil {
		return c.half(err)
	}
	it.frame = newBuffer(size)
	frame := it.frame.b[:size]
	if _, err := io.ReadFull(c.br, frame); err != nil {
		return c.half(err)
	}
	var scratch []byte
	if h.Codec != wire.None {
		it.scratch = newBuffer(h.Body)
		scratch = it.scratch.b[:0]
	}
	var err error
	if it.chunks, err = d.Batch(h, frame, scratch, newChunks()); err != nil {
		return refuse(Malformed, wire.Malformed, it.number, "%v", err)
	}
	var source *record.Source
	for i := range it.chunks {
		ch := &it.chunks[i]
		if ch.Source != source {
			source = ch.Source
			if err := c.s.loops(it.number, source); err != nil {
				return err
			}
		}
		if sum := record.CRC(ch.Data); sum != ch.CRC {
			return refuse(BadSum, wire.BadData, it.number, "batch %d: %v", it.number, sumError(ch, sum))
		}
		it.payload += uint64(ch.Len)
		it.records += uint64(ch.Records)
	}
	if err := c.permit(it); err != nil {
		return err
	}
	for _, f := range []*flow{&c.flow, &c.s.stats.flow} {
		f.batches.Add(1)
		f.chunks.Add(uint64(len(it.chunks)))
		f.bytes.Add(it.payload)
		f.records.Add(it.records)
		f.wireBytes.Add(uint64(size) + 4)
	}
	return nil
}

// loops refuses what has been here before, and what has passed so many relays that it must go in circles.
func (s *Server) loops(number uint64, source *record.Source) error {
	switch n := len(source.Hops) / record.HopLen; {
	case s.o.ID != (record.SenderID{}) && source.Passed(s.o.ID):
		return refuse(Looping, wire.Loop, number, "batch %d: data of host %q comes here a second time, by %d relays: want targets of relays that do not lead back to %s",
			number, source.Host, n, s.o.Name)
	case s.o.Relay() && n >= record.MaxHops:
		return refuse(Looping, wire.Loop, number, "batch %d: data of host %q has passed %d relays, want less than %d to hand it on", number, source.Host, n, record.MaxHops)
	}
	return nil
}

func sumError(ch *record.Chunk, sum uint32) error {
	return fmt.Errorf("chunk %v/%d/%d: got checksum %08x, want %08x: %w", ch.Source.Sender, ch.Source.Epoch, ch.Seq, sum, ch.CRC, record.ErrCorrupt)
}
