package capture

import (
	"time"

	"ftfuse/internal/record"
)

// Assemble returns the chunks that Capture makes of text, which w writes to path through one handle and closes: records as d
// says, with their payload in Data. With unit Write all of text is one write(2). It touches no disk and depends on nothing
// else; the error is that of a pattern in d.Join that is not RE2.
func Assemble(d record.Decision, source *record.Source, mount, path string, w *record.Writer, text []byte) ([]record.Chunk, error) {
	m := &meta{
		ID: 1, File: record.File{Mount: mount, Path: path, Rule: d.Rule, Unit: d.Unit}, Writer: *w,
		MaxRecord: d.MaxRecord, MaxAge: int64(d.MaxAge), framing: framingOf(d),
	}
	s := newStream(m, source, 0)
	j, err := patterns{}.joiner(d.Join)
	if err != nil {
		return nil, err
	}
	s.joinBy(j)
	now := time.Now()
	var out []record.Chunk
	if len(text) > 0 {
		out = s.feed(piece{data: text, at: now.UnixNano(), writer: &m.Writer, written: d.Capture == record.WriteMode}, now, nil)
	}
	out = s.end(out)
	for i := range out {
		c := &out[i]
		if c.Gap == nil {
			c.Data = make([]byte, 0, c.Len)
			for _, e := range c.Extents {
				c.Data = append(c.Data, text[e.Off:e.Off+int64(e.Len)]...)
			}
		}
		c.Extents = nil
	}
	return out, nil
}
