package output

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"ftfuse/internal/format"
	"ftfuse/internal/record"
)

// pathTemplate renders the path of a chunk's file. It keeps a buffer: one user at a time.
type pathTemplate struct {
	parts []pathPart
	buf   []byte
}

// pathPart appends its text for c to dst.
type pathPart func(dst []byte, c *record.Chunk) []byte

// values are the variables of a path whose text comes from a peer. A name is one component; path and dir may be several.
var values = map[string]func(*record.Chunk) string{
	"host":      func(c *record.Chunk) string { return c.Source.Host },
	"sender":    func(c *record.Chunk) string { return c.Source.Captor().String() },
	"path":      func(c *record.Chunk) string { return format.FileOf(c).Path },
	"name":      func(c *record.Chunk) string { return format.LastName(format.FileOf(c).Path) },
	"dir":       func(c *record.Chunk) string { p := format.FileOf(c).Path; return p[:len(p)-len(format.LastName(p))] },
	"mount":     func(c *record.Chunk) string { return format.FileOf(c).Mount },
	"rule":      func(c *record.Chunk) string { return format.FileOf(c).Rule },
	"unit":      func(c *record.Chunk) string { return format.WriterOf(c).Unit },
	"container": func(c *record.Chunk) string { return format.WriterOf(c).Container },
	"comm":      func(c *record.Chunk) string { return format.WriterOf(c).Comm },
}

var numbers = map[string]func(*record.Writer) uint32{
	"uid": func(w *record.Writer) uint32 { return w.UID },
	"gid": func(w *record.Writer) uint32 { return w.GID },
	"pid": func(w *record.Writer) uint32 { return w.PID },
}

// parsePath reads a template. Without variables it names one file for everything.
func parsePath(text string, loc *time.Location) (*pathTemplate, error) {
	t := &pathTemplate{}
	plain := "" // the text with every variable as x, to judge the components between them
	for rest := text; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			open = len(rest)
		}
		if lit := rest[:open]; lit != "" {
			if i := strings.IndexAny(lit, "}\x00"); i >= 0 {
				return nil, fmt.Errorf("path %q: a %q has no place there", text, lit[i])
			}
			plain += lit
			t.parts = append(t.parts, func(dst []byte, _ *record.Chunk) []byte { return append(dst, lit...) })
		}
		if rest = rest[open:]; rest == "" {
			break
		}
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return nil, fmt.Errorf("path %q: a { is not closed", text)
		}
		part, err := parseVariable(rest[1:end], loc)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", text, err)
		}
		plain += "x"
		t.parts = append(t.parts, part)
		rest = rest[end+1:]
	}
	if plain == "" || plain[len(plain)-1] == '/' || path.Clean("/"+plain) != "/"+plain {
		return nil, fmt.Errorf("path %q: want a relative path of a file, without . and .. and empty names", text)
	}
	return t, nil
}

func parseVariable(v string, loc *time.Location) (pathPart, error) {
	if form, ok := strings.CutPrefix(v, "date:"); ok {
		clock, err := format.ParseClock(form, loc, false)
		if err != nil {
			return nil, err
		}
		return func(dst []byte, c *record.Chunk) []byte { return clock.Append(dst, c.Time) }, nil
	}
	if f, ok := numbers[v]; ok {
		return func(dst []byte, c *record.Chunk) []byte {
			return strconv.AppendUint(dst, uint64(f(format.WriterOf(c))), 10)
		}, nil
	}
	f, ok := values[v]
	switch {
	case v == "path":
		return func(dst []byte, c *record.Chunk) []byte { return orNone(dst, appendSafe(dst, f(c), true)) }, nil
	case v == "dir":
		return func(dst []byte, c *record.Chunk) []byte { return appendSafe(dst, f(c), true) }, nil
	case ok:
		return func(dst []byte, c *record.Chunk) []byte { return orNone(dst, appendSafe(dst, f(c), false)) }, nil
	}
	return nil, fmt.Errorf("{%s} is not known: want host, path, name, dir, mount, rule, date:FORMAT, uid, gid, unit, container, comm, pid or sender", v)
}

// orNone puts _ where a value rendered to nothing.
func orNone(before, after []byte) []byte {
	if len(after) == len(before) {
		return append(after, '_')
	}
	return after
}

// render returns the path of c's file, valid until the next call.
func (t *pathTemplate) render(c *record.Chunk) []byte {
	b := t.buf[:0]
	for _, p := range t.parts {
		b = p(b, c)
	}
	t.buf = b
	if plainPath(b) {
		return b
	}
	return []byte(safePath(string(b)))
}
