package output

import (
	"bytes"

	"ftfuse/internal/format"
	"ftfuse/internal/record"
)

const (
	largeText = 8 << 20  // a chunk that renders to more is never held as a whole: a MiB of empty lines is 400 MiB of json
	spillText = 64 << 10 // text is rendered in pieces of about this size
)

// newFormat returns nil for raw: its bytes are never copied.
func newFormat(o Options) (format.Format, error) {
	f, err := format.New(format.Options{Format: o.Format, Template: o.Template, TimeFormat: o.TimeFormat, Location: o.Location})
	if _, raw := f.(format.Raw); raw || err != nil {
		return nil, err
	}
	return f, nil
}

// estimate is about how long the text of c is.
func estimate(f format.Format, c *record.Chunk) int64 {
	records := 1 + len(c.Marks)
	if format.FileOf(c).Unit == record.Line {
		records = 1 + bytes.Count(c.Data, []byte{'\n'})
	}
	return int64(records)*int64(f.Overhead(c)) + 2*int64(c.Len)
}
