package wire

import (
	"math"
	"math/rand/v2"

	"ftfuse/internal/record"
)

// fill returns n bytes that differ from place to place.
func fill(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) ^ byte(i>>8) ^ seed
	}
	return b
}

// sample returns chunks that use every field: data, marks, a gap, and extents if wanted.
func sample(extents bool) []record.Chunk {
	src := &record.Source{Stream: record.Stream{Sender: record.SenderID{1, 2, 15: 255}, Epoch: 3}, Host: "a.example", BootID: "b-1"}
	far := &record.Source{Stream: record.Stream{Sender: record.SenderID{9}, Epoch: math.MaxUint64}, Host: "\xff\x00"}
	file := &record.File{Mount: "m", Path: "dir/\xfe\n.log", Rule: "r", Unit: record.Write}
	writer := &record.Writer{
		Kind: record.Thread, PID: 1, TID: math.MaxUint32, UID: 3, GID: 4, Start: math.MaxUint64,
		Comm: "sh", Exe: "/bin/sh", Unit: "x.service", Container: "c0ffee",
	}
	data := func(c record.Chunk, p []byte) record.Chunk {
		c.Data, c.Len, c.CRC = p, uint32(len(p)), record.CRC(p)
		return c
	}
	chunks := []record.Chunk{
		data(record.Chunk{Seq: 7, Source: src, File: file, Writer: writer, Handle: 5, Offset: 1 << 40, Time: math.MaxInt64,
			Clock: record.Written, Flags: record.Continues | record.Last, Records: 2,
			Marks: []record.Mark{{Len: 3, Delta: 0}, {Len: 7, Delta: -5}}}, fill(10, 1)),
		data(record.Chunk{Seq: math.MaxUint64, Source: far, File: file, Writer: &record.Writer{}, Time: math.MinInt64}, fill(300, 2)),
		{Seq: 9, Source: src, Gap: &record.Gap{First: 8, Reason: record.Expired, Bytes: 1 << 50, Records: 12}},
		{Seq: 10, Source: src, File: file, Writer: writer}, // no bytes at all
	}
	if extents {
		chunks = append(chunks, record.Chunk{Seq: 11, Source: src, File: file, Writer: writer, CRC: 77, Len: 30,
			Extents: []record.Extent{{Spool: math.MaxUint64, Off: math.MaxInt64, Len: 10}, {Spool: 1, Off: 0, Len: 20}}})
	}
	return chunks
}

// many returns n chunks of size bytes each, of a few files and writers, in one buffer.
func many(rng *rand.Rand, n, size int) []record.Chunk {
	src := &record.Source{Stream: record.Stream{Sender: record.SenderID{1}, Epoch: 1}, Host: "host.example", BootID: "2f1a"}
	var files []*record.File
	var writers []*record.Writer
	for range 4 {
		files = append(files, &record.File{Mount: "app", Path: "nginx/access.log", Rule: "default"})
		writers = append(writers, &record.Writer{Kind: record.Opener, PID: rng.Uint32N(1 << 22), Comm: "nginx", Exe: "/usr/sbin/nginx"})
	}
	buf := fill(n*size, byte(rng.Uint32()))
	chunks := make([]record.Chunk, n)
	now := int64(1_700_000_000_000_000_000)
	for i := range chunks {
		p := buf[i*size : (i+1)*size]
		k := i / 16 % 4
		now += rng.Int64N(100_000)
		chunks[i] = record.Chunk{Seq: uint64(1000 + i), Source: src, File: files[k], Writer: writers[k], Handle: uint64(40 + k),
			Offset: uint64(i * size), Time: now, Records: 1, CRC: record.CRC(p), Len: uint32(size), Data: p}
	}
	return chunks
}
