package k2hft

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
)

const (
	maxText     = 4 << 20 // bytes of one file
	maxIncludes = 32      // files that INCLUDE brings in, in all
)

// iniReader gathers the lines of a file and of those that it includes.
type iniReader struct {
	config *Config
	open   func(path string) ([]byte, error) // nil: INCLUDE is an error
	seen   map[string]bool
}

func readINI(name string, text []byte, open func(string) ([]byte, error)) (*Config, error) {
	r := &iniReader{config: &Config{File: name}, open: open, seen: map[string]bool{filepath.Clean(name): true}}
	if err := r.read(name, text); err != nil {
		return nil, err
	}
	return r.config, nil
}

func (r *iniReader) read(name string, text []byte) error {
	if len(text) > maxText {
		return fmt.Errorf("%s: got more than %d bytes, want a configuration file", name, maxText)
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return fmt.Errorf("%s:%d: got a NUL byte, want text", name, 1+bytes.Count(text[:i], []byte{'\n'}))
	}
	for i, line := range strings.Split(string(text), "\n") {
		at := Place{File: name, Line: i + 1, Included: name != r.config.File}
		line = trim(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && line[len(line)-1] == ']':
			section := strings.ToUpper(trim(line[1 : len(line)-1]))
			r.config.Sections = append(r.config.Sections, Section{Name: section, Place: at})
		default:
			if file, ok := includes(line); ok {
				if err := r.include(at, file); err != nil {
					return err
				}
				continue
			}
			e, err := parseEntry(line, at)
			if err != nil {
				return err
			}
			r.add(e)
		}
	}
	return nil
}

func (r *iniReader) add(e Entry) {
	if n := len(r.config.Sections); n > 0 {
		r.config.Sections[n-1].Entries = append(r.config.Sections[n-1].Entries, e)
		return
	}
	r.config.Stray = append(r.config.Stray, e)
}

// includes reports whether a line is INCLUDE, with or without =, and which file it names.
func includes(line string) (string, bool) {
	const word = "INCLUDE"
	if len(line) <= len(word) || !strings.EqualFold(line[:len(word)], word) {
		return "", false
	}
	rest := line[len(word):]
	if !isSpace(rest[0]) && rest[0] != '=' {
		return "", false
	}
	file, _, err := extract(strings.TrimPrefix(trim(rest), "="))
	return file, err == nil && file != ""
}

// include reads a file in place. Relative names are relative to the file that includes.
func (r *iniReader) include(at Place, file string) error {
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(at.File), file)
	}
	if r.open == nil {
		return fmt.Errorf("%s: INCLUDE %s: want a configuration in one piece", at, file)
	}
	if r.seen[filepath.Clean(file)] {
		return fmt.Errorf("%s: INCLUDE %s: the file is read already", at, file)
	}
	if len(r.config.Included) == maxIncludes {
		return fmt.Errorf("%s: INCLUDE %s: more than %d files", at, file, maxIncludes)
	}
	r.seen[filepath.Clean(file)] = true
	text, err := r.open(file)
	if err != nil {
		return fmt.Errorf("%s: INCLUDE: %w", at, err)
	}
	r.config.Included = append(r.config.Included, file)
	return r.read(file, bytes.TrimPrefix(text, bom))
}

// parseEntry reads KEY = VALUE. A line without = is a key with an empty value, as in the original.
func parseEntry(line string, at Place) (Entry, error) {
	key, value, _ := strings.Cut(line, "=")
	key, _, err := extract(key)
	if err != nil {
		return Entry{}, fmt.Errorf("%s: key %q: %w", at, line, err)
	}
	e := Entry{Key: strings.ToUpper(key), Place: at}
	if e.Text, e.Lost, err = extract(value); err != nil {
		return Entry{}, fmt.Errorf("%s: %s: %w", at, e.Key, err)
	}
	e.Raw = trim(value[:commentAt(value)])
	if e.Key == "ALLOW" || e.Key == "DENY" {
		e.Parts = iniParts(e)
	}
	return e, nil
}

// scan walks over a value and calls f with each byte, the quote that it stands in (0, ' or "), and whether it is
// escaped. f returns false to end it. scan returns the quote that is still open, and whether an escape is.
func scan(s string, f func(i int, c, quote byte, escaped bool) bool) (quote byte, escaped bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !f(i, c, quote, escaped) {
			return 0, false
		}
		switch {
		case escaped:
			escaped = false
		case c == '\\' && quote != '\'':
			escaped = true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		}
	}
	return quote, escaped
}

// commentAt is where the comment of a value begins, or its length.
func commentAt(s string) int {
	end := len(s)
	scan(s, func(i int, c, quote byte, escaped bool) bool {
		if c == '#' && quote == 0 && !escaped && i > 0 && isSpace(s[i-1]) {
			end = i
			return false
		}
		return true
	})
	return end
}

// extract takes quotes, escapes and a comment off a value. lost says that a backslash outside of quotes went.
func extract(s string) (text string, lost bool, err error) {
	s = trim(s[:commentAt(s)])
	var b strings.Builder
	quote, escaped := scan(s, func(_ int, c, quote byte, escaped bool) bool {
		switch {
		case quote == '"' && escaped && c != '"' && c != '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case quote == 0 && escaped:
			lost = lost || c != '"' && c != '\'' && c != '\\'
			b.WriteByte(c)
		case escaped, quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			b.WriteByte(c)
		case quote == 0 && c != '"' && c != '\'' && c != '\\':
			b.WriteByte(c)
		}
		return true
	})
	if quote != 0 || escaped {
		return "", false, fmt.Errorf("got %q, want every quote closed and a character after each \\", s)
	}
	return trim(b.String()), lost, nil
}

// iniParts splits an ALLOW or DENY into pattern and replacement, at commas outside of quotes, when it begins with a
// quote; else all of it is one text.
func iniParts(e Entry) []Part {
	if e.Raw == "" || e.Raw[0] != '"' && e.Raw[0] != '\'' {
		return []Part{{Text: e.Text}}
	}
	var cuts []int
	scan(e.Raw, func(i int, c, quote byte, escaped bool) bool {
		if c == ',' && quote == 0 && !escaped {
			cuts = append(cuts, i)
		}
		return true
	})
	var parts []Part
	start := 0
	for _, end := range append(cuts, len(e.Raw)) {
		parts = append(parts, iniPart(trim(e.Raw[start:end])))
		start = end + 1
	}
	return parts
}

// iniPart takes one pair of quotes off, and a second one within it. What stands between is kept as it is, since
// patterns and replacements have escapes of their own.
func iniPart(s string) Part {
	in, ok := within(s, '\'')
	if ok {
		if text, twice := within(in, '"'); twice {
			return Part{Text: text, Quoted: true, Inner: true}
		}
		return Part{Text: in}
	}
	if in, ok = within(s, '"'); ok {
		if text, twice := within(strings.ReplaceAll(in, `\"`, `"`), '"'); twice && strings.HasPrefix(in, `\"`) {
			return Part{Text: text, Quoted: true, Inner: true}
		}
		return Part{Text: in, Quoted: true}
	}
	text, _, err := extract(s)
	if err != nil {
		text = s
	}
	return Part{Text: text}
}

// within returns what stands between two quotes at the ends of s.
func within(s string, quote byte) (string, bool) {
	if len(s) < 2 || s[0] != quote || s[len(s)-1] != quote {
		return s, false
	}
	return s[1 : len(s)-1], true
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func trim(s string) string { return strings.Trim(s, " \t\n\v\f\r") }
