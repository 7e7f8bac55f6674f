package format

import (
	"bytes"
	"strings"

	"ftfuse/internal/record"
)

// EachRecord calls f for every record of c with its bytes, its place in the payload and its time in ns since 1970.
// Lines are cut behind LF, and have the time of the write(2) that ended them; records of units Write and Framed are cut
// at the marks; anything else is one record. A chunk may begin or end within a record (Continues, Continued), so
// the first and the last may be pieces.
func EachRecord(c *record.Chunk, f func(rec []byte, off int, at int64)) {
	switch unit := FileOf(c).Unit; {
	case len(c.Data) == 0:
	case unit == record.Line:
		eachLine(c, f)
	case (unit == record.Write || unit == record.Framed) && len(c.Marks) > 0:
		off := 0
		for i, m := range c.Marks {
			end := min(off+int(m.Len), len(c.Data))
			if i == len(c.Marks)-1 {
				end = len(c.Data)
			}
			f(c.Data[off:end], off, c.Time+m.Delta)
			off = end
		}
	default:
		f(c.Data, 0, c.Time)
	}
}

func eachLine(c *record.Chunk, f func(rec []byte, off int, at int64)) {
	at, mark, marked := c.Time, 0, 0 // marked: where the mark that at comes from ends
	for off := 0; off < len(c.Data); {
		end := len(c.Data)
		if i := bytes.IndexByte(c.Data[off:], '\n'); i >= 0 {
			end = off + i + 1
		}
		for mark < len(c.Marks) && marked < end {
			at = c.Time + c.Marks[mark].Delta
			marked += int(c.Marks[mark].Len)
			mark++
		}
		f(c.Data[off:end], off, at)
		off = end
	}
}

// Cut parts a record of c from its line end: LF for a line; CRLF, LF, CR or NUL for a framed record, as the rule that
// framed it may have asked for any of them. Records of other units have no line end.
func Cut(c *record.Chunk, rec []byte) (text, end []byte) {
	n := 0
	switch FileOf(c).Unit {
	case record.Line:
		if len(rec) > 0 && rec[len(rec)-1] == '\n' {
			n = 1
		}
	case record.Framed:
		n = lineEnd(rec)
	}
	return rec[:len(rec)-n], rec[len(rec)-n:]
}

// cutAny is Cut for formats that people read: what one write(2) wrote loses a line end too.
func cutAny(c *record.Chunk, rec []byte) []byte {
	if FileOf(c).Unit == record.Write {
		return rec[:len(rec)-lineEnd(rec)]
	}
	text, _ := Cut(c, rec)
	return text
}

// lineEnd is the length of the line end that rec has.
func lineEnd(rec []byte) int {
	n := len(rec)
	switch {
	case n == 0 || rec[n-1] != '\n' && rec[n-1] != '\r' && rec[n-1] != 0:
		return 0
	case n > 1 && rec[n-1] == '\n' && rec[n-2] == '\r':
		return 2
	}
	return 1
}

// ending is what json, logfmt and msgpack say of a record beside its text, so that the record can be had back.
type ending struct {
	text      []byte // the record without its line end
	none      bool   // it had none, though its unit has
	end       []byte // the line end where it is not LF
	continues bool
	continued bool
}

func endingOf(c *record.Chunk, rec []byte, off int) ending {
	text, end := Cut(c, rec)
	e := ending{
		text:      text,
		continues: off == 0 && c.Flags&record.Continues != 0,
		continued: off+len(rec) == len(c.Data) && c.Flags&record.Continued != 0,
	}
	switch unit := FileOf(c).Unit; {
	case len(end) == 0:
		e.none = unit == record.Line || unit == record.Framed
	case string(end) != "\n":
		e.end = end
	}
	return e
}

var (
	noFile   = &record.File{}
	noWriter = &record.Writer{}
)

// FileOf returns the file of a chunk, an empty one where it is not known, as of some gaps.
func FileOf(c *record.Chunk) *record.File {
	if c.File == nil {
		return noFile
	}
	return c.File
}

// WriterOf returns the writer of a chunk, an empty one where it is not known.
func WriterOf(c *record.Chunk) *record.Writer {
	if c.Writer == nil {
		return noWriter
	}
	return c.Writer
}

// LastName returns what follows the last slash of a path.
func LastName(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
