package output

import (
	"fmt"

	"ftfuse/internal/format"
	"ftfuse/internal/journald"
	"ftfuse/internal/record"
)

// The priorities of entries (syslog(3)).
const (
	infoPriority    = "6"
	warningPriority = "4"
)

// entryMaker renders journal entries. docs/output.md lists the fields.
type entryMaker struct {
	identifier string // "": the last name of the path
	clock      *format.Clock
	buf        []byte
	// What is the same for a run of chunks; tail holds it for these three.
	source *record.Source
	file   *record.File
	writer *record.Writer
	tail   []byte
}

func newEntryMaker(identifier string) *entryMaker {
	return &entryMaker{identifier: identifier, clock: format.NewUTC()}
}

// each calls f with an entry for every record of the chunk, or for the gap. f must not keep it.
func (e *entryMaker) each(c *record.Chunk, f func(entry []byte) error) error {
	e.prepare(c)
	if c.Gap != nil {
		return f(e.gap(c))
	}
	var err error
	format.EachRecord(c, func(rec []byte, off int, at int64) {
		if err == nil {
			err = f(e.record(c, rec, off, at))
		}
	})
	return err
}

func (e *entryMaker) record(c *record.Chunk, rec []byte, off int, at int64) []byte {
	last := off+len(rec) == len(c.Data)
	text, end := format.Cut(c, rec)
	b := journald.Field(e.buf[:0], "MESSAGE", text)
	b = journald.Field(b, "PRIORITY", infoPriority)
	if unit := format.FileOf(c).Unit; len(end) == 0 && (unit == record.Line || unit == record.Framed) {
		b = journald.Field(b, "FTFUSE_NO_LF", "1")
	}
	if off == 0 && c.Flags&record.Continues != 0 {
		b = journald.Field(b, "FTFUSE_CONTINUES", "1")
	}
	if last && c.Flags&record.Continued != 0 {
		b = journald.Field(b, "FTFUSE_CONTINUED", "1")
	}
	b = journald.Number(b, "FTFUSE_OFFSET", c.Offset+uint64(off))
	return e.finish(b, c, at)
}

func (e *entryMaker) gap(c *record.Chunk) []byte {
	g := c.Gap
	what := fmt.Sprintf("%d bytes", g.Bytes)
	if g.Bytes == 0 {
		what = "an unknown number of bytes"
	}
	b := journald.Field(e.buf[:0], "MESSAGE", fmt.Sprintf("%s of %s will not come: %s", what, orUnknown(format.FileOf(c).Path), g.Reason))
	b = journald.Field(b, "PRIORITY", warningPriority)
	b = journald.Number(b, "FTFUSE_GAP_FIRST", g.First)
	b = journald.Field(b, "FTFUSE_GAP_REASON", g.Reason.String())
	b = journald.Number(b, "FTFUSE_GAP_BYTES", g.Bytes)
	b = journald.Number(b, "FTFUSE_GAP_RECORDS", g.Records)
	return e.finish(b, c, c.Time)
}

func orUnknown(path string) string {
	if path == "" {
		return "unknown files"
	}
	return path
}

func (e *entryMaker) finish(b []byte, c *record.Chunk, at int64) []byte {
	var time [40]byte
	b = journald.Field(b, "FTFUSE_TIME", e.clock.Append(time[:0], at))
	b = journald.Field(b, "FTFUSE_CLOCK", c.Clock.String())
	b = journald.Number(b, "FTFUSE_SEQ", c.Seq)
	b = journald.Number(b, "FTFUSE_HANDLE", c.Handle)
	if c.Flags&record.Below != 0 {
		b = journald.Field(b, "FTFUSE_BELOW", "1")
	}
	e.buf = append(b, e.tail...)
	return e.buf
}

// prepare renders the tail: who wrote what where.
func (e *entryMaker) prepare(c *record.Chunk) {
	if e.tail != nil && e.source == c.Source && e.file == c.File && e.writer == c.Writer {
		return
	}
	e.source, e.file, e.writer = c.Source, c.File, c.Writer
	f := format.FileOf(c)
	identifier := e.identifier
	if identifier == "" {
		identifier = format.LastName(f.Path)
	}
	if identifier == "" {
		identifier = "ftfuse"
	}
	t := journald.Field(e.tail[:0], "SYSLOG_IDENTIFIER", identifier)
	t = journald.Field(t, "FTFUSE_HOST", c.Source.Host)
	t = journald.Some(t, "FTFUSE_MOUNT", f.Mount)
	t = journald.Some(t, "FTFUSE_PATH", f.Path)
	t = journald.Some(t, "FTFUSE_RULE", f.Rule)
	if w := c.Writer; w != nil {
		t = journald.Field(t, "FTFUSE_WRITER", w.Kind.String())
		if w.Kind != record.Unknown {
			t = journald.Number(t, "FTFUSE_WRITER_PID", uint64(w.PID))
			t = journald.Number(t, "FTFUSE_WRITER_TID", uint64(w.TID))
			t = journald.Number(t, "FTFUSE_WRITER_UID", uint64(w.UID))
			t = journald.Number(t, "FTFUSE_WRITER_GID", uint64(w.GID))
			t = journald.Number(t, "FTFUSE_WRITER_START", w.Start)
			t = journald.Some(t, "FTFUSE_WRITER_COMM", w.Comm)
			t = journald.Some(t, "FTFUSE_WRITER_EXE", w.Exe)
			t = journald.Some(t, "FTFUSE_WRITER_UNIT", w.Unit)
			t = journald.Some(t, "FTFUSE_WRITER_CONTAINER", w.Container)
		}
	}
	t = journald.Field(t, "FTFUSE_SENDER", c.Source.Captor().String())
	t = journald.Number(t, "FTFUSE_EPOCH", c.Source.Epoch)
	e.tail = journald.Some(t, "FTFUSE_BOOT_ID", c.Source.BootID)
}
