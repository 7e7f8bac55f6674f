package fields

// inWords looks for name among the key=value words of a line. A dot in the name has no meaning of its own here.
func inWords(line []byte, name string) (Value, bool) {
	w := words{line: line}
	for i := 0; i < len(line); {
		if blank[line[i]] {
			i++
			continue
		}
		key := i
		for i < len(line) && !blank[line[i]] && line[i] != '=' && line[i] != '"' {
			i++
		}
		if i == len(line) || i == key || line[i] != '=' {
			i = w.skip(i)
			continue
		}
		found := string(line[key:i]) == name
		v, end := w.value(i + 1)
		if found {
			return v, true
		}
		i = end
	}
	return Value{}, false
}

// words reads a line from left to right. When one quote is never closed, no later one is: asking again for each of them
// would take time by the square of the line's length.
type words struct {
	line []byte
	open bool // a quote that is never closed has been seen
}

func (w *words) quoted(i int) (v Value, end int, ok bool) {
	if w.open {
		return Value{}, 0, false
	}
	v, end, ok = quoted(w.line, i)
	w.open = !ok
	return v, end, ok
}

// skip goes to the end of a word that is no field; a quoted part of it may hold blanks, and is no field either.
func (w *words) skip(i int) int {
	for i < len(w.line) && !blank[w.line[i]] {
		if w.line[i] == '"' {
			if _, end, ok := w.quoted(i); ok {
				i = end
				continue
			}
		}
		i++
	}
	return i
}

// value reads the value that begins at start; end is where the next word may begin. A quote that is never closed is
// part of a plain value.
func (w *words) value(start int) (v Value, end int) {
	if start < len(w.line) && w.line[start] == '"' {
		if v, end, ok := w.quoted(start); ok {
			return v, w.skip(end)
		}
	}
	end = start
	for end < len(w.line) && !blank[w.line[end]] {
		end++
	}
	return Value{raw: w.line[start:end:end]}, end
}

var blank = [256]bool{' ': true, '\t': true, '\n': true, '\r': true}
