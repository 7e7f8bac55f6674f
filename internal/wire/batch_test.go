package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

// encode returns a whole BATCH frame without its length.
func encode(t testing.TB, chunks []record.Chunk, codec Codec) []byte {
	t.Helper()
	bufs, _, err := new(Encoder).Batch(42, chunks, codec)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Join(bufs, nil)[4:]
}

func decode(b []byte) (BatchHeader, []record.Chunk, error) {
	h, err := PeekBatch(b)
	if err != nil {
		return h, nil, err
	}
	chunks, err := new(Decoder).Batch(h, b, nil, nil)
	return h, chunks, err
}

func TestBatchRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for name, chunks := range map[string][]record.Chunk{
		"all fields": sample(false), "none": nil, "small": many(rng, 3000, 128), "large": many(rng, 1, record.MaxChunk),
	} {
		for codec := range codecsEnd {
			b := encode(t, chunks, codec)
			h, got, err := decode(b)
			if err != nil || h.Number != 42 || !reflect.DeepEqual(got, chunks) {
				t.Fatalf("%s, %v: got %v, %d chunks, want %d", name, codec, err, len(got), len(chunks))
			}
			if again := encode(t, got, codec); !bytes.Equal(again, b) {
				t.Errorf("%s, %v: printed again: got other bytes", name, codec)
			}
			if codec != None && name == "small" && (h.Codec != codec || h.Packed >= h.Body) {
				t.Errorf("%s, %v: got %+v, want it compressed", name, codec, h)
			}
		}
	}
}

// The payload's slices are what is written: one piece where they touch, and no copy.
func TestBatchDoesNotCopy(t *testing.T) {
	chunks := many(rand.New(rand.NewPCG(5, 6)), 100, 50)
	lone := fill(9, 3)
	chunks = append(chunks, record.Chunk{Seq: 1, Source: chunks[0].Source, File: chunks[0].File, Writer: chunks[0].Writer, Len: 9, CRC: record.CRC(lone), Data: lone})
	bufs, size, err := new(Encoder).Batch(1, chunks, None)
	if err != nil || len(bufs) != 3 || &bufs[1][0] != &chunks[0].Data[0] || len(bufs[1]) != 5000 || &bufs[2][0] != &lone[0] {
		t.Fatalf("got %d pieces, %v, want header, 5000 bytes, 9 bytes", len(bufs), err)
	}
	if h, err := PeekBatch(bufs[0][4:]); err != nil || h.Body != size {
		t.Errorf("got %+v, %v, want a body of %d", h, err, size)
	}
}

// Rows refer to equal values by one table line, whichever pointer they came by, and batches in a row share them.
func TestTablesAreShared(t *testing.T) {
	chunks := many(rand.New(rand.NewPCG(7, 8)), 50, 1)
	for i := range chunks {
		f, w, s := *chunks[i].File, *chunks[0].Writer, *chunks[i].Source
		chunks[i].File, chunks[i].Writer, chunks[i].Source = &f, &w, &s
	}
	var d Decoder
	var first *record.File
	for n := range 3 {
		b := encode(t, chunks, None)
		h, _ := PeekBatch(b)
		got, err := d.Batch(h, b, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			first = got[0].File
		}
		for i := range got {
			if got[i].File != first || got[i].Writer != got[0].Writer || got[i].Source != got[0].Source {
				t.Fatalf("batch %d, chunk %d: got its own value, want the shared one", n, i)
			}
		}
	}
}

func TestBatchDamage(t *testing.T) {
	for codec := range codecsEnd {
		b := encode(t, sample(false), codec)
		h, _, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		for n := range b {
			if _, got, err := decode(b[:n]); !errors.Is(err, record.ErrCorrupt) || got != nil {
				t.Fatalf("%v: cut at %d: got %v, %v", codec, n, got, err)
			}
		}
		for n := h.offset * 8; n < (h.offset+h.Head)*8 && codec == None; n++ {
			bad := bytes.Clone(b)
			bad[n/8] ^= 1 << (n % 8)
			if _, got, err := decode(bad); !errors.Is(err, record.ErrCorrupt) || got != nil {
				t.Fatalf("bit %d of the head flipped: got %v, %v", n, got, err)
			}
		}
	}
}

// forge gives a wrong head its right checksum, as a hostile peer would.
func forge(t *testing.T, chunks []record.Chunk, extents bool) []byte {
	t.Helper()
	top := new(heads).append(nil, chunks, extents)
	var payload []byte
	for i := range chunks {
		payload = append(payload, chunks[i].Data...)
	}
	b := []byte{0, 0, 0, 0, fixArray | 7, byte(TypeBatch)}
	for _, v := range []uint64{1, 0, uint64(record.CRC(top)), uint64(len(top)), uint64(len(top) + len(payload))} {
		b = appendUint(b, v)
	}
	return append(append(appendBinLen(b, len(top)+len(payload)), top...), payload...)[4:]
}

func TestForgedBatches(t *testing.T) {
	one := func(change func(c *record.Chunk)) []record.Chunk {
		c := sample(false)[:1]
		change(&c[0])
		return c
	}
	marks := many(rand.New(rand.NewPCG(1, 1)), 2, MaxMarks/2+1)
	for i := range marks {
		marks[i].Marks = make([]record.Mark, marks[i].Len)
		for k := range marks[i].Marks {
			marks[i].Marks[k].Len = 1
		}
	}
	for name, tc := range map[string]struct {
		chunks []record.Chunk
		want   string
	}{
		"extents":        {sample(true), "mean nothing on another machine"},
		"no source":      {one(func(c *record.Chunk) { c.Source = nil }), "source: got none"},
		"no file":        {one(func(c *record.Chunk) { c.File = nil }), "no file or writer"},
		"no writer":      {one(func(c *record.Chunk) { c.Writer = nil }), "no file or writer"},
		"too long":       {one(func(c *record.Chunk) { c.Len = record.MaxChunk + 1 }), "length: got"},
		"short of data":  {one(func(c *record.Chunk) { c.Data = c.Data[1:] }), "payload: got 9 bytes, want 10"},
		"marks disagree": {one(func(c *record.Chunk) { c.Marks[0].Len++ }), "marks: got 11 bytes"},
		"gap with bytes": {one(func(c *record.Chunk) { c.Gap = &record.Gap{} }), "want none"},
		"gap backwards":  {one(func(c *record.Chunk) { c.Gap, c.Len, c.Marks = &record.Gap{First: 8}, 0, nil }), "first: got"},
		"path":           {one(func(c *record.Chunk) { c.File = &record.File{Path: strings.Repeat("x", MaxPath+1)} }), "path: got"},
		"comm":           {one(func(c *record.Chunk) { c.Writer = &record.Writer{Comm: strings.Repeat("x", MaxName+1)} }), "comm: got"},
		"many marks":     {marks, "in one batch"},
	} {
		if _, got, err := decode(forge(t, tc.chunks, true)); !errors.Is(err, record.ErrCorrupt) || got != nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, %v, want %q", name, got, err, tc.want)
		}
	}
	b := forge(t, sample(false), false)
	h, err := PeekBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Decoder{MaxChunks: 3}).Batch(h, b, nil, nil); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("4 chunks where 3 are allowed: got %v", err)
	}
}

// A bomb declares a size; more is never made, and the declaration is bounded.
func TestDecompressedSizeIsBounded(t *testing.T) {
	for _, codec := range []Codec{S2, Zstd} {
		packed := codec.compress(nil, make([]byte, 64<<20), 1)
		for _, size := range []int{0, 100, MaxBody} {
			if got, err := codec.decompress(nil, packed, size); !errors.Is(err, record.ErrCorrupt) || got != nil {
				t.Errorf("%v, %d bytes declared: got %d bytes, %v", codec, size, len(got), err)
			}
		}
		if got, err := codec.decompress(make([]byte, 0, 10), codec.compress(nil, []byte("abc"), 1), 4); err == nil || got != nil {
			t.Errorf("%v: less than declared: got %q, %v", codec, got, err)
		}
	}
	if _, err := Codec(9).decompress(nil, nil, 0); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("unknown codec: got %v", err)
	}
	b := []byte{0, 0, 0, 0, fixArray | 7, byte(TypeBatch)}
	for _, v := range []uint64{1, uint64(Zstd), 0, 0, MaxBody + 1} {
		b = appendUint(b, v)
	}
	if h, err := PeekBatch(appendBin(b, "x")[4:]); !errors.Is(err, record.ErrCorrupt) || h != (BatchHeader{}) {
		t.Errorf("too large a body: got %+v, %v", h, err)
	}
}

func TestCheck(t *testing.T) {
	for i, change := range []func(c *record.Chunk){
		func(c *record.Chunk) { c.Source = nil },
		func(c *record.Chunk) { c.File = nil },
		func(c *record.Chunk) { c.Writer = nil },
		func(c *record.Chunk) { c.Gap = &record.Gap{} },
		func(c *record.Chunk) { c.Data = fill(record.MaxChunk+1, 0); c.Len = uint32(len(c.Data)); c.Marks = nil },
		func(c *record.Chunk) { c.Data = c.Data[1:] },
		func(c *record.Chunk) { c.Marks = c.Marks[:1] },
		func(c *record.Chunk) { c.Extents = []record.Extent{{Len: 9}} },
		func(c *record.Chunk) { c.Extents = make([]record.Extent, MaxExtents+1) },
		func(c *record.Chunk) { c.Marks = make([]record.Mark, MaxMarks+1) },
		func(c *record.Chunk) { c.Source = &record.Source{Host: strings.Repeat("h", MaxName+1)} },
		func(c *record.Chunk) { c.File = &record.File{Path: strings.Repeat("p", MaxPath+1)} },
	} {
		c := sample(false)[0]
		if err := Check(&c); err != nil {
			t.Fatal(err)
		}
		if change(&c); !errors.Is(Check(&c), record.ErrRefused) {
			t.Errorf("change %d: got %v, want it refused", i, Check(&c))
		}
	}
	big := many(rand.New(rand.NewPCG(1, 1)), 9, record.MaxChunk)
	if _, _, err := new(Encoder).Batch(1, big, None); !errors.Is(err, record.ErrRefused) {
		t.Errorf("9 MiB in one batch: got %v", err)
	}
}

// Small chunks must stay cheap: the tables carry the names, the rows only numbers.
func TestRowSize(t *testing.T) {
	chunks := many(rand.New(rand.NewPCG(9, 9)), 1000, 10)
	h, err := PeekBatch(encode(t, chunks, None))
	if err != nil {
		t.Fatal(err)
	}
	if per := float64(h.Head) / 1000; per > 25 {
		t.Errorf("got %.1f bytes a chunk, want at most 25", per)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{128, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			chunks := many(rand.New(rand.NewPCG(1, 1)), min(4000, 1<<20/size), size)
			e := new(Encoder)
			b.SetBytes(int64(len(chunks) * size))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := e.Batch(1, chunks, None); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(chunks)), "ns/chunk")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{128, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			chunks := many(rand.New(rand.NewPCG(1, 1)), min(4000, 1<<20/size), size)
			frame := encode(b, chunks, None)
			var d Decoder
			b.SetBytes(int64(len(chunks) * size))
			b.ReportAllocs()
			for b.Loop() {
				h, err := PeekBatch(frame)
				if err != nil {
					b.Fatal(err)
				}
				if chunks, err = d.Batch(h, frame, nil, chunks); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(chunks)), "ns/chunk")
		})
	}
}
