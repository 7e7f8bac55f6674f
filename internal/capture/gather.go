package capture

import (
	"time"

	"ftfuse/internal/record"
)

// gathered is what waits for company by the rule's Gather: chunks that are full, before the records in stream.whole.
// They have their place in the stream, and are not registered: after a crash they are read again.
type gathered struct {
	chunks  []record.Chunk
	bytes   int64
	records int
	pieces  int
	since   time.Time // when the first came, zero: nothing waits
}

// maxGather bounds the extents and marks that one stream gathers: a quarter of what all streams may hold.
const maxGather = maxHeld / 4

// feed takes the next bytes and appends the chunks that are to go to out.
func (s *stream) feed(p piece, now time.Time, out []record.Chunk) []record.Chunk {
	if !s.gathers() {
		return s.assemble(p, now, out)
	}
	return s.gather(s.assemble(p, now, s.gathered.chunks), now, out)
}

func (s *stream) gathers() bool { return s.meta.Gather.Wait > 0 }

// gather takes over what follows the chunks that wait already, and emits all when it is time.
func (s *stream) gather(chunks []record.Chunk, now time.Time, out []record.Chunk) []record.Chunk {
	g, w := &s.gathered, &s.meta.Gather
	for i := len(g.chunks); i < len(chunks); i++ {
		c := &chunks[i]
		g.bytes, g.records, g.pieces = g.bytes+int64(c.Len), g.records+int(c.Records), g.pieces+1+max(len(c.Extents), len(c.Marks))
	}
	g.chunks = chunks
	bytes, records := g.bytes+int64(s.whole.len), g.records+int(s.whole.records)
	switch {
	case len(chunks) == 0 && bytes == 0:
		return out
	case g.since.IsZero():
		g.since = now
	}
	if w.Bytes > 0 && bytes >= w.Bytes || w.Records > 0 && records >= w.Records || now.Sub(g.since) >= w.Wait || g.pieces > maxGather {
		return s.release(out)
	}
	return out
}

// release emits what has been gathered, and the complete records.
func (s *stream) release(out []record.Chunk) []record.Chunk {
	out = append(out, s.gathered.chunks...)
	s.gathered = gathered{}
	return s.flushWhole(out)
}

// flush emits the complete records at the end of a turn, if they need not wait.
func (s *stream) flush(out []record.Chunk) []record.Chunk {
	if s.part.len == 0 && s.rec.len == 0 { // a stream that rests keeps no memory
		s.line, s.part.ext, s.rec.ext = nil, nil, nil
	}
	if s.gathers() {
		return out
	}
	return s.flushWhole(out)
}

// age emits what has waited long enough.
func (s *stream) age(now time.Time, out []record.Chunk) []record.Chunk {
	if !s.gathers() {
		out, _ = s.mature(now, out)
		return s.flushWhole(out)
	}
	chunks, cut := s.mature(now, s.gathered.chunks)
	out = s.gather(chunks, now, out)
	if cut {
		out = s.release(out)
	}
	return out
}

// mature ends what waits for more no longer. cut says that a piece, or a gap within a record, was emitted for its age.
func (s *stream) mature(now time.Time, out []record.Chunk) (_ []record.Chunk, cut bool) {
	old := func(since time.Time) bool {
		return s.meta.MaxAge > 0 && now.Sub(since) >= time.Duration(s.meta.MaxAge)
	}
	if s.half.data != nil && s.ends == record.Any && old(s.fed) {
		half := s.half
		s.half = piece{}
		out = s.endLine(half, piece{}, now, out)
	}
	if s.rec.len > 0 && (now.Sub(s.fed) >= s.join.wait || old(s.rec.since)) {
		out = s.complete(out)
	}
	if s.part.len > 0 && old(s.part.since) {
		out, cut = s.emitPiece(out), true
	}
	if s.gone.len > 0 && old(s.gone.since) {
		out, cut = s.emitGone(out), true
	}
	return out, cut
}

// cut emits all that can be, in pieces: it takes too much memory.
func (s *stream) cut(out []record.Chunk) []record.Chunk {
	return s.emitGone(s.emitPiece(s.release(out)))
}

// waits reports whether anything of the stream is not emitted.
func (s *stream) waits() bool { return s.next() > s.pos || len(s.gathered.chunks) > 0 }

// cost returns what the stream holds in memory, in extents and marks.
func (s *stream) cost() int {
	return s.gathered.pieces + s.whole.pieces() + s.rec.pieces() + s.part.pieces() + s.gone.pieces() + cap(s.line)/32
}

// due returns when age must be called next, zero: not before something is fed.
func (s *stream) due() (at time.Time) {
	soon := func(since time.Time, wait time.Duration) {
		if t := since.Add(wait); at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if s.rec.len > 0 {
		soon(s.fed, s.join.wait)
	}
	if !s.gathered.since.IsZero() {
		soon(s.gathered.since, s.meta.Gather.Wait)
	}
	age := time.Duration(s.meta.MaxAge)
	if age <= 0 {
		return at
	}
	if s.half.data != nil && s.ends == record.Any {
		soon(s.fed, age)
	}
	for _, r := range []*run{&s.rec, &s.part, &s.gone} {
		if r.len > 0 {
			soon(r.since, age)
		}
	}
	return at
}
