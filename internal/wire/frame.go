package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

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
	for have := 0; have < n; {
		step := min(n-have, max(have, 512)) // so that a length alone makes nobody hold 64 KiB
		if buf = buf[:have]; cap(buf) < have+step {
			buf = slices.Grow(buf, step)
		}
		got, err := io.ReadFull(r, buf[have:have+step])
		if have += got; err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, buf, err
		}
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
