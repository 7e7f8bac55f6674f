package k2hft

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// template translates a FORMAT into ours: unknown letters become the text that the original prints for them, braces
// are doubled, and escapes are written so that a template reads the same. unknown lists those letters; cut says that \0
// or a backslash ends it early.
func template(s string) (out string, unknown []string, cut bool) {
	s = unquoteFormat(s)
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '%' && i+1 == len(s):
			i++ // dropped, as in the original
		case c == '%' && strings.IndexByte("LlFfHhPpTt%", s[i+1]) >= 0:
			b.WriteString(s[i : i+2])
			i += 2
		case c == '%':
			_, n := utf8.DecodeRuneInString(s[i+1:])
			if letter := s[i : i+1+n]; !slices.Contains(unknown, letter) {
				unknown = append(unknown, letter)
			}
			i++
			b.WriteString(text(s[i : i+n]))
			i += n
		case c == '\\':
			value, n, end := escapeFormat(s[i+1:])
			if end {
				return b.String(), unknown, true
			}
			b.WriteString(text(value))
			i += 1 + n
		default:
			_, n := utf8.DecodeRuneInString(s[i:])
			b.WriteString(text(s[i : i+n]))
			i += n
		}
	}
	return b.String(), unknown, false
}

// unquoteFormat takes off a double quote in front and what follows the last one.
func unquoteFormat(s string) string {
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	s = s[1:]
	if i := strings.LastIndexByte(s, '"'); i >= 0 {
		s = s[:i]
	}
	return s
}

// text writes a character of a FORMAT as our templates have it.
func text(s string) string {
	switch s {
	case "%":
		return "%%"
	case "{":
		return "{{"
	case `\`:
		return `\\`
	case "\n":
		return `\n`
	case "\t":
		return `\t`
	case "\r":
		return `\r`
	}
	if len(s) == 1 && (s[0] < ' ' || s[0] >= 0x7f) {
		return fmt.Sprintf(`\x%02X`, s[0])
	}
	return s
}

// escapeFormat reads what follows a backslash: its value, how long it is, and whether the format ends here. What the
// original does not know prints nothing.
func escapeFormat(s string) (value string, n int, end bool) {
	if s == "" || s[0] == '0' {
		return "", 0, true
	}
	if i := strings.IndexByte(`\"'?abfnrt`, s[0]); i >= 0 {
		return "\\\"'?\a\b\f\n\r\t"[i : i+1], 1, false
	}
	switch {
	case '1' <= s[0] && s[0] <= '8':
		return string([]byte{s[0] - '0'}), 1, false
	case s[0] != 'x':
		return "", 1, false
	case len(s) == 1:
		return "", 0, true
	}
	v := 0
	for n = 1; n < len(s) && n < 3 && hex(s[n]) >= 0; n++ {
		v = v*16 + hex(s[n])
	}
	if n == 1 {
		return "", 2, false
	}
	return string([]byte{byte(v)}), n, false
}

// hex returns the value of a hexadecimal digit, or -1.
func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
