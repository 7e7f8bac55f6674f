package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// The schema is the struct types themselves. These helpers read it.

func keyOf(f reflect.StructField) string { return f.Tag.Get("koanf") }

func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = keyOf(t.Field(i))
	}
	return keys
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); keyOf(f) == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// isSections reports whether t is a list of sections.
func isSections(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

// isNamedList reports whether t is a list of sections that all have a key name. Others are known by their position.
func isNamedList(t reflect.Type) bool {
	if !isSections(t) {
		return false
	}
	_, named := fieldOf(t.Elem(), "name")
	return named
}

// elementPath is the path of element i of the list at path, by name where it has one: rules[web].filters[2].
func elementPath(path string, i int, element reflect.Value) string {
	if isNamedList(reflect.SliceOf(element.Type())) {
		return path + "[" + element.FieldByName("Name").String() + "]"
	}
	return numbered(path, i)
}

// numbered is the path of element i of a list without names, which people count from 1.
func numbered(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i+1) }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// wants says in words what f takes.
func wants(f reflect.StructField) string {
	if c := choices(f); c != nil {
		return oneOf(c)
	}
	t := f.Type
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[Size]():
		return "a size in bytes, as in 512, 64KiB or 2GiB"
	case reflect.TypeFor[time.Duration]():
		return "a duration, as in 500ms, 5s, 2h or 7d"
	case reflect.TypeFor[Mode]():
		return "octal permission bits, as in 0640"
	case reflect.TypeFor[UserID]():
		if f.Tag.Get("form") == "id" {
			return "a user id or the name of a user on this machine"
		}
		return "keep, a user id or the name of a user on this machine"
	case reflect.TypeFor[GroupID]():
		return "keep, a group id or the name of a group on this machine"
	case reflect.TypeFor[bool]():
		return "true or false"
	case reflect.TypeFor[int]():
		return "a whole number"
	}
	switch strings.TrimSuffix(f.Tag.Get("form"), "?") {
	case "path":
		return "an absolute path"
	case "name":
		return "a name"
	case "address", "receiver":
		return "an address"
	case "glob", "wildcard":
		return "a pattern"
	case "regexp":
		return "a regular expression"
	case "dir":
		return "a directory"
	case "below":
		return "a path below the mount"
	case "environment":
		return "NAME=VALUE"
	}
	return "text"
}

// elsewhere says where a key that is unknown in one place is at home, in the same kind of file first. A key of the top level that
// the other kind of file has there says that it is the other kind of file, rather than that some section has that name too.
func elsewhere(root reflect.Type, key string, top bool) string {
	for _, t := range []reflect.Type{reflect.TypeFor[Sender](), reflect.TypeFor[Receiver]()} {
		if _, ok := fieldOf(t, key); ok && top {
			return "it belongs to the top level of " + strings.ToLower(t.Name()) + ".yaml: is this a " + strings.ToLower(t.Name()) + "'s file?"
		}
	}
	for _, t := range []reflect.Type{root, reflect.TypeFor[Sender](), reflect.TypeFor[Receiver]()} {
		home, ok := homeOf(t, key)
		if !ok {
			continue
		}
		file := ""
		if t != root {
			file = " of " + strings.ToLower(t.Name()) + ".yaml"
		}
		if home == "" {
			return "it belongs to the top level" + file
		}
		return "it belongs under " + home + file
	}
	return ""
}

// homeOf returns the section of t that has the key.
func homeOf(t reflect.Type, key string) (string, bool) {
	if _, ok := fieldOf(t, key); ok {
		return "", true
	}
	for i := range t.NumField() {
		f := t.Field(i)
		inner := f.Type
		if isSections(inner) {
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct {
			continue
		}
		if home, ok := homeOf(inner, key); ok {
			if home == "" {
				return keyOf(f), true
			}
			return join(keyOf(f), home), true
		}
	}
	return "", false
}
