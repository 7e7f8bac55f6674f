// Package format renders chunks as bytes for files and plug-ins, one piece of text for each record.
//
// The formats are raw (the bytes as they are), template (a text with %-letters and named fields), json and logfmt (a
// line of key and value), rfc5424 (a syslog message a line) and msgpack (a map). All of them are right for any bytes:
// names and data come from other machines. docs/output.md describes them for people; the comment of each type is its
// specification. The same chunk always renders to the same bytes, so that who was killed while writing can tell how
// far it came. A gap is rendered by json, logfmt, rfc5424 and msgpack, and by no other.
//
// A record may come in pieces (record.Continues, record.Continued). json, logfmt, rfc5424 and msgpack mark them with
// continues and continued, and name sender, epoch, handle and offset to join them by. A template does not: a
// piece without its line end is followed directly by what comes next.
package format

import (
	"fmt"
	"time"

	"ftfuse/internal/record"
)

// Format renders chunks. It keeps buffers and the text of what does not change: one user at a time.
type Format interface {
	// Append renders c, whose payload is in c.Data, behind dst. Between records it hands dst to spill, which may take
	// the bytes and return an empty slice. It keeps the Source, File and Writer of c and compares them by address.
	Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte
	// Overhead is about how many bytes are put around each record of c.
	Overhead(c *record.Chunk) int
	// Gaps reports whether a gap is rendered at all.
	Gaps() bool
}

// Options say how records are rendered.
type Options struct {
	Format     string         // raw, template, json, logfmt, rfc5424 or msgpack; "": raw
	Template   string         // for template; "": %L
	TimeFormat string         // for %T and {time}: strftime, and %- for nine digits of nanoseconds
	Location   *time.Location // for %T and {time}; nil: the machine's
	Lenient    bool           // the template is K2HFTFUSE's: unknown letters and braces stand for themselves
}

// New returns the format that o describes. It is a Raw where that is what comes out: users who have better ways with
// raw bytes than to copy them can ask for it.
func New(o Options) (Format, error) {
	if o.Location == nil {
		o.Location = time.Local
	}
	switch o.Format {
	case "", "raw":
		return Raw{}, nil
	case "template":
		t, err := newTemplate(o)
		if err != nil {
			return nil, err
		}
		if t.copies() {
			return Raw{}, nil
		}
		return t, nil
	case "json":
		return newJSON(), nil
	case "logfmt":
		return newLogfmt(), nil
	case "rfc5424":
		return newSyslog(), nil
	case "msgpack":
		return &msgpackFormat{}, nil
	}
	return nil, fmt.Errorf("format %q is not known: want raw, template, json, logfmt, rfc5424 or msgpack", o.Format)
}

// Raw is the payload as it is.
type Raw struct{}

// Append copies the payload.
func (Raw) Append(dst []byte, c *record.Chunk, _ func([]byte) []byte) []byte {
	return append(dst, c.Data...)
}

// Overhead is 0.
func (Raw) Overhead(*record.Chunk) int { return 0 }

// Gaps is false.
func (Raw) Gaps() bool { return false }
