package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// shipped are the files that people get, which are the defaults in writing.
var shipped = []struct {
	file     string
	defaults any
}{
	{"../../etc/sender.yaml", DefaultSender()},
	{"../../etc/receiver.yaml", DefaultReceiver()},
}

func TestShippedFilesAreTheDefaults(t *testing.T) {
	for _, s := range shipped {
		text, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.ValueOf(s.defaults)
		l, problems := readYAML(s.file, text, v.Type())
		for _, p := range problems {
			t.Error(p)
		}
		equalTrees(t, s.file, v.Type(), toMap(v), l.values, "")
	}
}

// equalTrees wants every key of want in got with the same value. Elements of named lists may leave keys out, if
// the last element, which documents them, has them all.
func equalTrees(t *testing.T, file string, typ reflect.Type, want, got map[string]any, path string) {
	t.Helper()
	for i := range typ.NumField() {
		f := typ.Field(i)
		key := keyOf(f)
		at := join(path, key)
		w, g := want[key], got[key]
		switch {
		case g == nil:
			t.Errorf("%s: %s is missing", file, at)
		case f.Type.Kind() == reflect.Struct:
			equalTrees(t, file, f.Type, w.(map[string]any), g.(map[string]any), at)
		case isSections(f.Type):
			wl, gl := w.([]any), g.([]any)
			if len(wl) != len(gl) {
				t.Errorf("%s: %s has %d elements, the default has %d", file, at, len(gl), len(wl))
				continue
			}
			for j := range gl {
				we, ge := wl[j].(map[string]any), gl[j].(map[string]any)
				if j < len(gl)-1 {
					for k, v := range ge {
						if !reflect.DeepEqual(v, we[k]) {
							t.Errorf("%s: %s[%v].%s is %v, the default is %v", file, at, ge["name"], k, v, we[k])
						}
					}
					continue
				}
				equalTrees(t, file, f.Type.Elem(), we, ge, at+"["+ge["name"].(string)+"]")
			}
		case !reflect.DeepEqual(w, g):
			t.Errorf("%s: %s is %v, the default is %v", file, at, g, w)
		}
	}
}

func TestShippedFilesLoadToTheDefaults(t *testing.T) {
	s, report, err := LoadSender(Sources{File: "../../etc/sender.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	noFile, _, err := LoadSender(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s, noFile) {
		t.Errorf("file: %+v\nno file: %+v", s, noFile)
	}
	for _, w := range report.Warnings {
		if !strings.HasPrefix(w.Key, "queue.") { // those depend on the disk of this machine
			t.Errorf("the shipped file gives a warning: %v", w)
		}
	}
	r, report, err := LoadReceiver(Sources{File: "../../etc/receiver.yaml"})
	if err != nil || len(report.Warnings) > 0 {
		t.Fatal(err, report.Warnings)
	}
	plain, _, err := LoadReceiver(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, plain) {
		t.Errorf("file: %+v\nno file: %+v", r, plain)
	}
}

// The reference for people names every key.
func TestEveryKeyIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			at := join(path, keyOf(f))
			switch {
			case f.Type.Kind() == reflect.Struct:
				walk(f.Type, at)
			case isSections(f.Type):
				walk(f.Type.Elem(), at)
			case !strings.Contains(string(text), "`"+at+"`"):
				t.Errorf("docs/configuration.md says nothing about `%s`", at)
			}
		}
	}
	walk(reflect.TypeFor[Sender](), "")
	walk(reflect.TypeFor[Receiver](), "")
}
