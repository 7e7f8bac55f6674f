package format

import (
	"strconv"

	"ftfuse/internal/record"
)

// logfmtFormat writes one line of KEY=VALUE for each record, with the keys of json; the record is msg, and comes last.
//
// A value stands bare if it is not empty and all of its bytes are printable ASCII but space, quote, equals sign and backslash;
// else in double quotes, as the inside of a JSON string: \" \\ \n \r \t and \u00XX for other bytes below
// space. Text that is not valid UTF-8 goes under its key with _base64 behind, in standard base64 and quoted. So a line
// is one line and UTF-8, whatever the data is, and every byte can be had back. no_lf, end, continues, continued and
// below are as in json. A gap is a line with gap_first, gap_last, gap_reason, gap_bytes and gap_records in place of msg.
type logfmtFormat struct {
	clock *Clock
	who   who
	attrs []byte // " host=..." and so on
	rest  []byte // attrs and what else all records of the chunk share, up to the value of the offset
}

func newLogfmt() *logfmtFormat { return &logfmtFormat{clock: NewUTC()} }

func (l *logfmtFormat) Gaps() bool { return true }

func (l *logfmtFormat) Overhead(c *record.Chunk) int {
	l.attributes(c)
	return 130 + len(l.attrs)
}

func (l *logfmtFormat) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	if l.attributes(c); c.Gap != nil {
		return l.gap(dst, c)
	}
	l.prepare(c)
	EachRecord(c, func(rec []byte, off int, at int64) {
		dst = spill(dst)
		dst = l.clock.Append(append(dst, "time="...), at)
		dst = append(dst, l.rest...)
		dst = strconv.AppendUint(dst, c.Offset+uint64(off), 10)
		e := endingOf(c, rec, off)
		if e.continues {
			dst = append(dst, " continues=true"...)
		}
		if e.continued {
			dst = append(dst, " continued=true"...)
		}
		if e.none {
			dst = append(dst, " no_lf=true"...)
		}
		if e.end != nil {
			dst = appendPair(dst, "end", e.end)
		}
		dst = append(appendPair(dst, "msg", e.text), '\n')
	})
	return dst
}

// prepare renders what is the same for all records of c.
func (l *logfmtFormat) prepare(c *record.Chunk) {
	r := append(l.rest[:0], l.attrs...)
	r = l.number(r, "seq", c.Seq)
	r = l.number(r, "handle", c.Handle)
	r = appendPair(r, "clock", c.Clock.String())
	if c.Flags&record.Below != 0 {
		r = append(r, " below=true"...)
	}
	l.rest = append(r, " offset="...)
}

func (l *logfmtFormat) gap(dst []byte, c *record.Chunk) []byte {
	dst = l.clock.Append(append(dst, "time="...), c.Time)
	dst = append(dst, l.attrs...)
	dst = l.number(dst, "gap_first", c.Gap.First)
	dst = l.number(dst, "gap_last", c.Seq)
	dst = appendPair(dst, "gap_reason", c.Gap.Reason.String())
	dst = l.number(dst, "gap_bytes", c.Gap.Bytes)
	dst = l.number(dst, "gap_records", c.Gap.Records)
	return append(dst, '\n')
}

func (l *logfmtFormat) attributes(c *record.Chunk) {
	if !l.who.same(c) {
		l.attrs = l.who.attributes(l, l.attrs[:0], c)
	}
}

func (l *logfmtFormat) number(dst []byte, key string, v uint64) []byte {
	dst = append(append(append(dst, ' '), key...), '=')
	return strconv.AppendUint(dst, v, 10)
}

func (l *logfmtFormat) text(dst []byte, key, v string) []byte { return appendPair(dst, key, v) }

func appendPair[T string | []byte](dst []byte, key string, v T) []byte {
	dst = append(append(dst, ' '), key...)
	if isBare(v) {
		return append(append(dst, '='), v...)
	}
	n := plain(v)
	if n < len(v) && !valid(v[n:]) {
		return append(appendBase64(append(dst, `_base64="`...), v), '"')
	}
	dst = append(dst, `="`...)
	return append(appendEscaped(append(dst, v[:n]...), v[n:]), '"')
}

func isBare[T string | []byte](v T) bool {
	for i := range len(v) {
		if !bare[v[i]] {
			return false
		}
	}
	return len(v) > 0
}

// bare are the bytes of a value without quotes.
var bare = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = true
	}
	t['"'], t['='], t['\\'] = false, false, false
	return t
}()
