package output

import (
	"errors"

	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

var errManyRuns = errors.New("the append is full")

// run is one file's part of a batch.
type run struct {
	file  *file
	parts [][]byte      // raw: the payloads themselves; other formats: full pieces of text
	text  []byte        // other formats: the piece that is being filled
	full  int64         // bytes of text in parts; the rest is in text
	large *record.Chunk // other formats: rendered while it is written, as the text would be too long to hold
	ledger.Run
	wrote int64 // bytes that write(2) has taken
	end   int64 // size of the file after the append, others' bytes included
}

// batch is one append in the making. It is reused, so that a steady stream allocates little.
type batch struct {
	runs  []*run
	byRun map[string]*run // by file name
	spare []*run
	raw   bool
	marks map[record.Stream]record.Durable
	in    ledger.Intent
	at    []ledger.Position

	text                       int64 // bytes of buffers for text
	bytes, records, duplicates int64
	gaps                       missing
}

func (b *batch) init() {
	b.byRun = map[string]*run{}
	b.marks = map[record.Stream]record.Durable{}
}

func (b *batch) reset() {
	for _, r := range b.runs {
		r.clear(b.raw)
	}
	b.spare = append(b.spare, b.runs...)
	b.runs = b.runs[:0]
	clear(b.byRun)
	clear(b.marks)
	b.text, b.bytes, b.records, b.duplicates, b.gaps = 0, 0, 0, 0, missing{}
}

func (b *batch) add(f *file) *run {
	r := &run{}
	if n := len(b.spare); n > 0 {
		r, b.spare = b.spare[n-1], b.spare[:n-1]
	}
	r.file, r.Position = f, f.pos
	b.runs = append(b.runs, r)
	b.byRun[f.name] = r
	return r
}

// intent says what is about to be written.
func (b *batch) intent() *ledger.Intent {
	b.in.Runs, b.in.Marks = b.in.Runs[:0], b.in.Marks[:0]
	for _, r := range b.runs {
		if len(r.text) > 0 {
			r.parts = append(r.parts, r.text)
			if cap(r.text) > keepText {
				r.text = nil
			}
		}
		if r.large == nil {
			r.Sums = sums(r.Sums[:0], r.Size, r.parts)
		}
		b.in.Runs = append(b.in.Runs, r.Run)
	}
	for _, m := range b.marks {
		b.in.Marks = append(b.in.Marks, m)
	}
	return &b.in
}

func (b *batch) positions(now int64) []ledger.Position {
	b.at = b.at[:0]
	for _, r := range b.runs {
		p := r.Position
		p.Size, p.Written = r.end, now
		b.at = append(b.at, p)
	}
	return b.at
}

// summer takes the bytes of an append piece by piece and makes Run.Sums: checksums of what lies between the multiples
// of ledger.SumGrain of the file.
type summer struct {
	sums []uint32
	room int // bytes to the next multiple
	crc  uint32
	open bool // crc is of something
}

func newSummer(dst []uint32, offset int64) summer {
	return summer{sums: dst, room: int(ledger.SumGrain - offset%ledger.SumGrain)}
}

func (s *summer) add(p []byte) {
	for len(p) > 0 {
		n := min(s.room, len(p))
		s.crc, s.open = record.AddCRC(s.crc, p[:n]), true
		if s.room -= n; s.room == 0 {
			s.sums, s.crc, s.open, s.room = append(s.sums, s.crc), 0, false, ledger.SumGrain
		}
		p = p[n:]
	}
}

func (s *summer) end() []uint32 {
	if s.open {
		s.sums = append(s.sums, s.crc)
	}
	return s.sums
}

func sums(dst []uint32, offset int64, parts [][]byte) []uint32 {
	s := newSummer(dst, offset)
	for _, p := range parts {
		s.add(p)
	}
	return s.end()
}
