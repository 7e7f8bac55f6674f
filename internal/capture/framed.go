package capture

import (
	"time"

	"ftfuse/internal/record"
)

// cr is the data of a piece that waits for its successor: what it was read into is used again.
var cr = []byte{'\r'}

// feedFramed assembles records that do not just end with LF: each has a mark of its own in its chunk.
//
// Lines that make one record together come together in rec. The line that has begun is in part; whether it belongs to
// rec is known when it is complete. A piece of a record is sent within a line only, and such a record ends with that
// line: so a stream that is read again from where it is registered finds the same records.
func (s *stream) feedFramed(p piece, now time.Time, out []record.Chunk) []record.Chunk {
	s.written, s.fed, p.written = p.written, now, false
	for len(p.data) > 0 {
		if s.half.data != nil {
			p, out = s.resolve(p, now, out)
			continue
		}
		n, end := findEnd(s.ends, p.data)
		if end > 0 && s.single(n+end) {
			out = s.addLine(p.to(n+end), now, out)
			p = p.from(n + end)
			continue
		}
		out = s.content(p.to(n), now, out)
		p = p.from(n)
		if end == 0 && len(p.data) > 0 {
			s.half = p
			s.half.data = cr
			break
		}
		if end > 0 {
			out = s.endLine(p.to(end), piece{}, now, out)
			p = p.from(end)
		}
	}
	return out
}

// resolve decides on the CR that was read last, now that what follows is there.
func (s *stream) resolve(p piece, now time.Time, out []record.Chunk) (piece, []record.Chunk) {
	half := s.half
	s.half = piece{}
	switch {
	case p.data[0] == '\n':
		return p.from(1), s.endLine(half, p.to(1), now, out)
	case s.ends == record.Any:
		return p, s.endLine(half, piece{}, now, out)
	}
	return p, s.content(half, now, out)
}

// single reports whether a whole line of n bytes is a record without further ado.
func (s *stream) single(n int) bool {
	return s.join == nil && s.part.len == 0 && s.begun == 0 && !s.skip && n <= s.limit
}

func (s *stream) addLine(p piece, now time.Time, out []record.Chunk) []record.Chunk {
	n := len(p.data)
	if w := &s.whole; w.len > 0 && (!sameWriter(w.writer, p.writer) || w.len+n > s.limit || w.pieces() >= maxPieces) {
		out = s.emitWhole(out)
	}
	s.whole.add(p, n, now)
	s.whole.records++
	s.whole.marks = append(s.whole.marks, record.Mark{Len: uint32(n), Delta: p.at - s.whole.at})
	return out
}

// content adds bytes of the line that has begun; its end is not among them.
func (s *stream) content(p piece, now time.Time, out []record.Chunk) []record.Chunk {
	for len(p.data) > 0 {
		if s.skip {
			return s.shed(p, now, out)
		}
		n := min(len(p.data), s.room())
		if n <= 0 || s.part.pieces() >= maxPieces {
			out = s.makeRoom(out)
			continue
		}
		out = s.fit(p.writer, n, out)
		s.part.add(p, n, now)
		s.look(p.data[:n])
		p = p.from(n)
	}
	return out
}

// fit completes the lines before, when n more bytes of w cannot belong to them.
func (s *stream) fit(w *record.Writer, n int, out []record.Chunk) []record.Chunk {
	if s.rec.len == 0 {
		return out
	}
	if s.part.len == 0 && !sameWriter(s.rec.writer, w) || s.rec.len+s.part.len+n > s.limit || s.rec.pieces()+s.part.pieces() >= maxPieces {
		out = s.complete(out)
	}
	return out
}

// endLine adds the end of a line, which may come in two parts.
func (s *stream) endLine(a, b piece, now time.Time, out []record.Chunk) []record.Chunk {
	n := len(a.data) + len(b.data)
	if s.meta.TooLong == record.DropLong && !s.skip && s.begun+uint64(s.part.len+n) > uint64(s.limit) {
		out = s.tooLong(out)
	}
	if s.skip {
		return s.shedEnd(a, b, now, out)
	}
	if s.part.len+n > s.limit {
		out = s.emitPiece(out)
	}
	out = s.fit(a.writer, n, out)
	s.part.add(a, len(a.data), now)
	s.part.add(b, len(b.data), now)
	return s.lineDone(out)
}

// lineDone puts a complete line to its record.
func (s *stream) lineDone(out []record.Chunk) []record.Chunk {
	if s.join == nil || s.midway() {
		s.line = s.line[:0]
		return s.toWhole(&s.part, out)
	}
	if s.starts() {
		out = s.complete(out)
	}
	take(&s.rec, &s.part)
	s.lines++
	if s.join.lines > 0 && s.lines >= s.join.lines || s.rec.len >= s.limit {
		out = s.complete(out)
	}
	return out
}

// complete ends the record whose lines are in rec.
func (s *stream) complete(out []record.Chunk) []record.Chunk {
	if s.rec.len > 0 {
		out = s.toWhole(&s.rec, out)
	}
	s.lines = 0
	return out
}

// toWhole adds a record to the complete ones.
func (s *stream) toWhole(r *run, out []record.Chunk) []record.Chunk {
	w := &s.whole
	if w.len > 0 && (!sameWriter(w.writer, r.writer) || w.len+r.len > s.limit || w.pieces()+r.pieces() >= maxPieces) {
		out = s.emitWhole(out)
	}
	n, at := r.len, r.at
	take(w, r)
	w.records++
	w.marks = append(w.marks, record.Mark{Len: uint32(n), Delta: at - w.at})
	s.begun = 0
	return out
}

// take moves src behind dst. src keeps what memory it can, for the next line.
func take(dst, src *run) {
	if dst.len == 0 {
		*dst, *src = *src, run{ext: dst.ext[:0]}
		return
	}
	dst.join(src)
	*src = run{ext: src.ext[:0]}
}

// endFramed brings everything that has begun into part: the handle is closed.
func (s *stream) endFramed(now time.Time, out []record.Chunk) []record.Chunk {
	if half := s.half; half.data != nil {
		if s.half = (piece{}); s.ends == record.Any {
			out = s.endLine(half, piece{}, now, out)
		} else {
			out = s.content(half, now, out)
		}
	}
	if s.join != nil && s.part.len > 0 && !s.midway() && !s.starts() && s.rec.len > 0 {
		take(&s.rec, &s.part)
		s.part, s.rec, s.lines = s.rec, run{}, 0
	}
	s.line = nil
	return s.complete(out)
}
