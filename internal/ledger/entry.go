package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ftfuse/internal/record"
)

// Position is where a file stood after the last append that was committed.
type Position struct {
	Path    string // below the output's base
	Key     record.FileKey
	Size    int64 // bytes
	Since   int64 // first append to this file, ns since 1970
	Written int64 // last append, ns since 1970
}

// Run is one file's part of an append: where it stood before and what is about to follow.
type Run struct {
	Position // Size is the offset before the append
	Len      int64
	// Sums are the CRC-32C of the bytes to be written, cut at every multiple of SumGrain of the file's offset. A
	// write that a kill or a full disk ended early ends at a page of the file, so these tell how far it came
	// and that what is there is really ours.
	Sums []uint32
}

// SumGrain is the distance of Run.Sums in bytes: the smallest page.
const SumGrain = 4096

// Intent is an append to several files that counts as a whole: the marks hold when every run is complete.
type Intent struct {
	Runs  []Run
	Marks []record.Durable
}

// Move is a file on its way to another name.
type Move struct {
	Position        // of the file before it is renamed
	To       string // below the output's base
	At       int64  // ns since 1970
}

// Closed is a rotated file.
type Closed struct {
	Path   string // the name it was written under
	Name   string // its name now, before compression
	Suffix string // ".zst" or ".gz" once Packed is complete, else ""
	Key    record.FileKey
	At     int64 // when it was rotated, ns since 1970
	// Packed is the identity of the compressed temporary once that is complete: after a crash it tells whether
	// the file under the final name is this one.
	Packed record.FileKey
	Done   bool // nothing is left to compress: it is, or the name it would take is not free
}

const version = 1

var (
	errValue = errors.New("value does not decode")
	order    = binary.LittleEndian
)

// cursor reads a value; after the first short read ok stays false.
type cursor struct {
	b  []byte
	ok bool
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.ok, c.b = false, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.ok, c.b = false, nil
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) text() string { return string(c.bytes(c.uvarint())) }

func (c *cursor) key() record.FileKey {
	return record.FileKey{Dev: c.uvarint(), Ino: c.uvarint(), Birth: int64(c.uvarint())}
}

func (c *cursor) position() Position {
	return Position{Path: c.text(), Key: c.key(), Size: int64(c.uvarint()), Since: int64(c.uvarint()), Written: int64(c.uvarint())}
}

func (c *cursor) done(what string) error {
	if !c.ok || len(c.b) != 0 {
		return fmt.Errorf("decode ledger %s: %w", what, errValue)
	}
	return nil
}

func open(v []byte) *cursor {
	if len(v) == 0 || v[0] != version {
		return &cursor{}
	}
	return &cursor{b: v[1:], ok: true}
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendKey(b []byte, k record.FileKey) []byte {
	b = binary.AppendUvarint(b, k.Dev)
	b = binary.AppendUvarint(b, k.Ino)
	return binary.AppendUvarint(b, uint64(k.Birth))
}

func appendPosition(b []byte, p *Position) []byte {
	b = appendKey(appendText(b, p.Path), p.Key)
	b = binary.AppendUvarint(b, uint64(p.Size))
	b = binary.AppendUvarint(b, uint64(p.Since))
	return binary.AppendUvarint(b, uint64(p.Written))
}

func encodePosition(p *Position) []byte { return appendPosition([]byte{version}, p) }

func decodePosition(v []byte) (Position, error) {
	c := open(v)
	p := c.position()
	return p, c.done("position")
}

// encodeMark appends seq, chain and the time of the last change in ns.
func encodeMark(d record.Durable, at int64) []byte {
	b := order.AppendUint64([]byte{version}, d.Seq)
	b = order.AppendUint64(b, uint64(d.Chain))
	return order.AppendUint64(b, uint64(at))
}

func decodeMark(v []byte) (seq uint64, chain record.Chain, at int64, err error) {
	if len(v) != 25 || v[0] != version {
		return 0, 0, 0, fmt.Errorf("decode ledger mark: got %d bytes, want 25: %w", len(v), errValue)
	}
	return order.Uint64(v[1:]), record.Chain(order.Uint64(v[9:])), int64(order.Uint64(v[17:])), nil
}

func encodeIntent(in *Intent) []byte {
	b := binary.AppendUvarint([]byte{version}, uint64(len(in.Runs)))
	for i := range in.Runs {
		r := &in.Runs[i]
		b = appendPosition(b, &r.Position)
		b = binary.AppendUvarint(b, uint64(r.Len))
		b = binary.AppendUvarint(b, uint64(len(r.Sums)))
		for _, s := range r.Sums {
			b = order.AppendUint32(b, s)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(in.Marks)))
	for _, m := range in.Marks {
		b = append(b, m.Sender[:]...)
		b = binary.AppendUvarint(b, m.Epoch)
		b = binary.AppendUvarint(b, m.Seq)
		b = order.AppendUint64(b, uint64(m.Chain))
	}
	return b
}

func decodeIntent(v []byte) (*Intent, error) {
	c := open(v)
	in := &Intent{}
	for n := c.uvarint(); n > 0 && c.ok; n-- {
		r := Run{Position: c.position(), Len: int64(c.uvarint())}
		sums := c.uvarint()
		if sums > uint64(len(c.b)/4) {
			c.ok = false
			break
		}
		raw := c.bytes(4 * sums)
		r.Sums = make([]uint32, 0, sums)
		for ; len(raw) >= 4; raw = raw[4:] {
			r.Sums = append(r.Sums, order.Uint32(raw))
		}
		in.Runs = append(in.Runs, r)
	}
	for n := c.uvarint(); n > 0 && c.ok; n-- {
		var d record.Durable
		copy(d.Sender[:], c.bytes(uint64(len(d.Sender))))
		d.Epoch, d.Seq = c.uvarint(), c.uvarint()
		if chain := c.bytes(8); chain != nil {
			d.Chain = record.Chain(order.Uint64(chain))
		}
		in.Marks = append(in.Marks, d)
	}
	return in, c.done("intent")
}

func encodeMove(m *Move) []byte {
	b := appendText(encodePosition(&m.Position), m.To)
	return binary.AppendUvarint(b, uint64(m.At))
}

func decodeMove(v []byte) (*Move, error) {
	c := open(v)
	m := &Move{Position: c.position(), To: c.text(), At: int64(c.uvarint())}
	return m, c.done("move")
}

func encodeClosed(e *Closed) []byte {
	b := appendText(appendText(appendText([]byte{version}, e.Path), e.Name), e.Suffix)
	b = appendKey(appendKey(b, e.Key), e.Packed)
	b = binary.AppendUvarint(b, uint64(e.At))
	if e.Done {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeClosed(v []byte) (Closed, error) {
	c := open(v)
	e := Closed{Path: c.text(), Name: c.text(), Suffix: c.text(), Key: c.key(), Packed: c.key(), At: int64(c.uvarint())}
	done := c.bytes(1)
	e.Done = len(done) == 1 && done[0] == 1
	return e, c.done("closed file")
}
