package wire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"ftfuse/internal/record"

	"github.com/vmihailenco/msgpack/v5"
)

// The control frames as the library reads and writes them: structs as arrays, the type before the frame's own fields.
type (
	helloFrame struct {
		Type
		Magic Text
		Hello
	}
	// otherHello is all that may be read of a HELLO that does not offer our version.
	otherHello struct {
		Type
		Magic    Text
		Versions []uint64
	}
	welcomeFrame struct {
		Type
		Welcome
	}
	ackFrame struct {
		Type
		Ack
	}
	nackFrame struct {
		Type
		Nack
	}
	pingFrame struct {
		Type
		Ping
	}
	pongFrame struct {
		Type
		Pong
	}
	goawayFrame struct {
		Type
		Goaway
	}
)

// Text is bytes for people, or a name: bin on the wire, in no encoding, of at most MaxName bytes; more is cut off.
type Text string

// EncodeMsgpack implements msgpack.CustomEncoder.
func (t Text) EncodeMsgpack(e *msgpack.Encoder) error {
	return e.EncodeBytes([]byte(t[:min(len(t), MaxName)]))
}

// DecodeMsgpack implements msgpack.CustomDecoder.
func (t *Text) DecodeMsgpack(d *msgpack.Decoder) error {
	b, err := d.DecodeBytes()
	*t = Text(b)
	return err
}

// appender is a writer to the end of a slice.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

func (a *appender) WriteByte(c byte) error {
	*a = append(*a, c)
	return nil
}

// appendFrame appends a control frame, its length first.
func appendFrame(dst []byte, frame any) []byte {
	start := len(dst)
	w := appender(append(dst, 0, 0, 0, 0))
	e := msgpack.GetEncoder()
	defer msgpack.PutEncoder(e)
	e.Reset(&w)
	e.UseArrayEncodedStructs(true)
	e.UseCompactInts(true)
	if err := e.Encode(frame); err != nil {
		panic(err) // the types are those above, and an appender takes everything
	}
	binary.BigEndian.PutUint32(w[start:], uint32(len(w)-start-4))
	return w
}

// DecodeControl decodes a frame other than BATCH, without its length. Nothing in the result refers to b.
func DecodeControl(b []byte) (Control, error) {
	t, err := PeekType(b)
	if err != nil {
		return nil, err
	}
	c, err := decodeControl(t, b)
	if err != nil {
		return nil, fmt.Errorf("decode %v: %w", t, err)
	}
	return c, nil
}

func decodeControl(t Type, b []byte) (Control, error) {
	switch t {
	case TypeHello:
		return decodeHello(b)
	case TypeWelcome:
		f, err := decodeFrame[welcomeFrame](b, welcomeShape)
		return f.Welcome, err
	case TypeAck:
		f, err := decodeFrame[ackFrame](b, ackShape)
		return f.Ack, err
	case TypeNack:
		f, err := decodeFrame[nackFrame](b, nackShape)
		return f.Nack, err
	case TypePing:
		f, err := decodeFrame[pingFrame](b, pingShape)
		return f.Ping, err
	case TypePong:
		f, err := decodeFrame[pongFrame](b, pingShape)
		return f.Pong, err
	case TypeGoaway:
		f, err := decodeFrame[goawayFrame](b, goawayShape)
		return f.Goaway, err
	}
	if t < OptionalTypes {
		return nil, fmt.Errorf("got %v, want a control frame: %w", t, record.ErrCorrupt)
	}
	return decodeFrame[Unknown](b, unknownShape)
}

// decodeHello stops behind the versions when it does not find its own among them: the rest may have another form.
func decodeHello(b []byte) (Hello, error) {
	other, err := decodeFrame[otherHello](b, otherHelloShape)
	if err == nil && other.Magic != magic {
		err = fmt.Errorf("magic: got %q, want %q: %w", other.Magic[:min(len(other.Magic), 16)], magic, record.ErrCorrupt)
	}
	if err != nil || !slices.Contains(other.Versions, Version) {
		return Hello{Versions: other.Versions}, err
	}
	f, err := decodeFrame[helloFrame](b, helloShape)
	return f.Hello, err
}

// decodeFrame reads a frame that must have shape s. The library sees the bytes after they are known to have it, and
// without what the shape does not know: it recurses as deep as a peer says, and takes an array for a struct only if it
// has just as many elements.
func decodeFrame[F any](b []byte, s *shape) (f F, err error) {
	r := &reader{b: b}
	known := r.copy(make([]byte, 0, len(b)), s)
	if r.end(); r.err != nil {
		return f, r.err
	}
	if err := msgpack.Unmarshal(known, &f); err != nil {
		return f, fmt.Errorf("%v: %w", err, record.ErrCorrupt)
	}
	return f, nil
}
