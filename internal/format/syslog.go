package format

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"ftfuse/internal/record"
)

// The numbers of RFC 5424, 6.2.1: facility user, severities info and warning.
const (
	infoHead    = "<14>1 "
	warningHead = "<12>1 "
)

// The longest values of RFC 5424, 6.
const (
	maxHost  = 255
	maxApp   = 48
	maxProc  = 128
	maxMsgID = 32
)

const bom = "\xef\xbb\xbf"

// syslogFormat writes one message of RFC 5424 a line (the framing of RFC 6587, 3.4.2: LF behind each message).
//
// TIMESTAMP is in UTC with six digits of the second; HOSTNAME the sender's, APP-NAME the writer's comm or else the last
// name of the path, PROCID its pid, MSGID the rule; "-" where nothing is known. Bytes that these may not hold become
// "_", and they are cut at the RFC's lengths. STRUCTURED-DATA is one element, ftfuse@32473 (the number that RFC 5612
// sets aside for examples), with what is known of mount, path, rule, tid, uid, gid, comm, exe, unit, container, sender,
// epoch, seq, handle, clock and below="true", and of each record offset, continues="true" and continued="true".
// Quotes, backslashes and closing brackets have a backslash in front; control bytes and what is not UTF-8 become #
// and three octal digits.
//
// MSG is the record without its line end, its octets as they are, but for LF inside it: that would end the message, and is #012. It
// begins with a BOM if it is UTF-8 and not ASCII, as the RFC wants; what is not UTF-8 never begins with one. A gap
// is a message of severity warning with an element gap@32473: first, last, reason, bytes, records.
type syslogFormat struct {
	clock *Clock // nine digits, of which six stay
	who   who
	head  []byte // what stands between the time and STRUCTURED-DATA
	attrs []byte // the parameters of who wrote what where
	rest  []byte // head, attrs and what else all records of the chunk share
}

func newSyslog() *syslogFormat { return &syslogFormat{clock: newClock(time.UTC, "%FT%T.", "")} }

func (s *syslogFormat) Gaps() bool { return true }

func (s *syslogFormat) Overhead(c *record.Chunk) int {
	s.attributes(c)
	return 130 + len(s.head) + len(s.attrs)
}

func (s *syslogFormat) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	if s.attributes(c); c.Gap != nil {
		return s.gap(dst, c)
	}
	s.prepare(c)
	EachRecord(c, func(rec []byte, off int, at int64) {
		dst = s.time(append(spill(dst), infoHead...), at)
		dst = append(dst, s.rest...)
		dst = strconv.AppendUint(dst, c.Offset+uint64(off), 10)
		dst = append(dst, '"')
		e := endingOf(c, rec, off)
		if e.continues {
			dst = append(dst, ` continues="true"`...)
		}
		if e.continued {
			dst = append(dst, ` continued="true"`...)
		}
		dst = append(dst, "] "...)
		dst = append(appendMessage(dst, cutAny(c, rec)), '\n')
	})
	return dst
}

func (s *syslogFormat) time(dst []byte, at int64) []byte {
	dst = s.clock.Append(dst, at)
	return append(dst[:len(dst)-3], 'Z')
}

// appendMessage appends a record as MSG.
func appendMessage(dst, text []byte) []byte {
	if !ascii(text) {
		for bytes.HasPrefix(text, []byte(bom)) {
			text = text[len(bom):]
		}
		if utf8.Valid(text) {
			dst = append(dst, bom...)
		}
	}
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:i]...), "#012"...)
		text = text[i+1:]
	}
}

// prepare renders what is the same for all records of c.
func (s *syslogFormat) prepare(c *record.Chunk) {
	r := append(append(s.rest[:0], s.head...), " [ftfuse@32473"...)
	r = append(r, s.attrs...)
	r = s.number(r, "seq", c.Seq)
	r = s.number(r, "handle", c.Handle)
	r = s.text(r, "clock", c.Clock.String())
	if c.Flags&record.Below != 0 {
		r = append(r, ` below="true"`...)
	}
	s.rest = append(r, ` offset="`...)
}

func (s *syslogFormat) gap(dst []byte, c *record.Chunk) []byte {
	dst = s.time(append(dst, warningHead...), c.Time)
	dst = append(append(dst, s.head...), " [ftfuse@32473"...)
	dst = append(append(dst, s.attrs...), "][gap@32473"...)
	dst = s.number(dst, "first", c.Gap.First)
	dst = s.number(dst, "last", c.Seq)
	dst = s.text(dst, "reason", c.Gap.Reason.String())
	dst = s.number(dst, "bytes", c.Gap.Bytes)
	dst = s.number(dst, "records", c.Gap.Records)
	if c.Gap.Bytes == 0 { // not known
		return fmt.Appendf(dst, "] data will not come: %s\n", c.Gap.Reason)
	}
	return fmt.Appendf(dst, "] %d bytes will not come: %s\n", c.Gap.Bytes, c.Gap.Reason)
}

func (s *syslogFormat) attributes(c *record.Chunk) {
	if s.who.same(c) {
		return
	}
	f, w := FileOf(c), WriterOf(c)
	app, proc := w.Comm, ""
	if app == "" {
		app = LastName(f.Path)
	}
	known := w.Kind != record.Unknown
	if known && w.PID != 0 {
		proc = strconv.FormatUint(uint64(w.PID), 10)
	}
	h := append(s.head[:0], ' ')
	h = append(appendName(h, c.Source.Host, maxHost), ' ')
	h = append(appendName(h, app, maxApp), ' ')
	h = append(appendName(h, proc, maxProc), ' ')
	s.head = appendName(h, f.Rule, maxMsgID)

	a := some(s, s.attrs[:0], "mount", f.Mount)
	a = some(s, a, "path", f.Path)
	a = some(s, a, "rule", f.Rule)
	if known {
		a = s.number(a, "tid", uint64(w.TID))
		a = s.number(a, "uid", uint64(w.UID))
		a = s.number(a, "gid", uint64(w.GID))
	}
	a = some(s, a, "comm", w.Comm)
	a = some(s, a, "exe", w.Exe)
	a = some(s, a, "unit", w.Unit)
	a = some(s, a, "container", w.Container)
	a = s.text(a, "sender", s.who.sender)
	s.attrs = s.number(a, "epoch", c.Source.Epoch)
}

// appendName appends a field of the header: PRINTUSASCII, bounded, never empty.
func appendName(dst []byte, v string, most int) []byte {
	if v == "" {
		return append(dst, '-')
	}
	for i := range min(len(v), most) {
		c := v[i]
		if c <= ' ' || c > '~' {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

func (s *syslogFormat) number(dst []byte, key string, v uint64) []byte {
	dst = append(append(append(dst, ' '), key...), `="`...)
	return append(strconv.AppendUint(dst, v, 10), '"')
}

func (s *syslogFormat) text(dst []byte, key, v string) []byte {
	dst = append(append(append(dst, ' '), key...), `="`...)
	for len(v) > 0 {
		r, n := utf8.DecodeRuneInString(v)
		switch c := v[0]; {
		case c == '"' || c == '\\' || c == ']':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f || r == utf8.RuneError && n == 1:
			dst = append(dst, '#', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			dst = append(dst, v[:n]...)
		}
		v = v[n:]
	}
	return append(dst, '"')
}
