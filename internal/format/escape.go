package format

import (
	"math/bits"
	"unicode/utf8"
)

// Text is looked at eight bytes at a time: most has nothing to escape. A word holds the first byte lowest. The masks
// that these functions return have the high bit of a byte set where it is one of those looked for; above the lowest such
// byte they may also name others, so only the lowest counts.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func word[T string | []byte](v T, i int) uint64 {
	_ = v[i+7]
	return uint64(v[i]) | uint64(v[i+1])<<8 | uint64(v[i+2])<<16 | uint64(v[i+3])<<24 |
		uint64(v[i+4])<<32 | uint64(v[i+5])<<40 | uint64(v[i+6])<<48 | uint64(v[i+7])<<56
}

// special looks for control bytes, the quote and the backslash.
func special(x uint64) uint64 {
	q, b := x^ones*'"', x^ones*'\\'
	return ((x-ones*0x20)&^x | (q-ones)&^q | (b-ones)&^b) & highs
}

// plain returns the length of the run at the beginning of v of ASCII that needs no escape in a JSON string.
func plain[T string | []byte](v T) int {
	i := 0
	for ; i+8 <= len(v); i += 8 {
		x := word(v, i)
		if m := special(x) | x&highs; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(v) && v[i] < utf8.RuneSelf && !escaped[v[i]]; i++ {
	}
	return i
}

// ascii reports whether no byte of v has its high bit set.
func ascii(v []byte) bool {
	i := 0
	for ; i+8 <= len(v); i += 8 {
		if word(v, i)&highs != 0 {
			return false
		}
	}
	for ; i < len(v); i++ {
		if v[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func valid[T string | []byte](v T) bool {
	switch v := any(v).(type) {
	case string:
		return utf8.ValidString(v)
	case []byte:
		return utf8.Valid(v)
	}
	return false
}

// appendEscaped appends v, which is UTF-8, as the inside of a JSON string. Words without an escape are copied as runs,
// others byte by byte: where there is one quote there are more.
func appendEscaped[T string | []byte](dst []byte, v T) []byte {
	for start, i := 0, 0; ; start = i {
		for i+8 <= len(v) && special(word(v, i)) == 0 {
			i += 8
		}
		dst = append(dst, v[start:i]...)
		if i == len(v) {
			return dst
		}
		for end := min(i+8, len(v)); i < end; i++ {
			if c := v[i]; escaped[c] {
				dst = appendEscape(dst, c)
			} else {
				dst = append(dst, c)
			}
		}
	}
}

func appendEscape(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}

// escaped are the bytes that JSON does not take as they are.
var escaped = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()
