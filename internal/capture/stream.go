package capture

import (
	"bytes"
	"time"

	"ftfuse/internal/record"
)

// stream assembles the records of one handle. One goroutine, the follower, uses it.
type stream struct {
	meta      *meta
	file      *record.File
	source    *record.Source
	pos       uint64 // stream offset of the next byte to emit
	whole     run    // complete records, waiting for company
	part      run    // the record that has begun
	continues bool   // whole, or else part or the next byte, continues a record whose head has been emitted
	begun     uint64 // bytes of the record that has begun which have been emitted, or are in gaps
	limit     int
	lost      bool // nothing is known of the handle: what it wrote is counted as missing
	loud      bool // in the follower's list of streams that have been fed
	aging     bool // in the follower's list of streams in which something waits

	skip bool // the record that has begun is too long: it is shed up to its end
	gone run  // what of it is not emitted as a gap yet

	// For unit Framed.
	framed  bool
	ends    record.LineEnd
	half    piece     // CR, or Any: a CR that was read last
	written bool      // the pieces have the times of writes
	fed     time.Time // when something came last
	join    *joiner   // nil: each line is a record
	rec     run       // complete lines of a record that others may follow
	lines   int       // of them
	line    []byte    // what the pattern sees of the line that has begun

	gathered gathered
}

func newStream(m *meta, src *record.Source, pos uint64) *stream {
	limit := m.MaxRecord
	if limit <= 0 || limit > record.MaxChunk {
		limit = record.MaxChunk
	}
	file := m.File
	s := &stream{meta: m, file: &file, source: src, pos: pos, limit: limit}
	if m.File.Unit == record.Line && m.LineEnd != record.LF {
		s.frame()
	}
	return s
}

// joinBy has lines joined. Nil: each is a record.
func (s *stream) joinBy(j *joiner) {
	if s.join = j; j != nil && s.meta.File.Unit == record.Line {
		s.frame()
	}
}

// frame has each record marked: readers downstream cut lines behind LF.
func (s *stream) frame() {
	s.framed, s.ends, s.file.Unit = true, s.meta.LineEnd, record.Framed
	if s.ends == record.CRLF || s.ends == record.Any {
		s.limit = max(s.limit, 2) // a line end is never cut
	}
}

// next returns the stream offset of the next byte to be fed.
func (s *stream) next() uint64 {
	return s.pos + uint64(s.whole.len+s.rec.len+s.part.len+len(s.half.data)+s.gone.len)
}

// assemble takes the next bytes and appends the chunks that are full to out.
func (s *stream) assemble(p piece, now time.Time, out []record.Chunk) []record.Chunk {
	switch s.file.Unit {
	case record.Write:
		return s.feedWrite(p, now, out)
	case record.Binary:
		return s.feedBinary(p, now, out)
	case record.Framed:
		return s.feedFramed(p, now, out)
	}
	for len(p.data) > 0 {
		if s.skip {
			p, out = s.shedLine(p, now, out)
			continue
		}
		if s.whole.len > 0 && s.part.len == 0 && s.whole.writer != p.writer {
			out = s.emitWhole(out)
		}
		n := min(len(p.data), s.room())
		if n <= 0 || s.whole.pieces()+s.part.pieces() >= maxPieces {
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
	s.part, s.begun = run{}, 0
	return out
}

// room returns how many more bytes the record that has begun may have, before makeRoom must be asked.
func (s *stream) room() int {
	n := s.limit - s.part.len
	if !s.framed {
		n -= s.whole.len
	}
	if s.begun > 0 && s.meta.TooLong != record.Split {
		n = int(min(int64(n), int64(s.limit)-int64(s.begun)-int64(s.part.len)))
	}
	return n
}

// makeRoom does away with what fills the limit: complete records, or else one that is too long.
func (s *stream) makeRoom(out []record.Chunk) []record.Chunk {
	switch {
	case s.rec.len > 0:
		return s.complete(out)
	case s.whole.len > 0:
		return s.emitWhole(out)
	case s.full():
		return s.tooLong(out)
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

// flushWhole emits the complete records.
func (s *stream) flushWhole(out []record.Chunk) []record.Chunk {
	if s.whole.len > 0 {
		out = s.emitWhole(out)
	}
	return out
}

// end emits everything: the handle is closed. A record without an end ends here.
func (s *stream) end(out []record.Chunk) []record.Chunk {
	out = s.release(out)
	if s.framed {
		out = s.endFramed(time.Now(), out)
	}
	out = s.flushWhole(out)
	if s.skip && !s.midway() {
		if s.gone.len == 0 { // all of it is counted but the record
			s.gone.writer, s.gone.at = &s.meta.Writer, time.Now().UnixNano()
		}
		out = append(out, s.gap(0, 1))
	}
	out = s.emitGone(out)
	s.skip, s.begun = false, 0
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

// emitPiece emits what there is of the record that has begun, after everything before it.
func (s *stream) emitPiece(out []record.Chunk) []record.Chunk {
	out = s.flushWhole(s.complete(out))
	if s.part.len == 0 {
		return out
	}
	c := s.chunk(&s.part, record.Continued)
	s.begun += uint64(s.part.len)
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
	if s.framed && r.len > 0 {
		if r.marks == nil { // one record, or a piece
			c.Marks = []record.Mark{{Len: uint32(r.len)}}
		}
		if s.written {
			c.Clock = record.Written
		}
	} else if r.marks != nil {
		c.Clock = record.Written
	}
	s.pos += uint64(r.len)
	return c
}
