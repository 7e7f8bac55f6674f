package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"

	"ftfuse/internal/record"
)

// PreludeMax is how many bytes of a BATCH frame (without its length) PeekBatch needs at most.
const PreludeMax = 64

// What a Decoder remembers of the tables from one batch to the next: bytes of their msgpack, and rows. The least row
// takes ten times as much memory as on the wire, and every connection may have them.
const (
	maxCached     = 16 << 10
	maxCachedRows = 256
)

// BatchHeader is what a BATCH frame says before its body.
type BatchHeader struct {
	Number uint64 // 1, 2, 3 ... within a connection
	Codec  Codec
	Sum    uint32 // CRC-32C of the head, decompressed
	Head   int    // bytes of the body that are the head
	Body   int    // bytes of the body, decompressed
	Packed int    // bytes of the body in the frame
	offset int    // where in the frame those begin
	extra  int    // elements behind the body
}

// PeekBatch reads the header from a frame's first bytes: PreludeMax of them, or the whole frame if it is shorter.
func PeekBatch(b []byte) (BatchHeader, error) {
	r := &reader{b: b[:min(len(b), PreludeMax)]}
	n := r.array("frame", 7, maxElements)
	if t := Type(r.uint("type", maxUint8)); t != TypeBatch {
		r.fail("type: got %v, want BATCH", t)
	}
	h := BatchHeader{
		Number: r.uint("number", maxUint64),
		Codec:  Codec(r.uint("codec", maxUint8)),
		Sum:    uint32(r.uint("checksum", maxUint32)),
		Head:   int(r.uint("head", MaxBody)),
		Body:   int(r.uint("body", MaxBody)),
		extra:  n - 7,
	}
	switch c := r.byte(); {
	case r.err != nil:
	case c == codeBin8:
		h.Packed = int(r.be(1))
	case c == codeBin16:
		h.Packed = int(r.be(2))
	case c == codeBin32:
		h.Packed = int(r.be(4))
	default:
		r.fail("body: got code 0x%02x, want bytes", c)
	}
	h.offset = r.off
	if r.err == nil && (h.Head > h.Body || h.Packed > MaxFrame || h.Codec == None && h.Packed != h.Body) {
		r.fail("body: got a head of %d, %d and %d packed bytes, want them to agree", h.Head, h.Body, h.Packed)
	}
	if r.err != nil {
		return BatchHeader{}, fmt.Errorf("decode BATCH: %w", r.err)
	}
	return h, nil
}

// Decoder decodes the batches of one connection. It is used by one goroutine at a time.
type Decoder struct {
	MaxChunks int    // of a batch; 0 is the format's limit
	tables    tables // of the batch before: most batches come from the same files and writers
}

// Batch decodes a frame (without its length) whose header PeekBatch gave. The chunks are appended to dst[:0]; their
// Data lies in frame, or for compressed bodies in scratch, if that is large enough for h.Body bytes. The head's checksum is verified; the
// payload's are left to the caller. Sources, files and writers may be the same pointers as in earlier batches.
func (d *Decoder) Batch(h BatchHeader, frame []byte, scratch []byte, dst []record.Chunk) ([]record.Chunk, error) {
	chunks, err := d.batch(h, frame, scratch, dst)
	if err != nil {
		return nil, fmt.Errorf("decode BATCH %d: %w", h.Number, err)
	}
	return chunks, nil
}

// Forget gives back what the decoder keeps from one batch to the next, for a connection that has become quiet.
func (d *Decoder) Forget() { d.tables = tables{} }

func (d *Decoder) batch(h BatchHeader, frame []byte, scratch []byte, dst []record.Chunk) ([]record.Chunk, error) {
	r := &reader{b: frame, off: min(h.offset, len(frame))}
	body := r.take(uint64(h.Packed))
	r.skip(h.extra)
	if r.end(); r.err != nil {
		return nil, r.err
	}
	if h.Codec != None {
		var err error
		if body, err = h.Codec.decompress(scratch, body, h.Body); err != nil {
			return nil, err
		}
	}
	top := body[:h.Head]
	if sum := record.CRC(top); sum != h.Sum {
		return nil, fmt.Errorf("head: got checksum %08x, want %08x: %w", sum, h.Sum, record.ErrCorrupt)
	}
	limit := d.MaxChunks
	if limit == 0 {
		limit = MaxChunks
	}
	got, err := readHead(top, headOptions{limit: limit, known: &d.tables, dst: dst})
	if len(d.tables.raw) == 0 {
		d.Forget() // too large to be kept: they live as long as the chunks
	}
	if err == nil {
		err = got.attach(body[h.Head:])
	}
	if err != nil {
		return nil, err
	}
	return got.chunks, nil
}

// Encoder makes BATCH frames. The zero value is ready; it is used by one goroutine at a time.
type Encoder struct {
	Level  int // of Zstd, 1 (fast) to 22 (small); 0 is as 1
	heads  heads
	head   []byte // length, prelude and head of the latest frame; or all of it when compressed
	body   []byte // decompressed body, only when compressing
	packed []byte
	bufs   net.Buffers
}

// Batch returns a whole frame for one writev: the header, then the chunks' Data, which is not copied unless
// codec asks for compression. Chunks must pass Check and have Data only. size is the body's, for the credit.
// The result is valid until the next call; a codec that does not make the body smaller is not used.
func (e *Encoder) Batch(number uint64, chunks []record.Chunk, codec Codec) (frame net.Buffers, size int, err error) {
	e.head = append(e.head[:0], make([]byte, 4+PreludeMax)...)
	e.head = e.heads.append(e.head, chunks, false)
	head := len(e.head) - 4 - PreludeMax
	e.bufs = append(e.bufs[:0], nil)
	payload := 0
	for i := range chunks {
		if p := chunks[i].Data; len(p) > 0 {
			payload += len(p)
			e.bufs = join(e.bufs, p)
		}
	}
	h := BatchHeader{Number: number, Sum: record.CRC(e.head[4+PreludeMax:]), Head: head, Body: head + payload, Packed: head + payload}
	if h.Body > MaxBody || len(chunks) > MaxChunks {
		return nil, 0, fmt.Errorf("encode BATCH %d: got %d chunks, %d bytes, want at most %d, %d: %w",
			number, len(chunks), h.Body, MaxChunks, MaxBody, record.ErrRefused)
	}
	if codec != None {
		e.compress(&h, codec)
	}
	e.bufs[0] = e.header(h)
	return e.bufs, h.Body, nil
}

// compress replaces head and payload by one packed piece, unless that is no smaller.
func (e *Encoder) compress(h *BatchHeader, codec Codec) {
	e.body = append(e.body[:0], e.head[4+PreludeMax:]...)
	for _, p := range e.bufs[1:] {
		e.body = append(e.body, p...)
	}
	e.packed = codec.compress(e.packed, e.body, e.Level)
	if len(e.packed) >= h.Body {
		return
	}
	h.Codec, h.Packed = codec, len(e.packed)
	e.head = e.head[:4+PreludeMax]
	e.bufs = append(e.bufs[:1], e.packed)
}

// header puts length and prelude right before the head and returns all three.
func (e *Encoder) header(h BatchHeader) []byte {
	var space [4 + PreludeMax]byte
	b := appendUint(appendArray(append(space[:0], 0, 0, 0, 0), 7), uint64(TypeBatch))
	b = appendUint(b, h.Number)
	b = appendUint(b, uint64(h.Codec))
	b = appendUint(b, uint64(h.Sum))
	b = appendUint(b, uint64(h.Head))
	b = appendUint(b, uint64(h.Body))
	b = appendBinLen(b, h.Packed)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4+h.Packed))
	start := 4 + PreludeMax - len(b)
	copy(e.head[start:], b)
	return e.head[start:]
}

// join adds p to bufs, as one piece with the last where it lies right behind it: a thousand small chunks read
// into one buffer are one piece of the writev.
func join(bufs net.Buffers, p []byte) net.Buffers {
	last := bufs[len(bufs)-1]
	if n := len(last); n > 0 && cap(last) >= n+len(p) && &last[:n+1][n] == &p[0] {
		bufs[len(bufs)-1] = last[:n+len(p)]
		return bufs
	}
	return append(bufs, p)
}

// tables are a head's, with the bytes they were read from.
type tables struct {
	raw     []byte
	sources []record.Source
	files   []record.File
	writers []record.Writer
}

// read reads three tables. If they begin with the bytes of the tables read last, those are taken again: no
// msgpack value begins another, so equal bytes are equal tables.
func (t *tables) read(r *reader, limit int) {
	if r.err == nil && len(t.raw) > 0 && bytes.HasPrefix(r.b[r.off:], t.raw) {
		r.off += len(t.raw)
		return
	}
	start := r.off
	t.raw = t.raw[:0]
	t.sources = readTable(r, "sources", limit, 20, readSource)
	t.files = readTable(r, "files", limit, 5, readFile)
	t.writers = readTable(r, "writers", limit, 11, readWriter)
	rows := len(t.sources) + len(t.files) + len(t.writers)
	if r.err == nil && r.off-start <= maxCached && rows <= maxCachedRows {
		t.raw = append(t.raw, r.b[start:r.off]...)
	}
}
