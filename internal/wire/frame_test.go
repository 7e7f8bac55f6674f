package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"ftfuse/internal/record"

	"github.com/vmihailenco/msgpack/v5"
)

// controls has one frame of each type, every field set.
func controls() []Control {
	s := record.Stream{Sender: record.SenderID{1, 15: 9}, Epoch: 1 << 63}
	return []Control{
		Hello{Versions: []uint64{1, 2}, Sender: s.Sender, Epoch: 4, Instance: [16]byte{7}, Host: "h\xff", BootID: "b",
			Acked: record.Durable{Stream: s, Seq: 1 << 40, Chain: 1<<64 - 1}, Streams: []record.Stream{s, {}}, Features: []Text{"x"}},
		Welcome{Version: 1, Marks: []record.Durable{{Stream: s, Seq: 2, Chain: 3}, {}}, Credit: 1 << 23,
			Limits: Limits{Body: MinBody, Chunks: 8192, IdleMillis: 60000, Codecs: AllCodecs}, Features: []Text{"x"}},
		Ack{Through: 1 << 33, Credit: 5},
		Nack{Code: NewEpoch, Number: 8, Text: "why"},
		Ping{Token: 1<<64 - 1},
		Pong{Token: 70000},
		Goaway{Code: GoingDown, Text: "later", RetryMillis: 1500},
	}
}

func TestControlRoundTrip(t *testing.T) {
	var stream []byte
	for _, c := range controls() {
		b := c.Append(nil)
		got, err := DecodeControl(b[4:])
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("got %+v, %v, want %+v", got, err, c)
		}
		for n := range b[4:] {
			if got, err := DecodeControl(b[4 : 4+n]); !errors.Is(err, record.ErrCorrupt) || got != nil {
				t.Fatalf("%T cut at %d: got %v, %v", c, n, got, err)
			}
		}
		stream = c.Append(stream)
	}
	r := bytes.NewReader(stream)
	var buf []byte
	for _, c := range controls() {
		var got Control
		var err error
		if got, buf, err = ReadControl(r, buf); err != nil || !reflect.DeepEqual(got, c) {
			t.Fatalf("got %+v, %v, want %+v", got, err, c)
		}
	}
	if _, _, err := ReadControl(r, buf); err != io.EOF {
		t.Errorf("at the end: got %v, want EOF", err)
	}
}

// The library, which knows nothing of this package, reads every frame as one array and nothing is left.
func TestFramesAreMsgpack(t *testing.T) {
	e := new(Encoder)
	bufs, _, err := e.Batch(3, sample(false), None)
	if err != nil {
		t.Fatal(err)
	}
	frames := [][]byte{bytes.Join(bufs, nil), append([]byte{0, 0, 0, 0}, AppendEntry(nil, sample(true))...)}
	for _, c := range controls() {
		frames = append(frames, c.Append(nil))
	}
	for i, b := range frames {
		r := bytes.NewReader(b[4:])
		v, err := msgpack.NewDecoder(r).DecodeInterface()
		if list, ok := v.([]any); err != nil || !ok || len(list) < 2 || r.Len() != 0 {
			t.Errorf("frame %d: got %v, %v, %d bytes left, want one array", i, v, err, r.Len())
		}
	}
}

// A later version may add elements to any array, of any kind; they are passed over.
func TestUnknownTrailingElements(t *testing.T) {
	more, err := msgpack.Marshal([]any{map[string]any{"a": []any{nil, 1.5, true, -70000, float32(2)}}, strings.Repeat("x", 300), []byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controls() {
		b := append(bytes.Clone(c.Append(nil)[4:]), more...)
		b[0]++ // one element more
		if got, err := DecodeControl(b); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("got %+v, %v, want %+v", got, err, c)
		}
	}
	e := new(Encoder)
	bufs, _, _ := e.Batch(3, sample(false), None)
	b := append(bytes.Join(bufs, nil)[4:], more...)
	b[0]++
	h, err := PeekBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := new(Decoder).Batch(h, b, nil, nil); err != nil || !reflect.DeepEqual(got, sample(false)) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// What is passed over may be as deep as a frame is long, in any of its arrays.
func TestDeepTrailingElements(t *testing.T) {
	deep := func(n int) []byte { return append(bytes.Repeat([]byte{fixArray | 1}, n), codeNil) }
	mark := append(append([]byte{fixArray | 5}, make([]byte, 21)...), deep(20_000)...)
	mark[1], mark[2] = codeBin8, 16 // a sender of zeros, then epoch, sequence, chain
	b := append([]byte{fixArray | 10, byte(TypeWelcome), 1, fixArray | 1}, mark...)
	b = append(append(b, 5, fixArray|5, 1, 2, 3, 4), deep(20_000)...)
	b = append(append(b, fixArray, codeBin8, 16), make([]byte, 16)...)
	b = append(append(b, codeBin8, 1, 'r', 7), deep(20_000)...)
	want := Welcome{Version: 1, Marks: []record.Durable{{}}, Credit: 5, Limits: Limits{1, 2, 3, 4}, Features: []Text{}, Name: "r", Time: 7}
	if got, err := DecodeControl(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestOddFrames(t *testing.T) {
	deep := append([]byte{fixArray | 3, byte(TypePing), 1}, bytes.Repeat([]byte{fixArray | 1}, MaxControl-100)...)
	for name, tc := range map[string]struct {
		b    []byte
		want string
	}{
		"empty":            {nil, "want a value"},
		"not an array":     {[]byte{1}, "want an array"},
		"unknown type":     {[]byte{fixArray | 1, 63}, "frame type 63"},
		"batch":            {[]byte{fixArray | 1, 3}, "want a control frame"},
		"deep":             {deep, "more values announced"},
		"long array":       {[]byte{codeArray32, 255, 255, 255, 255, 6, 1}, "want 2 to"},
		"huge bin":         {[]byte{fixArray | 4, byte(TypeNack), 1, 0, codeBin32, 255, 255, 255, 255}, "want at most 4096"},
		"wrong magic":      {[]byte{fixArray | 3, byte(TypeHello), fixStr | 2, 'h', 'i', fixArray}, `want "ftfuse"`},
		"bytes behind":     {append(Ping{1}.Append(nil)[4:], 0), "behind the end"},
		"negative":         {[]byte{fixArray | 2, byte(TypePing), 0xff}, "got -1"},
		"trailing too big": {[]byte{fixArray | 3, byte(TypePing), 1, codeMap32, 255, 255, 255, 255}, "more values announced"},
	} {
		if got, err := DecodeControl(tc.b); !errors.Is(err, record.ErrCorrupt) || got != nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, %v, want %q", name, got, err, tc.want)
		}
	}
	got, err := DecodeControl(Unknown{Type: OptionalTypes}.Append(nil)[4:])
	if err != nil || got != (Unknown{OptionalTypes}) {
		t.Errorf("optional type: got %v, %v", got, err)
	}
	// Another version's HELLO may have any form behind the versions.
	got, err = DecodeControl([]byte{fixArray | 4, byte(TypeHello), fixStr | 6, 'f', 't', 'f', 'u', 's', 'e', fixArray | 1, 9, codeNil})
	if h, ok := got.(Hello); err != nil || !ok || !reflect.DeepEqual(h.Versions, []uint64{9}) {
		t.Errorf("other version: got %v, %v", got, err)
	}
	if _, err := Length([]byte("GET "), MaxFrame); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("text for a length: got %v", err)
	}
}
