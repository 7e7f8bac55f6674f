package capture

import (
	"time"

	"ftfuse/internal/record"
)

// A record that is longer than MaxRecord, where the rule does not have it split:
//
// Truncate: its first MaxRecord bytes are a piece, what follows is shed, its end is the last piece. The gap between
// them has the flags of a piece: Continues and Continued.
//
// DropLong: all of it is shed. A gap within it has the flag Continued, the last one counts the record. When a piece of
// it has been sent before it was known to be too long, because it was old, it is truncated instead.
//
// What is shed goes as gaps of a MiB or less, so that a record without end holds neither memory nor disk.

// full reports whether the record that has begun is too long with one more byte, and is not to be split.
func (s *stream) full() bool {
	return s.meta.TooLong != record.Split && s.begun+uint64(s.part.len) >= uint64(s.limit)
}

// midway reports whether the next bytes to emit go on with a record of which a piece is out.
func (s *stream) midway() bool { return s.continues && s.whole.len == 0 }

// tooLong begins to shed.
func (s *stream) tooLong(out []record.Chunk) []record.Chunk {
	out = s.flushWhole(s.complete(out))
	if s.meta.TooLong == record.DropLong && !s.midway() {
		s.gone, s.part = s.part, run{}
		s.gone.marks = nil
	} else {
		out = s.emitPiece(out)
	}
	s.skip, s.line = true, s.line[:0]
	return out
}

// shed drops bytes of a record that is too long.
func (s *stream) shed(p piece, now time.Time, out []record.Chunk) []record.Chunk {
	p.written = false
	s.gone.add(p, len(p.data), now)
	if s.gone.len >= record.MaxChunk || s.gone.pieces() >= maxPieces {
		out = s.emitGone(out)
	}
	return out
}

// shedEnd ends a record that is too long; the end may come in two parts.
func (s *stream) shedEnd(a, b piece, now time.Time, out []record.Chunk) []record.Chunk {
	s.skip = false
	if !s.midway() {
		a.written, b.written = false, false
		s.gone.add(a, len(a.data), now)
		s.gone.add(b, len(b.data), now)
		out = append(out, s.gap(0, 1))
		s.begun = 0
		return out
	}
	out = s.emitGone(out)
	s.begun = 0
	s.part.add(a, len(a.data), now)
	s.part.add(b, len(b.data), now)
	if s.framed {
		return s.toWhole(&s.part, out)
	}
	s.part.records++
	take(&s.whole, &s.part)
	return out
}

// shedLine sheds from p as far as the record goes, and returns the rest.
func (s *stream) shedLine(p piece, now time.Time, out []record.Chunk) (piece, []record.Chunk) {
	n, end := findEnd(record.LF, p.data)
	if n > 0 {
		out = s.shed(p.to(n), now, out)
	}
	if end > 0 {
		out = s.shedEnd(p.from(n).to(end), piece{}, now, out)
	}
	return p.from(n + end), out
}

// emitGone emits what has been shed, within its record.
func (s *stream) emitGone(out []record.Chunk) []record.Chunk {
	if s.gone.len > 0 {
		out = append(out, s.gap(record.Continued, 0))
	}
	return out
}

// gap makes a gap of what has been shed. What is spent may be given back once the gap is registered.
func (s *stream) gap(flags record.Flags, records uint64) record.Chunk {
	if s.midway() {
		flags |= record.Continues
	}
	if s.meta.Below {
		flags |= record.Below
	}
	c := record.Chunk{
		Source: s.source, File: s.file, Writer: s.gone.writer, Handle: s.meta.ID, Offset: s.pos, Time: s.gone.at, Flags: flags,
		Spent: s.gone.ext, Gap: &record.Gap{Reason: record.TooLong, Bytes: uint64(s.gone.len), Records: records},
	}
	s.pos += uint64(s.gone.len)
	s.begun += uint64(s.gone.len)
	s.gone = run{}
	return c
}

// within reports whether what follows a gap goes on with a record of which a piece is out, or was until a limit took it:
// of a record that is shed from its beginning nothing is.
func within(ch *record.Chunk) bool {
	return ch.Flags&record.Continued != 0 && (ch.Flags&record.Continues != 0 || ch.Gap.Reason != record.TooLong)
}

// goesOn returns how many bytes are registered of the record that goes on behind ch, which ends at pos, 0 if none does.
// before is what was registered before: of a record that is cut, ch has nothing but a piece. What is known is not
// counted again.
func goesOn(ch *record.Chunk, before mark, pos uint64) uint64 {
	from := max(ch.Offset, before.Pos)
	if ch.Flags&record.Continued == 0 || pos < from {
		return 0
	}
	return before.Begun + pos - from
}
