package capture

import (
	"time"

	"ftfuse/internal/record"
)

// run is bytes of one handle that lie together in its stream: a chunk in the making, or a partial record.
type run struct {
	ext     []record.Extent
	crc     uint32
	len     int
	records uint32
	writer  *record.Writer
	at      int64 // ns: time of the first write
	since   time.Time
	marks   []record.Mark
}

// piece is bytes that were written together.
type piece struct {
	spool   uint64
	off     int64
	data    []byte // what lies there; only looked at
	at      int64
	writer  *record.Writer
	written bool // at is the time of the write itself: keep a mark
}

// to returns the first n bytes of p.
func (p piece) to(n int) piece {
	p.data = p.data[:n]
	return p
}

// from returns what follows the first n bytes of p.
func (p piece) from(n int) piece {
	p.data, p.off = p.data[n:], p.off+int64(n)
	return p
}

func (r *run) add(p piece, n int, now time.Time) {
	if n == 0 {
		return
	}
	if r.len == 0 {
		r.writer, r.at, r.since = p.writer, p.at, now
	}
	r.crc = record.AddCRC(r.crc, p.data[:n])
	r.len += n
	r.ext = appendExtent(r.ext, record.Extent{Spool: p.spool, Off: p.off, Len: uint32(n)})
	if p.written {
		r.marks = append(r.marks, record.Mark{Len: uint32(n), Delta: p.at - r.at})
	}
}

// join puts b behind r.
func (r *run) join(b *run) {
	if r.len == 0 {
		*r = *b
		return
	}
	r.crc = record.JoinCRC(r.crc, b.crc, int64(b.len))
	r.len += b.len
	r.records += b.records
	for _, e := range b.ext {
		r.ext = appendExtent(r.ext, e)
	}
	for _, m := range b.marks {
		r.marks = append(r.marks, record.Mark{Len: m.Len, Delta: m.Delta + b.at - r.at})
	}
}

func appendExtent(ext []record.Extent, e record.Extent) []record.Extent {
	if n := len(ext); n > 0 {
		if l := &ext[n-1]; l.Spool == e.Spool && l.Off+int64(l.Len) == e.Off && l.Len+e.Len <= record.MaxChunk {
			l.Len += e.Len
			return ext
		}
	}
	return append(ext, e)
}

// maxPieces bounds the extents and the marks of a run: a handle that writes single bytes must not make a chunk that
// the wire refuses (65,536 of each), nor memory without end. What is longer goes out in pieces.
const maxPieces = 4096

// pieces returns what the run costs in memory, in extents and marks.
func (r *run) pieces() int { return max(len(r.ext), len(r.marks)) }
