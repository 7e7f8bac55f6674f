package output

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"ftfuse/internal/record"
)

// jsonFormat writes one object a line. Text that is not valid UTF-8 goes under its key with _base64 behind, in
// standard base64, so that every byte can be had back. data has no LF at its end where the record has one;
// "no_lf":true says that it had none. docs/output.md lists the keys.
type jsonFormat struct {
	clock *clock
	// What follows the record's own keys is the same for a run of chunks; tail holds it for these three.
	source *record.Source
	file   *record.File
	writer *record.Writer
	tail   []byte
}

func newJSON() *jsonFormat {
	c, err := parseClock("%FT%T.%-Z", time.UTC, true)
	if err != nil {
		panic(err) // a constant
	}
	return &jsonFormat{clock: c}
}

func (j *jsonFormat) gaps() bool { return true }

func (j *jsonFormat) overhead(c *record.Chunk) int {
	j.prepare(c)
	return 200 + len(j.tail)
}

func (j *jsonFormat) append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	j.prepare(c)
	if c.Gap != nil {
		return j.gap(dst, c)
	}
	line := fileOf(c).Unit == record.Line
	eachRecord(c, func(rec []byte, off int, at int64) {
		dst = spill(dst)
		last := off+len(rec) == len(c.Data)
		dst = append(dst, `{"time":"`...)
		dst = j.clock.append(dst, at)
		dst = append(dst, '"')
		noLF := line && rec[len(rec)-1] != '\n'
		if line && !noLF {
			rec = rec[:len(rec)-1]
		}
		dst = appendField(dst, "data", rec)
		if noLF {
			dst = append(dst, `,"no_lf":true`...)
		}
		if off == 0 && c.Flags&record.Continues != 0 {
			dst = append(dst, `,"continues":true`...)
		}
		if last && c.Flags&record.Continued != 0 {
			dst = append(dst, `,"continued":true`...)
		}
		dst = appendNumber(dst, "seq", c.Seq)
		dst = appendNumber(dst, "handle", c.Handle)
		dst = appendNumber(dst, "offset", c.Offset+uint64(off))
		dst = j.flags(dst, c)
		dst = append(dst, j.tail...)
	})
	return dst
}

func (j *jsonFormat) flags(dst []byte, c *record.Chunk) []byte {
	dst = append(dst, `,"clock":"`...)
	dst = append(append(dst, c.Clock.String()...), '"')
	if c.Flags&record.Below != 0 {
		dst = append(dst, `,"below":true`...)
	}
	return dst
}

func (j *jsonFormat) gap(dst []byte, c *record.Chunk) []byte {
	dst = append(dst, `{"time":"`...)
	dst = j.clock.append(dst, c.Time)
	dst = append(dst, `","gap":{"first":`...)
	dst = strconv.AppendUint(dst, c.Gap.First, 10)
	dst = appendNumber(dst, "last", c.Seq)
	dst = appendField(dst, "reason", c.Gap.Reason.String())
	dst = appendNumber(dst, "bytes", c.Gap.Bytes)
	dst = appendNumber(dst, "records", c.Gap.Records)
	return append(append(dst, '}'), j.tail...)
}

// prepare renders the tail: who wrote what where.
func (j *jsonFormat) prepare(c *record.Chunk) {
	if j.tail != nil && j.source == c.Source && j.file == c.File && j.writer == c.Writer {
		return
	}
	j.source, j.file, j.writer = c.Source, c.File, c.Writer
	t := appendField(j.tail[:0], "host", c.Source.Host)
	if f := c.File; f != nil {
		t = appendField(t, "mount", f.Mount)
		t = appendField(t, "path", f.Path)
		t = appendField(t, "rule", f.Rule)
		t = appendField(t, "record", f.Unit.String())
	}
	if w := c.Writer; w != nil {
		t = appendField(t, "writer", w.Kind.String())
		if w.Kind != record.Unknown {
			t = appendNumber(t, "pid", uint64(w.PID))
			t = appendNumber(t, "tid", uint64(w.TID))
			t = appendNumber(t, "uid", uint64(w.UID))
			t = appendNumber(t, "gid", uint64(w.GID))
			t = appendNumber(t, "start", w.Start)
			t = appendSome(t, "comm", w.Comm)
			t = appendSome(t, "exe", w.Exe)
			t = appendSome(t, "unit", w.Unit)
			t = appendSome(t, "container", w.Container)
		}
	}
	t = appendField(t, "sender", c.Source.Sender.String())
	t = appendNumber(t, "epoch", c.Source.Epoch)
	t = appendField(t, "boot_id", c.Source.BootID)
	j.tail = append(t, "}\n"...)
}

func appendNumber(dst []byte, key string, v uint64) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":`...)
	return strconv.AppendUint(dst, v, 10)
}

func appendSome(dst []byte, key, v string) []byte {
	if v == "" {
		return dst
	}
	return appendField(dst, key, v)
}

func appendField[T string | []byte](dst []byte, key string, v T) []byte {
	dst = append(append(dst, `,"`...), key...)
	if !utf8.Valid([]byte(v)) {
		dst = append(dst, `_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(v))
		return append(dst, '"')
	}
	dst = append(dst, `":"`...)
	const digits = "0123456789abcdef"
	start := 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		if !escaped[c] {
			continue
		}
		dst = append(dst, v[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(dst, v[start:]...), '"')
}

// escaped are the bytes that JSON does not take as they are.
var escaped = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()
