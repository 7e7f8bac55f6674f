package config

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
)

// stack lays sources over each other, the first one being the defaults.
type stack struct {
	koanf    *koanf.Koanf
	root     reflect.Type
	elements map[reflect.Type]map[string]any // defaults of one element of a list
	origins  map[string]Origin
}

// newStack begins with the defaults, a pointer to a configuration struct.
func newStack(defaults any) *stack {
	v := reflect.ValueOf(defaults).Elem()
	s := &stack{koanf: koanf.New("."), root: v.Type(), elements: map[reflect.Type]map[string]any{}, origins: map[string]Origin{}}
	for _, e := range defaultElements(v.Type()) {
		s.elements[reflect.TypeOf(e)] = toMap(reflect.ValueOf(e))
	}
	s.load(toMap(v), true)
	return s
}

// push lays l on top. With replace, lists of named elements take the place of what was there; without, elements
// of the same name are merged and new ones are added at the end. Lists of elements without names always take the
// place of what was there.
func (s *stack) push(l layer, replace bool) {
	for _, list := range l.unnamed {
		maps.DeleteFunc(s.origins, func(path string, _ Origin) bool { return strings.HasPrefix(path, list+"[") })
	}
	for path, o := range l.origins {
		s.origins[path] = o
	}
	s.load(l.values, replace)
}

func (s *stack) load(values map[string]any, replace bool) {
	merge := func(src, dst map[string]any) error {
		s.merge(dst, src, s.root, replace)
		return nil
	}
	if err := s.koanf.Load(given(values), nil, koanf.WithMergeFunc(merge)); err != nil {
		panic("config: loading a map failed: " + err.Error()) // neither given nor merge fails
	}
}

func (s *stack) merge(dst, src map[string]any, t reflect.Type, replace bool) {
	for key, v := range src {
		f, _ := fieldOf(t, key)
		switch v := v.(type) {
		case map[string]any:
			inner, ok := dst[key].(map[string]any)
			if !ok {
				inner = map[string]any{}
				dst[key] = inner
			}
			s.merge(inner, v, f.Type, replace)
		case []any:
			old, _ := dst[key].([]any)
			if replace || !isNamedList(f.Type) {
				old = nil
			}
			dst[key] = s.mergeList(old, v, f.Type.Elem(), replace)
		default:
			dst[key] = v
		}
	}
}

// mergeList merges what has a name in old into the element of that name, and adds the rest.
func (s *stack) mergeList(old, more []any, t reflect.Type, replace bool) []any {
	out := append([]any{}, old...)
	for _, e := range more {
		src := e.(map[string]any)
		i := slices.IndexFunc(out, func(o any) bool { name := src["name"]; return name != nil && o.(map[string]any)["name"] == name })
		if i < 0 {
			element := map[string]any{}
			s.merge(element, s.elements[t], t, replace)
			out, i = append(out, element), len(out)
		}
		s.merge(out[i].(map[string]any), src, t, replace)
	}
	return out
}

// decode fills the struct that out points to. What the reader let through always fits.
func (s *stack) decode(out any) error {
	return s.koanf.UnmarshalWithConf("", out, koanf.UnmarshalConf{
		DecoderConfig: &mapstructure.DecoderConfig{TagName: "koanf", ErrorUnused: true, ErrorUnset: true},
	})
}

// given makes a map that is in memory already a source for koanf.
type given map[string]any

func (g given) Read() (map[string]any, error) { return g, nil }

func (g given) ReadBytes() ([]byte, error) { return nil, errors.New("config: a map has no bytes") }

// toMap turns a configuration struct into what the reader makes of a file that names every key.
func toMap(v reflect.Value) map[string]any {
	out := map[string]any{}
	for i := range v.NumField() {
		f, key := v.Field(i), keyOf(v.Type().Field(i))
		switch {
		case f.Kind() == reflect.Struct:
			out[key] = toMap(f)
		case isSections(f.Type()):
			list := []any{}
			for j := range f.Len() {
				list = append(list, toMap(f.Index(j)))
			}
			out[key] = list
		case f.Kind() == reflect.Slice:
			out[key] = reflect.AppendSlice(reflect.MakeSlice(f.Type(), 0, f.Len()), f).Interface()
		default:
			out[key] = f.Interface()
		}
	}
	return out
}
