package format

import (
	"encoding/base64"
	"strconv"

	"ftfuse/internal/record"
)

// jsonFormat writes one object a line. Text that is not valid UTF-8 goes under its key with _base64 behind, in
// standard base64, so that every byte can be had back. data has no line end where the record has one: that was LF,
// or what end holds; "no_lf":true says that it had none. docs/output.md lists the keys.
type jsonFormat struct {
	clock *Clock
	who   who
	tail  []byte // the attributes and the end of the object
	// What is the same for all records of the chunk.
	middle []byte // from seq to the key of the offset
	rest   []byte // what follows the offset, tail included
}

func newJSON() *jsonFormat { return &jsonFormat{clock: NewUTC()} }

func (j *jsonFormat) Gaps() bool { return true }

func (j *jsonFormat) Overhead(c *record.Chunk) int {
	j.attributes(c)
	return 200 + len(j.tail)
}

func (j *jsonFormat) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	if j.attributes(c); c.Gap != nil {
		return j.gap(dst, c)
	}
	j.prepare(c)
	EachRecord(c, func(rec []byte, off int, at int64) {
		dst = spill(dst)
		dst = append(dst, `{"time":"`...)
		dst = j.clock.Append(dst, at)
		dst = append(dst, '"')
		e := endingOf(c, rec, off)
		dst = appendField(dst, "data", e.text)
		if e.none {
			dst = append(dst, `,"no_lf":true`...)
		}
		if e.end != nil {
			dst = appendField(dst, "end", e.end)
		}
		if e.continues {
			dst = append(dst, `,"continues":true`...)
		}
		if e.continued {
			dst = append(dst, `,"continued":true`...)
		}
		dst = append(dst, j.middle...)
		dst = strconv.AppendUint(dst, c.Offset+uint64(off), 10)
		dst = append(dst, j.rest...)
	})
	return dst
}

// prepare renders what is the same for all records of c.
func (j *jsonFormat) prepare(c *record.Chunk) {
	m := j.number(j.middle[:0], "seq", c.Seq)
	m = j.number(m, "handle", c.Handle)
	j.middle = append(m, `,"offset":`...)
	r := appendField(j.rest[:0], "clock", c.Clock.String())
	if c.Flags&record.Below != 0 {
		r = append(r, `,"below":true`...)
	}
	j.rest = append(r, j.tail...)
}

func (j *jsonFormat) gap(dst []byte, c *record.Chunk) []byte {
	dst = append(dst, `{"time":"`...)
	dst = j.clock.Append(dst, c.Time)
	dst = append(dst, `","gap":{"first":`...)
	dst = strconv.AppendUint(dst, c.Gap.First, 10)
	dst = j.number(dst, "last", c.Seq)
	dst = appendField(dst, "reason", c.Gap.Reason.String())
	dst = j.number(dst, "bytes", c.Gap.Bytes)
	dst = j.number(dst, "records", c.Gap.Records)
	return append(append(dst, '}'), j.tail...)
}

func (j *jsonFormat) attributes(c *record.Chunk) {
	if !j.who.same(c) {
		j.tail = append(j.who.attributes(j, j.tail[:0], c), "}\n"...)
	}
}

func (j *jsonFormat) number(dst []byte, key string, v uint64) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":`...)
	return strconv.AppendUint(dst, v, 10)
}

func (j *jsonFormat) text(dst []byte, key, v string) []byte { return appendField(dst, key, v) }

func appendField[T string | []byte](dst []byte, key string, v T) []byte {
	dst = append(append(dst, `,"`...), key...)
	n := plain(v)
	if n < len(v) && !valid(v[n:]) {
		dst = append(dst, `_base64":"`...)
		return append(appendBase64(dst, v), '"')
	}
	dst = append(dst, `":"`...)
	if n == len(v) {
		return append(append(dst, v...), '"')
	}
	return append(appendEscaped(append(dst, v[:n]...), v[n:]), '"')
}

func appendBase64[T string | []byte](dst []byte, v T) []byte {
	return base64.StdEncoding.AppendEncode(dst, []byte(v))
}
