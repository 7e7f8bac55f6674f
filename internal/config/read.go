package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The bounds of one configuration text. Thousands of rules fit.
const (
	maxText   = 4 << 20 // bytes
	maxValues = 1 << 20 // values that it gives, defaults of its sections included
)

// layer is one source: the values that it gives, of their final types, and where it gives them.
// Lists of named elements stay lists; keys in origins write them as rules[NAME].
type layer struct {
	values  map[string]any
	origins map[string]Origin
	unnamed []string // paths of the lists of sections without names that it gives
}

// reader turns one YAML text into a layer. It goes on after a mistake, so that all are found.
type reader struct {
	source   string
	root     reflect.Type
	origins  map[string]Origin
	unnamed  []string
	problems Problems
	values   int // given so far
}

// readYAML reads text against the type of a configuration.
func readYAML(source string, text []byte, t reflect.Type) (layer, Problems) {
	r := &reader{source: source, root: t, origins: map[string]Origin{}}
	l := layer{values: map[string]any{}, origins: r.origins}
	if len(text) > maxText {
		r.complain(0, "", fmt.Sprintf("got %d bytes, want at most %s", len(text), Size(maxText)), "")
		return l, r.problems
	}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			r.syntax(err)
		}
		return l, r.problems
	}
	l.values = r.section(doc.Content[0], t, "")
	l.unnamed = r.unnamed
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		r.complain(second.Line, "", "got a second document after ---, want one", "use a drop-in file for the second one")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
	}
	return l, r.problems
}

// readValue reads the text of one environment variable for a list of sections, as YAML or JSON in one line. A failure
// names the variable only.
func readValue(text string, root reflect.Type, t envTarget, origin Origin) (layer, Problems) {
	r := &reader{root: root, origins: map[string]Origin{}}
	l := layer{values: map[string]any{}, origins: r.origins}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		r.syntax(err)
	} else if len(doc.Content) > 0 {
		r.origins[t.path] = Origin{}
		l.values = nest(root, t.keys, r.sections(doc.Content[0], t.field.Type, t.path))
	}
	l.unnamed = r.unnamed
	for path := range r.origins {
		r.origins[path] = origin
	}
	for i := range r.problems {
		r.problems[i].Origin = origin
	}
	return l, r.problems
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax records an error of the YAML parser.
func (r *reader) syntax(err error) {
	text := err.Error()
	line := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	hint := ""
	switch {
	case strings.Contains(text, "cannot start any token"):
		hint = "indent with spaces, and put values that begin with a special character in quotes"
	case strings.Contains(text, "unknown anchor"), strings.Contains(text, "did not find expected alphabetic"):
		hint = `put patterns that begin with * in quotes, as in "*.log"`
	}
	r.complain(line, "", "not YAML: "+text, hint)
}

func (r *reader) complain(line int, key, text, hint string) {
	r.problems = append(r.problems, Problem{Origin: Origin{File: r.source, Line: line}, Key: key, Text: text, Hint: hint})
}

// deref follows an alias. The schema has no cycles, so that aliases end; how far they multiply, full bounds.
func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// full counts n more values, and reports whether that is too many. Aliases multiply: a list of rules that all have the
// same long list of filters is short in writing.
func (r *reader) full(line, n int) bool {
	before := r.values
	r.values += n
	if before <= maxValues && r.values > maxValues {
		r.complain(line, "", fmt.Sprintf("got more than %d values, want fewer", maxValues), "count what aliases (*name) stand for each time")
	}
	return r.values > maxValues
}

// section reads a mapping whose keys are the fields of t.
func (r *reader) section(n *yaml.Node, t reflect.Type, path string) map[string]any {
	line := n.Line
	n = deref(n)
	out := map[string]any{}
	if r.full(line, t.NumField()) {
		return out
	}
	if n.Kind != yaml.MappingNode {
		if n.Kind == yaml.ScalarNode && n.Tag == "!!null" && path == "" {
			return out // a file of comments only
		}
		r.complain(line, path, "got "+describe(n)+", want a section of keys", "known keys: "+strings.Join(keysOf(t), ", "))
		return out
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := join(path, k.Value)
		f, known := fieldOf(t, k.Value)
		if !known || k.Kind != yaml.ScalarNode {
			r.unknown(k, t, path)
			continue
		}
		if first, twice := seen[k.Value]; twice {
			r.complain(k.Line, key, fmt.Sprintf("given a second time, first at line %d", first), "remove one of them")
			continue
		}
		seen[k.Value] = k.Line
		r.origins[key] = Origin{File: r.source, Line: k.Line}
		if value, ok := r.value(v, f, key); ok {
			out[k.Value] = value
		}
	}
	return out
}

// unknown complains about a key that t does not have.
func (r *reader) unknown(k *yaml.Node, t reflect.Type, path string) {
	name := k.Value
	if k.Kind != yaml.ScalarNode {
		name = "?"
	}
	hint := didYouMean(name, keysOf(t))
	if hint == "" {
		hint = elsewhere(r.root, name, path == "")
	}
	if t == reflect.TypeFor[ReceiverRule]() && name == "targets" {
		hint = "write outputs, which names outputs and targets"
	}
	if name == "<<" {
		hint = "merge keys are not supported: use a drop-in file"
	}
	if hint == "" {
		hint = "known keys here: " + strings.Join(keysOf(t), ", ")
	}
	r.complain(k.Line, join(path, name), "unknown key", hint)
}

// value reads what stands at one key. ok is false after a complaint.
func (r *reader) value(n *yaml.Node, f reflect.StructField, path string) (v any, ok bool) {
	before := len(r.problems)
	switch {
	case f.Type.Kind() == reflect.Struct:
		v = r.section(n, f.Type, path)
		return v, true // what is good of it stays
	case isSections(f.Type):
		v = r.sections(n, f.Type, path)
		return v, true
	case f.Type.Kind() == reflect.Slice:
		v = r.list(n, f, path)
	default:
		v = r.scalar(n, f, path)
	}
	return v, len(r.problems) == before
}

// scalar reads one value of f's type, or returns nil after a complaint.
func (r *reader) scalar(n *yaml.Node, f reflect.StructField, path string) any {
	target := deref(n)
	wanted := func(got, hint string) any {
		r.complain(n.Line, path, "got "+got+", want "+wants(f), hint)
		return nil
	}
	isText := f.Type.Kind() == reflect.String || f.Type.Kind() == reflect.Slice
	switch {
	case target.Kind != yaml.ScalarNode:
		return wanted(describe(target), "")
	case target.Tag == "!!null":
		hint := "remove the key to get the default"
		if isText && f.Tag.Get("form") == "" && choices(f) == nil {
			hint = `write "" for an empty text, or remove the key to get the default`
		}
		return wanted("nothing", hint)
	case isText && choices(f) == nil && target.Tag == "!!bool":
		return wanted(target.Value, fmt.Sprintf("put it in quotes: %q", target.Value))
	}
	text := target.Value
	if target.Tag == "!!binary" {
		bytes, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		switch {
		case strings.TrimSuffix(f.Tag.Get("form"), "?") != "bytes":
			return wanted("!!binary", "write it as it is, without !!binary")
		case err != nil:
			return wanted("!!binary "+quote(text), "write base64 behind !!binary, as `printf '\\377' | base64` prints it")
		}
		text = string(bytes)
	}
	v, err := parse(f, text)
	var want wantError
	if errors.As(err, &want) {
		r.complain(n.Line, path, want.Error(), want.hint)
		return nil
	}
	if err != nil {
		return wanted(quote(text), err.Error())
	}
	return v
}

// describe says what kind of thing n is.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a section"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return quote(n.Value)
}
