package k2hft

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const maxDepth = 8 // of lists and mappings in each other; the original's have five

// yamlReader turns a document into sections.
type yamlReader struct{ config *Config }

var (
	yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	// bareNames are names of servers without the quotes that YAML wants around their brackets, as in the manual's
	// own walk-through.
	bareNames = regexp.MustCompile(`(?m)^([ \t]*NAME:[ \t]*)([^"'\[{\s][^"'#\n]*\[[^"'#\n]*\][^"'#\n,]*)(,?[ \t]*\r?)$`)
)

func readYAML(name string, text []byte, json bool) (*Config, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%s: got more than %d bytes, want a configuration file", name, maxText)
	}
	docs, err := documents(text)
	mended := false
	if err != nil {
		if better := bareNames.ReplaceAll(text, []byte(`$1"$2"$3`)); !bytes.Equal(better, text) {
			if list, again := documents(better); again == nil {
				docs, err, mended = list, nil, true
			}
		}
	}
	if err == nil && len(docs) == 0 {
		return nil, fmt.Errorf("%s: got nothing, want a configuration", name)
	}
	if err != nil {
		kind := map[bool]string{true: "JSON", false: "YAML"}[json]
		m := yamlLine.FindStringSubmatch(err.Error())
		if m == nil {
			return nil, fmt.Errorf("%s: not %s: %w", name, kind, err)
		}
		line, _ := strconv.Atoi(m[1])
		return nil, fmt.Errorf("%s: not %s: %s", Place{File: name, Line: max(line, 1)}, kind, err.Error()[len(m[0]):])
	}
	r := &yamlReader{config: &Config{File: name, Mended: mended}}
	if len(docs) > 1 {
		return nil, fmt.Errorf("%s: got a second document, want all in one", r.place(docs[1]))
	}
	if err := r.document(docs[0]); err != nil {
		return nil, err
	}
	return r.config, nil
}

// documents returns the top of each document that has anything in it.
func documents(text []byte) (list []*yaml.Node, err error) {
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc yaml.Node
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		if top := doc.Content[0]; top.Kind != yaml.ScalarNode || top.Tag != "!!null" {
			list = append(list, top)
		}
	}
}

func (r *yamlReader) place(n *yaml.Node) Place { return Place{File: r.config.File, Line: n.Line} }

func (r *yamlReader) document(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: got %s, want sections such as K2HFTFUSE", r.place(n), kindOf(n))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if err := r.sections(strings.ToUpper(n.Content[i].Value), n.Content[i], n.Content[i+1], 0); err != nil {
			return err
		}
	}
	return nil
}

// sections reads one mapping, or a list of them, as sections of a name.
func (r *yamlReader) sections(name string, key, n *yaml.Node, depth int) error {
	switch {
	case depth > maxDepth:
		return fmt.Errorf("%s: %s: got more than %d levels", r.place(n), name, maxDepth)
	case n.Kind == yaml.SequenceNode:
		for _, e := range n.Content {
			if err := r.sections(name, e, e, depth+1); err != nil {
				return err
			}
		}
		return nil
	case n.Kind == yaml.MappingNode:
		return r.section(name, key, n, depth)
	case n.Kind == yaml.ScalarNode && !known(name):
		e := Entry{Key: name, Place: r.place(key), Text: n.Value}
		r.config.Stray = append(r.config.Stray, e)
		return nil
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		r.config.Sections = append(r.config.Sections, Section{Name: name, Place: r.place(key)})
		return nil
	}
	return fmt.Errorf("%s: %s: got %s, want a section of keys", r.place(n), name, kindOf(n))
}

func (r *yamlReader) section(name string, key, n *yaml.Node, depth int) error {
	at := len(r.config.Sections)
	r.config.Sections = append(r.config.Sections, Section{Name: name, Place: r.place(key)})
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		inner := strings.ToUpper(k.Value)
		if name == secMain && (inner == secRule || inner == secRuleDir) {
			if err := r.sections(inner, k, v, depth+1); err != nil {
				return err
			}
			continue
		}
		entries, err := r.entries(inner, k, v)
		if err != nil {
			return err
		}
		r.config.Sections[at].Entries = append(r.config.Sections[at].Entries, entries...)
	}
	return nil
}

// entries reads the value of one key. Lists give several entries, as repeated keys do in INI.
func (r *yamlReader) entries(key string, k, n *yaml.Node) ([]Entry, error) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var out []Entry
	for _, v := range list {
		e := Entry{Key: key, Place: r.place(v)}
		parts := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			parts = v.Content
		}
		for _, p := range parts {
			if p.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("%s: %s: got %s, want a value", r.place(p), key, kindOf(p))
			}
			if strings.IndexByte(p.Value, 0) >= 0 {
				return nil, fmt.Errorf("%s: %s: got a NUL byte, want text", r.place(p), key)
			}
			e.Parts = append(e.Parts, yamlPart(p))
		}
		if len(parts) > 0 {
			e.Place, e.Text = r.place(parts[0]), trim(textOf(parts[0]))
		}
		e.Raw = e.Text
		out = append(out, e)
	}
	if len(out) == 0 {
		out = append(out, Entry{Key: key, Place: r.place(k)})
	}
	return out, nil
}

func textOf(n *yaml.Node) string {
	if n.Tag == "!!null" && n.Style == 0 {
		return ""
	}
	return n.Value
}

func yamlPart(n *yaml.Node) Part {
	text := textOf(n)
	if in, ok := within(text, '"'); ok {
		return Part{Text: in, Quoted: true, Inner: true}
	}
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0
	return Part{Text: text, Quoted: quoted}
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "nothing"
		}
	}
	return strconv.Quote(n.Value)
}
