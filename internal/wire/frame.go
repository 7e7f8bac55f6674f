package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"ftfuse/internal/record"
)

// Version is the only version of the protocol so far.
const Version = 1

// Type is a frame's first element.
type Type uint8

// The types. Frames of an unknown type below OptionalTypes end the connection, others are ignored.
const (
	TypeHello   Type = 1
	TypeWelcome Type = 2
	TypeBatch   Type = 3
	TypeAck     Type = 4
	TypeNack    Type = 5
	TypePing    Type = 6
	TypePong    Type = 7
	TypeGoaway  Type = 8

	OptionalTypes Type = 64
)

func (t Type) String() string {
	if t >= TypeHello && t <= TypeGoaway {
		return [...]string{"", "HELLO", "WELCOME", "BATCH", "ACK", "NACK", "PING", "PONG", "GOAWAY"}[t]
	}
	return fmt.Sprintf("frame type %d", uint8(t))
}

// Control is a frame other than BATCH.
type Control interface {
	// Append appends the whole frame, length included.
	Append(dst []byte) []byte
}

// begin appends room for a frame's length and the frame's array of n elements, the type being the first.
func begin(dst []byte, t Type, n int) []byte {
	return appendUint(appendArray(append(dst, 0, 0, 0, 0), n), uint64(t))
}

// finish fills in the length of the frame that began at start.
func finish(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// Length reads a frame's length from its first four bytes. Lengths above limit wrap record.ErrCorrupt.
func Length(prefix []byte, limit int) (int, error) {
	n := binary.BigEndian.Uint32(prefix)
	if n == 0 || uint64(n) > uint64(limit) {
		return 0, fmt.Errorf("read frame: length: got %d bytes, want 1 to %d: %w", n, limit, record.ErrCorrupt)
	}
	return int(n), nil
}

// ReadControl reads one frame of at most MaxControl bytes into buf, which grows as bytes come, and decodes it.
// It returns buf for the next call. An end before the first byte is io.EOF, an end inside a frame io.ErrUnexpectedEOF.
func ReadControl(r io.Reader, buf []byte) (Control, []byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, buf, err
	}
	n, err := Length(prefix[:], MaxControl)
	if err != nil {
		return nil, buf, err
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, buf, err
	}
	c, err := DecodeControl(buf[:n])
	return c, buf, err
}

// PeekType returns the type of the frame that b (without its length) begins with.
func PeekType(b []byte) (Type, error) {
	r := &reader{b: b}
	if c := r.byte(); r.err == nil && c&0xf0 == fixArray {
		r.off = 1
	} else if c == codeArray16 {
		r.be(2)
	} else if c == codeArray32 {
		r.be(4)
	} else {
		r.fail("frame: got code 0x%02x, want an array", c)
	}
	t := Type(r.uint("type", maxUint8))
	if r.err != nil {
		return 0, fmt.Errorf("decode frame: %w", r.err)
	}
	return t, nil
}

// Unknown is a frame of an optional type that this version does not know: to be ignored.
type Unknown struct{ Type Type }

// Append appends the frame without what was in it.
func (u Unknown) Append(dst []byte) []byte {
	return finish(begin(dst, u.Type, 1), len(dst))
}

// DecodeControl decodes a frame other than BATCH, without its length. Nothing in the result refers to b.
func DecodeControl(b []byte) (Control, error) {
	t, err := PeekType(b)
	if err != nil {
		return nil, err
	}
	r := &reader{b: b}
	n := r.array(t.String(), 1, maxElements)
	r.uint("type", maxUint8)
	d := fields{reader: r, left: n - 1}
	var c Control
	switch t {
	case TypeHello:
		c = readHello(&d)
	case TypeWelcome:
		c = readWelcome(&d)
	case TypeAck:
		c = Ack{Through: d.number("through"), Credit: d.number("credit")}
	case TypeNack:
		c = Nack{Code: Code(d.small("code")), Number: d.number("number"), Text: d.name("text")}
	case TypePing:
		c = Ping{Token: d.number("token")}
	case TypePong:
		c = Pong{Token: d.number("token")}
	case TypeGoaway:
		c = Goaway{Code: Code(d.small("code")), Text: d.name("text"), RetryMillis: d.number("retry")}
	default:
		if t < OptionalTypes {
			return nil, fmt.Errorf("decode frame: got %v, want a control frame: %w", t, record.ErrCorrupt)
		}
		c = Unknown{Type: t}
	}
	r.skip(d.left)
	r.end()
	if r.err != nil {
		return nil, fmt.Errorf("decode %v: %w", t, r.err)
	}
	return c, nil
}

// fields reads a frame's elements and counts them.
type fields struct {
	*reader
	left int
}

func (d *fields) next(what string) bool {
	if d.left == 0 {
		d.fail("%s: got the end of the array, want a value", what)
	}
	d.left--
	return d.err == nil
}

func (d *fields) number(what string) uint64 {
	if !d.next(what) {
		return 0
	}
	return d.uint(what, maxUint64)
}

func (d *fields) small(what string) uint8 {
	if !d.next(what) {
		return 0
	}
	return uint8(d.uint(what, maxUint8))
}

func (d *fields) name(what string) string {
	if !d.next(what) {
		return ""
	}
	return d.text(what, MaxName)
}

func (d *fields) list(what string, limit int) int {
	if !d.next(what) {
		return 0
	}
	return d.array(what, 0, limit)
}
