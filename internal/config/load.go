package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Sources says where a configuration comes from. Later ones win: the defaults, File or Text, the drop-ins beside
// File (FILE without .yaml, then .d/*.yaml, in the order of their names), the environment.
type Sources struct {
	File    string   // "": the defaults alone
	Text    string   // in place of File; from FTFUSE_CONFIG_JSON
	Environ []string // NAME=VALUE, as os.Environ gives them; nil: none
}

// Report is what Load found besides the values.
type Report struct {
	Files    []string // read, in order
	Warnings Problems

	source   string // the main file, or FTFUSE_CONFIG_JSON
	stack    *stack
	resolved any // pointer to the configuration with its derived values
}

// Problem makes a mistake that another package has found one at the place where the value of key was given.
func (r *Report) Problem(key, text string) Problem {
	return Problem{Origin: r.place(key), Key: key, Text: text}
}

// place returns where the value at path was given, or the nearest section around it, or the main file.
func (r *Report) place(path string) Origin {
	for path != "" {
		if o, ok := r.stack.origins[path]; ok {
			return o
		}
		path = parent(path)
	}
	return Origin{File: r.source}
}

// LoadSender reads and judges a sender's configuration. On mistakes the error is Problems, all of them at once; the
// report is never nil.
func LoadSender(src Sources) (*Sender, *Report, error) {
	defaults := DefaultSender()
	l := newLoader(&defaults)
	l.read(src)
	var c Sender
	if err := l.finish(&c, func() { c.resolve(); l.checkSender(&c) }); err != nil {
		return nil, l.report, err
	}
	return &c, l.report, nil
}

// LoadReceiver is LoadSender for a receiver.
func LoadReceiver(src Sources) (*Receiver, *Report, error) {
	defaults := DefaultReceiver()
	l := newLoader(&defaults)
	l.read(src)
	var c Receiver
	if err := l.finish(&c, func() { l.checkReceiver(&c) }); err != nil {
		return nil, l.report, err
	}
	return &c, l.report, nil
}

// resolve fills in what follows from other values.
func (c *Sender) resolve() {
	if c.Host == "" {
		c.Host, _ = os.Hostname()
	}
	if c.SpoolDir == "" {
		c.SpoolDir = filepath.Join(c.StateDir, "spool")
	}
	if c.Queue.Dir == "" {
		c.Queue.Dir = filepath.Join(c.StateDir, "queue")
	}
}

// loader gathers the sources and what is wrong with them.
type loader struct {
	stack    *stack
	problems Problems
	report   *Report
}

func newLoader(defaults any) *loader {
	s := newStack(defaults)
	return &loader{stack: s, report: &Report{stack: s}}
}

func (l *loader) read(src Sources) {
	switch {
	case src.Text != "":
		l.report.source = "FTFUSE_CONFIG_JSON"
		l.push(l.report.source, []byte(src.Text), true)
	case src.File != "":
		l.report.source = src.File
		l.readFile(src.File, true)
		for _, path := range DropIns(src.File) {
			l.readFile(path, false)
		}
	}
	l.environment(src.Environ)
}

func (l *loader) readFile(path string, main bool) {
	text, err := readBounded(path)
	if err != nil {
		hint := readHint(err)
		if main && os.IsNotExist(err) {
			hint = "`ftfuse config show --defaults --role " + strings.ToLower(l.stack.root.Name()) + "` prints one to begin with"
		}
		l.problems = append(l.problems, Problem{Origin: Origin{File: path}, Text: "cannot read it: " + reason(err), Hint: hint})
		return
	}
	l.report.Files = append(l.report.Files, path)
	l.push(path, text, main)
}

func (l *loader) push(source string, text []byte, main bool) {
	layer, problems := readYAML(source, text, l.stack.root)
	l.problems = append(l.problems, problems...)
	l.stack.push(layer, main)
}

// finish decodes into out, runs the checks, and returns the problems that are errors.
func (l *loader) finish(out any, check func()) error {
	if err := l.stack.decode(out); err != nil {
		return fmt.Errorf("decode configuration: %w", err)
	}
	l.required(reflect.ValueOf(out).Elem(), "")
	check()
	l.report.resolved = out
	bad, warnings := l.problems.split()
	l.report.Warnings = warnings
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// required complains about values that have no default and that nobody gave. An empty one is refused where it is
// read, so that empty means absent here.
func (l *loader) required(v reflect.Value, path string) {
	for i := range v.NumField() {
		f, field := v.Field(i), v.Type().Field(i)
		at := join(path, keyOf(field))
		switch {
		case f.Kind() == reflect.Struct:
			l.required(f, at)
		case isSections(f.Type()):
			for j := range f.Len() {
				if element := elementPath(at, j, f.Index(j)); !l.broken(element) {
					l.required(f.Index(j), element)
				}
			}
		case needed(field) && f.String() == "" && !l.broken(at):
			l.bad(at, "is missing, want "+wants(field), "add `"+keyOf(field)+": ...` to this element")
		}
	}
}

// needed reports whether f takes no empty text.
func needed(f reflect.StructField) bool {
	form := f.Tag.Get("form")
	return f.Type.Kind() == reflect.String && (choices(f) != nil || form != "" && !strings.HasSuffix(form, "?"))
}

// broken reports whether there is an error at path already.
func (l *loader) broken(path string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool { return p.Key == path && !p.Warning })
}

// changed reports whether the element of a list differs from its default at key, which may be a path.
func (l *loader) changed(element any, key string) bool {
	v := reflect.ValueOf(element)
	is, usual := toMap(v), l.stack.elements[v.Type()]
	for {
		head, rest, deeper := strings.Cut(key, ".")
		if !deeper {
			return !reflect.DeepEqual(is[head], usual[head])
		}
		is, usual, key = is[head].(map[string]any), usual[head].(map[string]any), rest
	}
}

// parent drops the last component of a path: rules[a.b].send, rules[a.b], rules.
func parent(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return path[:i]
		}
	}
	return ""
}
