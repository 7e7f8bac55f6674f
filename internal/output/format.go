package output

import (
	"bytes"
	"fmt"

	"ftfuse/internal/record"
)

// format renders chunks; raw is nil, as its bytes are never copied. One user at a time.
type format interface {
	// append renders c behind dst. Between records it hands dst to spill, which may take the bytes and return an
	// empty slice; the same chunk always renders to the same bytes.
	append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte
	// overhead is about how many bytes are put around each record of c.
	overhead(c *record.Chunk) int
	gaps() bool // whether a gap is written at all
}

const (
	largeText = 8 << 20  // a chunk that renders to more is never held as a whole: a MiB of empty lines is 400 MiB of json
	spillText = 64 << 10 // text is rendered in pieces of about this size
)

// estimate is about how long the text of c is.
func estimate(f format, c *record.Chunk) int64 {
	records := 1 + len(c.Marks)
	if fileOf(c).Unit == record.Line {
		records = 1 + bytes.Count(c.Data, []byte{'\n'})
	}
	return int64(records)*int64(f.overhead(c)) + 2*int64(c.Len)
}

func newFormat(o Options) (format, error) {
	switch o.Format {
	case "", "raw":
		return nil, nil
	case "json":
		return newJSON(), nil
	case "template":
		t, err := parseTemplate(o.Template, o.TimeFormat, location(o))
		if err != nil || t == nil {
			return nil, err
		}
		return t, nil
	}
	return nil, fmt.Errorf("format %q is not known: want raw, template or json", o.Format)
}

// eachRecord calls f for every record of c with its bytes, its place in the payload and its time in ns: lines
// are cut behind LF, and have the time of the write(2) that ended them; writes are cut at the marks. A chunk may begin
// or end within a record (Continues, Continued), so the first and the last may be pieces.
func eachRecord(c *record.Chunk, f func(rec []byte, off int, at int64)) {
	switch {
	case len(c.Data) == 0:
	case fileOf(c).Unit == record.Line:
		eachLine(c, f)
	case fileOf(c).Unit == record.Write && len(c.Marks) > 0:
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
