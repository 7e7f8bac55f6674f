package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// list reads a list of scalars; one scalar alone stands for a list of it.
func (r *reader) list(n *yaml.Node, f reflect.StructField, path string) any {
	out := reflect.MakeSlice(f.Type, 0, 0)
	target := deref(n)
	if target.Kind == yaml.ScalarNode && target.Tag != "!!null" {
		target = &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Content: []*yaml.Node{target}}
	}
	if target.Kind != yaml.SequenceNode {
		r.complain(n.Line, path, "got "+describe(target)+", want a list", "write [] for none")
		return out.Interface()
	}
	for _, e := range target.Content {
		if r.full(e.Line, 1) {
			break
		}
		if v := r.scalar(e, f, path); v != nil {
			out = reflect.Append(out, reflect.ValueOf(v))
		}
	}
	return out.Interface()
}

// sections reads a list of sections, whose type is t.
func (r *reader) sections(n *yaml.Node, t reflect.Type, path string) []any {
	target, named := deref(n), isNamedList(t)
	if !named {
		r.unnamed = append(r.unnamed, path)
	}
	switch {
	case target.Kind != yaml.SequenceNode:
		hint := "write [] for none"
		if target.Kind == yaml.MappingNode {
			first := keyOf(t.Elem().Field(0))
			hint = fmt.Sprintf("begin each element with `- %s: %s`", first, strings.ToUpper(first))
		}
		r.complain(n.Line, path, "got "+describe(target)+", want a list", hint)
		return []any{}
	case named:
		return r.namedList(target, t.Elem(), path)
	}
	out := []any{}
	for i, e := range target.Content {
		at := numbered(path, i)
		r.origins[at] = Origin{File: r.source, Line: e.Line}
		out = append(out, r.section(e, t.Elem(), at))
		if r.values > maxValues {
			break
		}
	}
	return out
}

// namedList reads a list of sections that have a name each.
func (r *reader) namedList(n *yaml.Node, t reflect.Type, path string) []any {
	out := []any{}
	seen := map[string]int{}
	for i, e := range n.Content {
		if r.values > maxValues {
			break
		}
		name := nameOf(deref(e))
		if name == "" {
			at := fmt.Sprintf("%s[#%d]", path, i+1)
			r.section(e, t, at)
			if deref(e).Kind == yaml.MappingNode && !slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Key == at+".name" }) {
				r.complain(e.Line, at, "has no name", "add `name: NAME`: messages, drop-ins and counters need it")
			}
			continue
		}
		at := fmt.Sprintf("%s[%s]", path, name)
		if first, twice := seen[name]; twice {
			r.complain(e.Line, at, fmt.Sprintf("the name is taken at line %d", first), "give one of them another name")
			continue
		}
		seen[name] = e.Line
		r.origins[at] = Origin{File: r.source, Line: e.Line}
		if m := r.section(e, t, at); m["name"] != nil {
			out = append(out, m)
		}
	}
	return out
}

// nameOf returns the value of the key name of a mapping, "" if there is none.
func nameOf(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := deref(n.Content[i+1]); n.Content[i].Value == "name" && v.Kind == yaml.ScalarNode && v.Tag != "!!null" {
			return v.Value
		}
	}
	return ""
}
