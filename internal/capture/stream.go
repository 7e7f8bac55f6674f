package capture

import (
	"bytes"
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

// stream assembles the records of one handle. One goroutine, the follower, uses it.
type stream struct {
	meta      *meta
	file      *record.File
	source    *record.Source
	pos       uint64 // stream offset of the next byte to emit
	whole     run    // complete records, waiting for company
	part      run    // the record that has begun
	continues bool   // part (or the next byte) continues a record whose head has been emitted
	limit     int
	lost      bool // nothing is known of the handle: what it wrote is counted as missing
	loud      bool // in the follower's list of streams that have been fed
	aging     bool // in the follower's list of streams with a partial record
}

// maxPieces bounds the extents and the marks of a run: a handle that writes single bytes must not make a chunk that
// the wire refuses (65,536 of each), nor memory without end. What is longer goes out in pieces.
const maxPieces = 4096

// pieces returns what the run costs in memory, in extents and marks.
func (r *run) pieces() int { return max(len(r.ext), len(r.marks)) }

func newStream(m *meta, src *record.Source, pos uint64) *stream {
	limit := m.MaxRecord
	if limit <= 0 || limit > record.MaxChunk {
		limit = record.MaxChunk
	}
	file := m.File
	return &stream{meta: m, file: &file, source: src, pos: pos, limit: limit}
}

// next returns the stream offset of the next byte to be fed.
func (s *stream) next() uint64 { return s.pos + uint64(s.whole.len+s.part.len) }

// feed takes the next bytes and appends the chunks that are full to out.
func (s *stream) feed(p piece, now time.Time, out []record.Chunk) []record.Chunk {
	switch s.file.Unit {
	case record.Write:
		return s.feedWrite(p, now, out)
	case record.Binary:
		return s.feedBinary(p, now, out)
	}
	for len(p.data) > 0 {
		if s.whole.len > 0 && s.part.len == 0 && s.whole.writer != p.writer {
			out = s.emitWhole(out)
		}
		n := min(len(p.data), s.limit-s.whole.len-s.part.len)
		if n == 0 || s.whole.pieces()+s.part.pieces() >= maxPieces {
			out = s.makeRoom(out)
			continue
		}
		if s.part.len > 0 && s.part.writer != p.writer {
			// Another writer ends this record; what follows is its own.
			if i := bytes.IndexByte(p.data[:n], '\n'); i >= 0 {
				n = i + 1
			}
		}
		i := bytes.LastIndexByte(p.data[:n], '\n') + 1
		if i > 0 {
			count := uint32(bytes.Count(p.data[:i], []byte{'\n'}))
			out = s.endRecords(p, i, count, now, out)
		}
		rest := p
		rest.data, rest.off = p.data[i:], p.off+int64(i)
		s.part.add(rest, n-i, now)
		p.data, p.off = p.data[n:], p.off+int64(n)
	}
	return out
}

// endRecords adds p.data[:n], which ends count records, and makes them whole.
func (s *stream) endRecords(p piece, n int, count uint32, now time.Time, out []record.Chunk) []record.Chunk {
	s.part.add(p, n, now)
	s.part.records += count
	if s.whole.len > 0 && s.whole.writer != s.part.writer {
		out = s.emitWhole(out)
	}
	s.whole.join(&s.part)
	s.part = run{}
	return out
}

// makeRoom emits what fills the limit: whole records, or else a piece of one that is too long.
func (s *stream) makeRoom(out []record.Chunk) []record.Chunk {
	if s.whole.len > 0 {
		return s.emitWhole(out)
	}
	return s.emitPiece(out)
}

func (s *stream) feedWrite(p piece, now time.Time, out []record.Chunk) []record.Chunk {
	if s.whole.len > 0 && (s.whole.writer != p.writer || s.whole.len+len(p.data) > s.limit || s.whole.pieces() >= maxPieces) {
		out = s.emitWhole(out)
	}
	for len(p.data) > s.limit {
		head := p
		head.data = p.data[:s.limit]
		s.part.add(head, s.limit, now)
		out = s.emitPiece(out)
		p.data, p.off = p.data[s.limit:], p.off+int64(s.limit)
	}
	return s.endRecords(p, len(p.data), 1, now, out)
}

func (s *stream) feedBinary(p piece, now time.Time, out []record.Chunk) []record.Chunk {
	for len(p.data) > 0 {
		n := min(len(p.data), s.limit-s.whole.len)
		if n == 0 || s.whole.len > 0 && (s.whole.writer != p.writer || s.whole.pieces() >= maxPieces) {
			out = s.emitWhole(out)
			continue
		}
		s.whole.add(p, n, now)
		s.whole.records = 1
		p.data, p.off = p.data[n:], p.off+int64(n)
	}
	return out
}

// flush emits the whole records.
func (s *stream) flush(out []record.Chunk) []record.Chunk {
	if s.whole.len > 0 {
		out = s.emitWhole(out)
	}
	return out
}

// age emits the partial record as a piece when it has waited too long.
func (s *stream) age(now time.Time, out []record.Chunk) []record.Chunk {
	if s.part.len > 0 && s.meta.MaxAge > 0 && now.Sub(s.part.since) >= time.Duration(s.meta.MaxAge) {
		out = s.emitPiece(s.flush(out))
	}
	return out
}

// end emits everything: the handle is closed. A record without an end ends here.
func (s *stream) end(out []record.Chunk) []record.Chunk {
	out = s.flush(out)
	if s.part.len == 0 && !s.continues || s.lost {
		return out
	}
	if s.part.len == 0 { // its pieces are out: say that it is over
		s.part.writer, s.part.at = &s.meta.Writer, time.Now().UnixNano()
	}
	s.part.records++
	c := s.chunk(&s.part, 0)
	c.Flags |= record.Last
	s.part, s.continues = run{}, false
	return append(out, c)
}

func (s *stream) emitWhole(out []record.Chunk) []record.Chunk {
	c := s.chunk(&s.whole, 0)
	s.whole, s.continues = run{}, false
	return append(out, c)
}

func (s *stream) emitPiece(out []record.Chunk) []record.Chunk {
	c := s.chunk(&s.part, record.Continued)
	s.part, s.continues = run{}, true
	return append(out, c)
}

func (s *stream) chunk(r *run, flags record.Flags) record.Chunk {
	if s.continues {
		flags |= record.Continues
	}
	if s.meta.Below {
		flags |= record.Below
	}
	c := record.Chunk{
		Source: s.source, File: s.file, Writer: r.writer, Handle: s.meta.ID, Offset: s.pos, Time: r.at,
		Flags: flags, Records: r.records, Marks: r.marks, CRC: r.crc, Len: uint32(r.len), Extents: r.ext,
	}
	if r.marks != nil {
		c.Clock = record.Written
	}
	s.pos += uint64(r.len)
	return c
}
