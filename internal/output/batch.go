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
	parts [][]byte // raw: the payloads themselves
	text  []byte   // other formats: what was rendered
	ledger.Run
	wrote int64 // bytes that write(2) has taken
	end   int64 // size of the file after the append, others' bytes included
}

// batch is one append in the making. It is reused, so that a steady stream allocates little.
type batch struct {
	runs  []*run
	byRun map[string]*run // by file name
	spare []*run
	marks map[record.Stream]record.Durable
	in    ledger.Intent
	at    []ledger.Position

	bytes, records, duplicates, gaps int64
	missing                          uint64
}

const keepText = 4 << 20 // bytes of a render buffer worth keeping

func (b *batch) init() {
	b.byRun = map[string]*run{}
	b.marks = map[record.Stream]record.Durable{}
}

func (b *batch) reset() {
	for _, r := range b.runs {
		clear(r.parts)
		r.file, r.parts, r.text, r.wrote, r.Len = nil, r.parts[:0], r.text[:0], 0, 0
		if cap(r.text) <= keepText || len(b.spare) == 0 {
			b.spare = append(b.spare, r)
		}
	}
	b.runs = b.runs[:0]
	clear(b.byRun)
	clear(b.marks)
	b.bytes, b.records, b.duplicates, b.gaps, b.missing = 0, 0, 0, 0, 0
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
		if r.text != nil && len(r.text) > 0 {
			r.parts = append(r.parts[:0], r.text)
		}
		r.Sums = sums(r.Sums[:0], r.Size, r.parts)
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

// sums appends the checksums of the parts as they will lie in the file from offset on, cut at every multiple of
// ledger.SumGrain of the file.
func sums(dst []uint32, offset int64, parts [][]byte) []uint32 {
	room := int(ledger.SumGrain - offset%ledger.SumGrain)
	var crc uint32
	open := false
	for _, p := range parts {
		for len(p) > 0 {
			n := min(room, len(p))
			crc, open = record.AddCRC(crc, p[:n]), true
			if room -= n; room == 0 {
				dst, crc, open, room = append(dst, crc), 0, false, ledger.SumGrain
			}
			p = p[n:]
		}
	}
	if open {
		dst = append(dst, crc)
	}
	return dst
}
