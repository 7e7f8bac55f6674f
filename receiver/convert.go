package receiver

import (
	"time"

	"ftfuse/internal/record"
)

// shared converts what many chunks point to once for each pointer in a row: chunks of one run mostly share it.
type shared[F comparable, T any] struct {
	from *F
	to   *T
}

func (s *shared[F, T]) of(p *F, convert func(*F) *T) *T {
	if p == nil {
		return nil
	}
	if p != s.from {
		s.from, s.to = p, convert(p)
	}
	return s.to
}

// newChunks converts chunks. The payload is not copied.
func newChunks(from []record.Chunk) []Chunk {
	list := make([]Chunk, len(from))
	var sources shared[record.Source, Source]
	var files shared[record.File, File]
	var writers shared[record.Writer, Writer]
	for i := range from {
		c := &from[i]
		list[i] = Chunk{
			Seq: c.Seq, Source: sources.of(c.Source, newSource), File: files.of(c.File, newFile), Writer: writers.of(c.Writer, newWriter),
			Handle: c.Handle, Offset: c.Offset, Time: time.Unix(0, c.Time).UTC(), Clock: Clock(c.Clock), Data: c.Data, Ends: c.Records,
			Continues: c.Flags&record.Continues != 0, Continued: c.Flags&record.Continued != 0,
			Below: c.Flags&record.Below != 0, Last: c.Flags&record.Last != 0,
			marks: c.Marks,
		}
		if g := c.Gap; g != nil {
			list[i].Gap = &Gap{g.First, Reason(g.Reason), g.Bytes, g.Records}
		}
	}
	return list
}

func newSource(s *record.Source) *Source {
	return &Source{Stream{SenderID(s.Sender), s.Epoch}, s.Host, s.BootID, SenderID(s.Captor())}
}

func newFile(f *record.File) *File { return &File{f.Mount, f.Path, f.Rule, Unit(f.Unit)} }

func newWriter(w *record.Writer) *Writer {
	return &Writer{
		Kind: WriterKind(w.Kind), PID: w.PID, TID: w.TID, UID: w.UID, GID: w.GID, Start: w.Start,
		Comm: w.Comm, Exe: w.Exe, Unit: w.Unit, Container: w.Container,
	}
}
