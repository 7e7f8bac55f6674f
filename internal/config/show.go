package config

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Show writes the merged configuration as YAML that can be loaded again, with the origin of each value as a comment if
// that is wanted.
func (r *Report) Show(w io.Writer, origins bool) error {
	if r.resolved == nil {
		return fmt.Errorf("show configuration: %w", ErrInvalid)
	}
	s := shower{origins: r.stack.origins}
	s.section(reflect.ValueOf(r.resolved).Elem(), "", "")
	var out bytes.Buffer
	for _, line := range s.lines {
		if line.origin == "" || !origins {
			fmt.Fprintln(&out, line.text)
			continue
		}
		fmt.Fprintf(&out, "%-*s  # %s\n", min(s.width, 48), line.text, line.origin)
	}
	_, err := w.Write(out.Bytes())
	return err
}

type shower struct {
	origins map[string]Origin
	lines   []struct{ text, origin string }
	width   int // of the longest text with an origin, in bytes
}

func (s *shower) line(text, path string) {
	origin := ""
	if path != "" {
		origin = s.origins[path].String()
		s.width = max(s.width, len(text))
	}
	s.lines = append(s.lines, struct{ text, origin string }{text, origin})
}

// section prints the fields of v. first is the indentation of the first line, which may hold a list's dash.
func (s *shower) section(v reflect.Value, path, first string) {
	indent := strings.Repeat(" ", len(first))
	for i := range v.NumField() {
		f, field := v.Field(i), v.Type().Field(i)
		key := keyOf(field)
		at := join(path, key)
		lead := indent + key + ":"
		if i == 0 {
			lead = first + key + ":"
		}
		switch {
		case f.Kind() == reflect.Struct:
			s.line(lead, "")
			s.section(f, at, indent+"  ")
		case isSections(f.Type()) && f.Len() > 0:
			s.line(lead, "")
			for j := range f.Len() {
				s.section(f.Index(j), elementPath(at, j, f.Index(j)), indent+"  - ")
			}
		case f.Kind() == reflect.Slice && f.Len() > 1:
			s.line(lead, at)
			for j := range f.Len() {
				s.line(indent+"  - "+show(f.Index(j)), "")
			}
		default:
			s.line(lead+" "+show(f), at)
		}
	}
}

// show returns a scalar, or a list of at most one, as YAML.
func show(v reflect.Value) string {
	if v.Kind() == reflect.Slice {
		if v.Len() == 0 {
			return "[]"
		}
		return "[" + show(v.Index(0)) + "]"
	}
	switch value := v.Interface().(type) {
	case string:
		return quoteYAML(value)
	case time.Duration:
		return FormatDuration(value)
	case fmt.Stringer:
		return value.String()
	default:
		return fmt.Sprint(value)
	}
}

// quoteYAML returns s as one line of YAML, in quotes where it needs them or holds a comma or bracket.
func quoteYAML(s string) string {
	if !utf8.ValidString(s) {
		return "!!binary " + base64.StdEncoding.EncodeToString([]byte(s))
	}
	if !strings.ContainsAny(s, ",[]{}\n") {
		if b, err := yaml.Marshal(s); err == nil && bytes.Count(b, []byte("\n")) == 1 {
			return strings.TrimSuffix(string(b), "\n")
		}
	}
	node := yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: s}
	b, err := yaml.Marshal(&node)
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSuffix(string(b), "\n")
}
