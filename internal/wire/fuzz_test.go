package wire

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"ftfuse/internal/record"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// mustSeed fails when a fuzz test would start from nothing.
func mustSeed(f *testing.F, seeds [][]byte) {
	f.Helper()
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
		f.Add(s[:len(s)/2])
	}
}

// FuzzControl: no value on an error; what is read prints and reads again as the same.
func FuzzControl(f *testing.F) {
	var seeds [][]byte
	for _, c := range controls() {
		seeds = append(seeds, c.Append(nil)[4:])
	}
	mustSeed(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeControl(b)
		if err != nil {
			if got != nil || !errors.Is(err, record.ErrCorrupt) {
				t.Fatalf("got %v, %v", got, err)
			}
			return
		}
		if h, ok := got.(Hello); ok && h.Sender == (record.SenderID{}) {
			return // perhaps another version's: only its versions are read
		}
		again, err := DecodeControl(got.Append(nil)[4:])
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("got %+v, %v, want %+v", again, err, got)
		}
	})
}

// FuzzEntry also takes the bytes as a head, with a right checksum, so that the fuzzer gets past it.
func FuzzEntry(f *testing.F) {
	mustSeed(f, [][]byte{AppendEntry(nil, sample(true)), AppendEntry(nil, nil), new(heads).append(nil, sample(true)[2:], true)})
	f.Fuzz(func(t *testing.T, b []byte) {
		chunks, err := DecodeEntry(b)
		if err != nil && (chunks != nil || !errors.Is(err, record.ErrCorrupt)) {
			t.Fatalf("got %v, %v", chunks, err)
		}
		if err != nil {
			h, err := readHead(b, headOptions{limit: 100, extents: true})
			if err != nil && (h.chunks != nil || !errors.Is(err, record.ErrCorrupt)) {
				t.Fatalf("got %v, %v", h, err)
			}
			if err != nil || h.payload > 1<<20 || h.attach(make([]byte, h.payload)) != nil {
				return
			}
			chunks = h.chunks
		}
		printed := AppendEntry(nil, chunks)
		again, err := DecodeEntry(printed)
		if err != nil || len(again) != len(chunks) || !bytes.Equal(AppendEntry(nil, again), printed) {
			t.Fatalf("got %+v, %v, want %+v", again, err, chunks)
		}
	})
}

func FuzzBatch(f *testing.F) {
	var seeds [][]byte
	for codec := range codecsEnd {
		seeds = append(seeds, encode(f, sample(false), codec), encode(f, many(rand.New(rand.NewPCG(1, 1)), 30, 40), codec))
	}
	mustSeed(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, got, err := decode(b)
		if err != nil {
			if got != nil || !errors.Is(err, record.ErrCorrupt) {
				t.Fatalf("got %v, %v", got, err)
			}
			return
		}
		printed := encode(t, got, None)
		_, again, err := decode(printed)
		if err != nil || h.Body > MaxBody || len(again) != len(got) || !bytes.Equal(encode(t, again, None), printed) {
			t.Fatalf("got %+v, %v, want %+v", again, err, got)
		}
	})
}

// FuzzSkip holds skip against the library: both accept, both end at the same byte, wherever the library can.
func FuzzSkip(f *testing.F) {
	more, _ := msgpack.Marshal(map[string]any{"a": []any{nil, 1.5, true, -70000, []byte{1}}, "b": "text"})
	mustSeed(f, [][]byte{more, {codeArray16, 0, 2, 1, codeFixExt4, 1, 2, 3, 4, 5}, {codeMap16, 0, 1, codeExt8, 1, 0, 7, codeDouble, 1, 2, 3, 4, 5, 6, 7, 8}})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 { // the library recurses
			return
		}
		r := &reader{b: b}
		r.skip(1)
		lib := bytes.NewReader(b)
		err := msgpack.NewDecoder(lib).Skip()
		if (r.err == nil) != (err == nil) || err == nil && len(b)-lib.Len() != r.off {
			t.Fatalf("got %v at %d, the library %v at %d", r.err, r.off, err, len(b)-lib.Len())
		}
	})
}

// Whatever chunks pass Check come back the same, as an entry and as a batch under each codec.
func TestAnyChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.SliceOfN(rapid.Custom(anyChunk), 0, 20).Draw(t, "chunks")
		for i := range chunks {
			if err := Check(&chunks[i]); err != nil {
				t.Fatal(err)
			}
		}
		got, err := DecodeEntry(AppendEntry(nil, chunks))
		if err != nil || len(chunks) > 0 && !reflect.DeepEqual(got, chunks) {
			t.Fatalf("entry: got %+v, %v, want %+v", got, err, chunks)
		}
		codec := Codec(rapid.IntRange(0, int(codecsEnd)-1).Draw(t, "codec"))
		bufs, _, err := new(Encoder).Batch(1, chunks, codec)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err = decode(bytes.Join(bufs, nil)[4:]); err != nil || len(chunks) > 0 && !reflect.DeepEqual(got, chunks) {
			t.Fatalf("%v: got %+v, %v, want %+v", codec, got, err, chunks)
		}
	})
}

func anyChunk(t *rapid.T) record.Chunk {
	text := rapid.StringN(0, 40, 200)
	c := record.Chunk{
		Seq: rapid.Uint64().Draw(t, "seq"),
		Source: &record.Source{Stream: record.Stream{Sender: record.SenderID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "sender")),
			Epoch: rapid.Uint64().Draw(t, "epoch")}, Host: text.Draw(t, "host"), BootID: text.Draw(t, "boot")},
		Handle: rapid.Uint64().Draw(t, "handle"), Offset: rapid.Uint64().Draw(t, "offset"), Time: rapid.Int64().Draw(t, "time"),
		Clock: record.Clock(rapid.Byte().Draw(t, "clock")), Flags: record.Flags(rapid.Byte().Draw(t, "flags")), Records: rapid.Uint32().Draw(t, "records"),
	}
	if rapid.Bool().Draw(t, "gap") {
		c.Gap = &record.Gap{First: rapid.Uint64Range(0, c.Seq).Draw(t, "first"), Reason: record.Reason(rapid.Byte().Draw(t, "reason")),
			Bytes: rapid.Uint64().Draw(t, "bytes"), Records: rapid.Uint64().Draw(t, "records missing")}
		return c
	}
	c.File = &record.File{Mount: text.Draw(t, "mount"), Path: text.Draw(t, "path"), Rule: text.Draw(t, "rule"), Unit: record.Unit(rapid.Byte().Draw(t, "unit"))}
	c.Writer = &record.Writer{Kind: record.WriterKind(rapid.Byte().Draw(t, "kind")), PID: rapid.Uint32().Draw(t, "pid"), TID: rapid.Uint32Max(math.MaxUint32).Draw(t, "tid"),
		Start: rapid.Uint64().Draw(t, "start"), Comm: text.Draw(t, "comm"), Exe: text.Draw(t, "exe"), Unit: text.Draw(t, "unit name"), Container: text.Draw(t, "container")}
	if c.Data = rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "data"); len(c.Data) == 0 {
		c.Data = nil
	}
	c.Len, c.CRC = uint32(len(c.Data)), record.CRC(c.Data)
	for left := c.Len; left > 0 && rapid.Bool().Draw(t, "mark"); {
		n := rapid.Uint32Range(1, left).Draw(t, "mark length")
		if left -= n; left > 0 && left < 100 {
			n, left = n+left, 0
		}
		c.Marks = append(c.Marks, record.Mark{Len: n, Delta: rapid.Int64().Draw(t, "delta")})
	}
	if sumMarks(c.Marks) != uint64(c.Len) {
		c.Marks = nil
	}
	return c
}
