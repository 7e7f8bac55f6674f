package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// envTarget is a value that an environment variable can set.
type envTarget struct {
	field reflect.StructField
	path  string   // as in origins
	keys  []string // keys and names of elements from the top
}

// environment reads FTFUSE_SECTION_KEY and FTFUSE_LIST_NAME_KEY. Names are those of the keys in upper case, with
// _ for anything else. An empty one counts as not set. A variable that fits nothing is only doubtful, because other programs write
// into the environment too: Kubernetes gives FTFUSE_RECEIVER_PORT to every pod beside a service of that name.
func (l *loader) environment(environ []string) {
	targets := map[string][]envTarget{}
	collect(targets, l.stack.root, l.stack.koanf.Raw(), envTarget{}, "FTFUSE")
	known := slices.Sorted(maps.Keys(targets))
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		if text == "" || !strings.HasPrefix(name, "FTFUSE_") || name == "FTFUSE_CONFIG" || name == "FTFUSE_CONFIG_JSON" {
			continue
		}
		origin := Origin{Env: name}
		found := targets[name]
		switch {
		case len(found) == 1:
			l.fromEnv(found[0], text, origin)
		case len(found) > 1:
			l.problems = append(l.problems, Problem{Origin: origin,
				Text: fmt.Sprintf("could mean %s or %s", found[0].path, found[1].path), Hint: "set it in a drop-in file"})
		case !otherRole(l.stack.root, name):
			l.problems = append(l.problems, Problem{Origin: origin, Warning: true,
				Text: "names no key of the configuration and is ignored", Hint: didYouMean(name, known)})
		}
	}
}

// collect finds the variables of section t, whose merged values are values.
func collect(out map[string][]envTarget, t reflect.Type, values map[string]any, at envTarget, name string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := keyOf(f)
		here := envTarget{field: f, path: join(at.path, key), keys: append(slices.Clone(at.keys), key)}
		variable := name + "_" + strings.ToUpper(key)
		switch {
		case f.Type.Kind() == reflect.Struct:
			inner, _ := values[key].(map[string]any)
			collect(out, f.Type, inner, here, variable)
		case isNamedList(f.Type):
			list, _ := values[key].([]any)
			for _, e := range list {
				element := e.(map[string]any)
				n := element["name"].(string)
				inner := envTarget{path: fmt.Sprintf("%s[%s]", here.path, n), keys: append(slices.Clone(here.keys), n)}
				collect(out, f.Type.Elem(), element, inner, variable+"_"+envName(n))
			}
		case key != "name" || at.path == "":
			out[variable] = append(out[variable], here)
		}
	}
}

func envName(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }

// otherRole reports whether the variable sets something of the other role, which may share the environment.
func otherRole(root reflect.Type, variable string) bool {
	for _, defaults := range []any{DefaultSender(), DefaultReceiver()} {
		v := reflect.ValueOf(defaults)
		if v.Type() == root {
			continue
		}
		targets := map[string][]envTarget{}
		collect(targets, v.Type(), toMap(v), envTarget{}, "FTFUSE")
		if targets[variable] != nil {
			return true
		}
	}
	return false
}

// fromEnv lays one variable over the rest. Lists are separated by commas; lists of sections without names are YAML.
func (l *loader) fromEnv(t envTarget, text string, origin Origin) {
	if isSections(t.field.Type) {
		layer, problems := readValue(text, l.stack.root, t, origin)
		if l.problems = append(l.problems, problems...); len(problems) == 0 {
			l.stack.push(layer, false)
		}
		return
	}
	var value any
	var err error
	if t.field.Type.Kind() == reflect.Slice {
		list := reflect.MakeSlice(t.field.Type, 0, 0)
		for _, part := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' }) {
			if value, err = parse(t.field, strings.TrimSpace(part)); err != nil {
				break
			}
			list = reflect.Append(list, reflect.ValueOf(value))
		}
		value = list.Interface()
	} else {
		value, err = parse(t.field, text)
	}
	if err != nil {
		p := Problem{Origin: origin, Key: t.path, Text: err.Error()}
		if w, ok := err.(wantError); ok {
			p.Hint = w.hint
		}
		l.problems = append(l.problems, p)
		return
	}
	l.stack.push(layer{values: nest(l.stack.root, t.keys, value), origins: map[string]Origin{t.path: origin}}, false)
}

// nest wraps value into the sections and elements that keys name.
func nest(t reflect.Type, keys []string, value any) map[string]any {
	f, _ := fieldOf(t, keys[0])
	switch {
	case len(keys) == 1:
		return map[string]any{keys[0]: value}
	case isNamedList(f.Type):
		element := nest(f.Type.Elem(), keys[2:], value)
		element["name"] = keys[1]
		return map[string]any{keys[0]: []any{element}}
	}
	return map[string]any{keys[0]: nest(f.Type, keys[1:], value)}
}
