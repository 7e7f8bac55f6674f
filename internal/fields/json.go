package fields

import "bytes"

// inObject looks for name among the members of the object whose { is at open. It calls itself only for names with a
// dot, so no deeper than the name has dots.
func inObject(line []byte, open int, name string) (Value, bool) {
	i := skipSpace(line, open+1)
	for i < len(line) && line[i] == '"' {
		key, end, ok := quoted(line, i)
		if !ok {
			return Value{}, false
		}
		i = skipSpace(line, end)
		if i >= len(line) || line[i] != ':' {
			return Value{}, false
		}
		start := skipSpace(line, i+1)
		end = skipValue(line, start)
		if end < 0 {
			return Value{}, false
		}
		if key.Is(name) {
			return member(line, start, end), true
		}
		if rest, ok := key.parentOf(name); ok && line[start] == '{' {
			if v, ok := inObject(line[:end], start, rest); ok {
				return v, true
			}
		}
		if i = skipSpace(line, end); i >= len(line) || line[i] != ',' {
			return Value{}, false
		}
		i = skipSpace(line, i+1)
	}
	return Value{}, false
}

// parentOf returns what is left of name behind "key.".
func (v Value) parentOf(name string) (string, bool) {
	for i := range len(name) {
		if name[i] == '.' && v.Is(name[:i]) {
			return name[i+1:], true
		}
	}
	return "", false
}

// member is the value in line[start:end], which skipValue has measured.
func member(line []byte, start, end int) Value {
	if line[start] != '"' {
		return Value{raw: line[start:end:end]}
	}
	v, _, _ := quoted(line, start)
	return v
}

// quoted reads the string whose " is at open; end is behind its closing ".
func quoted(line []byte, open int) (v Value, end int, ok bool) {
	start := open + 1
	for i := start; ; {
		at := bytes.IndexByte(line[i:], '"')
		if at < 0 {
			return Value{}, len(line), false
		}
		i += at
		// An odd number of \ before it makes it part of the text.
		n := 0
		for i-n > start && line[i-n-1] == '\\' {
			n++
		}
		if n%2 == 0 {
			raw := line[start:i:i]
			return Value{raw: raw, escaped: bytes.IndexByte(raw, '\\') >= 0}, i + 1, true
		}
		i++
	}
}

// skipValue returns where the value that begins at start ends, -1 when it has no end. It counts brackets without
// asking which kind closes which, and takes no stack for however deep a value is.
func skipValue(line []byte, start int) int {
	if start >= len(line) {
		return -1
	}
	switch line[start] {
	case '"':
		if _, end, ok := quoted(line, start); ok {
			return end
		}
		return -1
	case '{', '[':
		return skipNested(line, start)
	}
	i := start
	for i < len(line) && !delimits[line[i]] {
		i++
	}
	if i == start || i == len(line) {
		return -1 // nothing, or cut off: its text may go on
	}
	return i
}

func skipNested(line []byte, start int) int {
	depth := 0
	for i := start; i < len(line); {
		switch line[i] {
		case '"':
			_, end, ok := quoted(line, i)
			if !ok {
				return -1
			}
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// delimits are the bytes that end a number or a word such as true.
var delimits = [256]bool{' ': true, '\t': true, '\n': true, '\r': true, ',': true, '}': true, ']': true, ':': true, '"': true, '{': true, '[': true}
