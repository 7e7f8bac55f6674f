package output

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ftfuse/internal/record"
)

// lineTemplate renders records as K2HFTFUSE's FORMAT does.
type lineTemplate struct {
	parts []linePart
	clock *clock // nil: %T prints nothing
}

// linePart is a letter of the format, or 0 and a text.
type linePart struct {
	letter byte
	text   []byte
}

// parseTemplate reads a FORMAT. It returns nil for one that only copies the data: that is raw. Letters: L data, l data
// without white space at both ends, H h host, P p thread id, F path, f its last name, T t time, %. The original
// prints an unknown letter as itself; here it is an error, as a later version may give it a meaning.
func parseTemplate(form, timeForm string, loc *time.Location) (*lineTemplate, error) {
	if form == "" {
		form = "%L"
	}
	t := &lineTemplate{}
	form = unquote(form)
	for i := 0; i < len(form); i++ {
		switch c := form[i]; {
		case c == '%' && i+1 == len(form): // dropped, as in the original
		case c == '%':
			i++
			if err := t.letter(form[i]); err != nil {
				return nil, fmt.Errorf("template %q: %w", form, err)
			}
		case c == '\\':
			n, end := t.escape(form[i+1:])
			if end {
				i = len(form)
			}
			i += n
		default:
			t.literal(c)
		}
	}
	if timeForm = unquote(timeForm); timeForm != "" {
		var err error
		if t.clock, err = parseClock(timeForm, loc, true); err != nil {
			return nil, err
		}
	}
	if len(t.parts) == 1 && t.parts[0].letter == 'L' {
		return nil, nil
	}
	return t, nil
}

// unquote takes off a double quote in front and what follows the last one.
func unquote(s string) string {
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	s = s[1:]
	if i := strings.LastIndexByte(s, '"'); i >= 0 {
		s = s[:i]
	}
	return s
}

func (t *lineTemplate) literal(c byte) {
	if n := len(t.parts); n > 0 && t.parts[n-1].letter == 0 {
		t.parts[n-1].text = append(t.parts[n-1].text, c)
		return
	}
	t.parts = append(t.parts, linePart{text: []byte{c}})
}

func (t *lineTemplate) letter(c byte) error {
	switch c {
	case '%':
		t.literal(c)
	case 'L', 'l', 'F', 'f':
		t.parts = append(t.parts, linePart{letter: c})
	case 'H', 'h', 'P', 'p', 'T', 't':
		t.parts = append(t.parts, linePart{letter: c &^ 0x20})
	default:
		return fmt.Errorf("%%%c is not known: want one of %%L %%l %%H %%P %%F %%f %%T %%%%", c)
	}
	return nil
}

var escapes = map[byte]byte{'\\': '\\', '"': '"', '\'': '\'', '?': '?', 'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape takes what follows a backslash; it returns the bytes used and whether the format ends here. As in the
// original, an unknown escape prints nothing, \0 and a backslash at the end end the format.
func (t *lineTemplate) escape(s string) (int, bool) {
	if s == "" || s[0] == '0' {
		return 0, true
	}
	if c, ok := escapes[s[0]]; ok {
		t.literal(c)
		return 1, false
	}
	switch {
	case '1' <= s[0] && s[0] <= '8':
		t.literal(s[0] - '0')
	case s[0] == 'x' && len(s) == 1:
		return 0, true
	case s[0] == 'x' && !isHex(s[1]):
		return 2, false
	case s[0] == 'x':
		n := 2
		if len(s) > 2 && isHex(s[2]) {
			n = 3
		}
		v, _ := strconv.ParseUint(s[1:n], 16, 8)
		t.literal(byte(v))
		return n, false
	}
	return 1, false
}

func (t *lineTemplate) gaps() bool { return false }

func (t *lineTemplate) overhead(c *record.Chunk) int {
	var b []byte
	for i := range t.parts {
		b = t.part(b, &t.parts[i], c, nil, c.Time)
	}
	return len(b)
}

func (t *lineTemplate) append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	eachRecord(c, func(rec []byte, _ int, at int64) {
		dst = spill(dst)
		for i := range t.parts {
			dst = t.part(dst, &t.parts[i], c, rec, at)
		}
	})
	return dst
}

func (t *lineTemplate) part(dst []byte, p *linePart, c *record.Chunk, rec []byte, at int64) []byte {
	switch p.letter {
	case 0:
		return append(dst, p.text...)
	case 'L':
		return append(dst, rec...)
	case 'l':
		return append(dst, bytes.Trim(rec, " \t\n\v\f\r")...)
	case 'H':
		return append(dst, c.Source.Host...)
	case 'P':
		return strconv.AppendUint(dst, uint64(writerOf(c).TID), 10)
	case 'F':
		return append(dst, fileOf(c).Path...)
	case 'f':
		return append(dst, lastName(fileOf(c).Path)...)
	}
	if t.clock == nil {
		return dst
	}
	return t.clock.append(dst, at)
}
