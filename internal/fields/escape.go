package fields

import (
	"unicode/utf16"
	"unicode/utf8"
)

// plain maps the letter of a two-byte escape to the byte it stands for.
var plain = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape reads the escape at the beginning of b, whose first byte is \, into piece: n bytes, for used bytes of b.
// What is no escape of JSON stands for itself; a surrogate without its other half becomes U+FFFD, as in encoding/json.
func unescape(b []byte, piece *[8]byte) (n, used int) {
	if len(b) < 2 {
		piece[0] = '\\'
		return 1, 1
	}
	if c := plain[b[1]]; c != 0 {
		piece[0] = c
		return 1, 2
	}
	r, ok := unit(b)
	if !ok {
		piece[0] = '\\'
		return 1, 1
	}
	used = 6
	if utf16.IsSurrogate(r) {
		second, ok := unit(b[6:])
		if r = utf16.DecodeRune(r, second); ok && r != utf8.RuneError {
			used = 12
		} else {
			r = utf8.RuneError
		}
	}
	return utf8.EncodeRune(piece[:], r), used
}

// unit reads one \uXXXX.
func unit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
