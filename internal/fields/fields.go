// Package fields finds the value of one named field in a line of JSON or of key=value text without decoding the rest.
//
// A line whose first byte that is not white space is { is read as one JSON object, every other line as words of the form
// key=value or key="value" (logfmt) between blanks. Words without = are text, not fields. The first field of a name wins.
//
// A dot in a name means nesting: "user.id" is the member "id" of the object "user". It may also be part of a key: at each
// level a key that is all that is left of the name counts as well, so "user.id" is found in {"user.id":1} too.
// Arrays are not searched.
//
// Lines may hold any bytes. What is damaged is read up to the damage: a field before it is found, one behind it is not.
package fields

import (
	"bytes"
	"strings"
)

// Value is a field's value as it stands in the line. It lies in the line, and is true as long as the line is.
type Value struct {
	raw     []byte // without quotes
	escaped bool   // raw has escapes to take out
}

// Find returns the value of the field of that name: a string without its quotes and with its escapes taken out, another
// JSON value (number, true, null, object, array) as its text. The value lies in line unless it had escapes: only then
// is it a copy of its own. An empty value that is there is not nil.
func Find(line []byte, name string) (value []byte, ok bool) {
	v, ok := Lookup(line, name)
	if !ok {
		return nil, false
	}
	if !v.escaped {
		return v.raw, true
	}
	return v.Append(make([]byte, 0, len(v.raw))), true
}

// Lookup is Find without the copy: it never allocates.
func Lookup(line []byte, name string) (Value, bool) {
	// Most lines do not have the field. Its key's last part must stand somewhere, unless it is written with escapes.
	if !mentions(line, name) {
		return Value{}, false
	}
	if at := skipSpace(line, 0); at < len(line) && line[at] == '{' {
		return inObject(line, at, name)
	}
	return inWords(line, name)
}

// mentions reports whether the line can have the field at all. It looks for as much of the last part as needs no heap.
func mentions(line []byte, name string) bool {
	var part [64]byte
	n := copy(part[:], name[strings.LastIndexByte(name, '.')+1:])
	return bytes.Contains(line, part[:n]) || bytes.IndexByte(line, '\\') >= 0
}

// Is reports whether the value is s.
func (v Value) Is(s string) bool {
	if !v.escaped {
		return string(v.raw) == s
	}
	return v.compare(s)
}

// Append appends the value, escapes taken out, to dst.
func (v Value) Append(dst []byte) []byte {
	if !v.escaped {
		return append(dst, v.raw...)
	}
	for i := 0; i < len(v.raw); {
		if v.raw[i] != '\\' {
			next := bytes.IndexByte(v.raw[i:], '\\')
			if next < 0 {
				next = len(v.raw) - i
			}
			dst = append(dst, v.raw[i:i+next]...)
			i += next
			continue
		}
		var piece [8]byte
		n, used := unescape(v.raw[i:], &piece)
		dst = append(dst, piece[:n]...)
		i += used
	}
	return dst
}

// compare walks an escaped value beside s.
func (v Value) compare(s string) bool {
	for i := 0; i < len(v.raw); {
		piece := [8]byte{v.raw[i]}
		n, used := 1, 1
		if v.raw[i] == '\\' {
			n, used = unescape(v.raw[i:], &piece)
		}
		if len(s) < n || string(piece[:n]) != s[:n] {
			return false
		}
		s, i = s[n:], i+used
	}
	return s == ""
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}
