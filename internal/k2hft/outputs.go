package k2hft

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// output is ours, of the sender or of the receiver.
type output struct {
	name  string
	notes []string
	keys  []kv // after name, in order
	id    string
	below string // the path below the mount that is written, "" if it is elsewhere
	dir   bool   // below is a directory

	plugin []kv   // keys of plugin; nil: not one
	chain  string // the path below the mount that a plug-in's output goes to
	rule   string // of a plug-in
}

// Where ours cannot write.
const (
	ownData   = "/var/lib/ftfuse"
	ownRun    = "/run/ftfuse"
	ownCopies = "/var/log/ftfuse-copies"
)

// destinations translates OUTPUTFILE and PLUGIN and returns the names of the outputs, and the reason for them.
func (t *translator) destinations(s *source, ruleName string) ([]string, string) {
	file, plugin := s.last("OUTPUTFILE"), s.last("PLUGIN")
	if plugin != nil && plugin.Text != "" {
		o := t.pluginOutput(s, ruleName, plugin, file)
		if o == nil {
			return nil, ""
		}
		return []string{o.name}, origin(plugin)
	}
	if plugin != nil {
		t.report.add(Translated, plugin, s.owner(), "empty: none")
	}
	switch {
	case file == nil:
		return nil, ""
	case file.Text == "" || file.Text == "/dev/null":
		t.report.add(Translated, file, s.owner(), "no copy")
		return nil, origin(file) + " /dev/null"
	case !sayable(file.Text) || len(file.Text) > maxPattern/4:
		t.report.add(Differs, file, s.owner(), "no copy: want a path in UTF-8 of at most 1024 bytes")
		return nil, ""
	}
	o := t.copyOutput(s, file)
	if o == nil {
		return nil, ""
	}
	return []string{o.name}, origin(file)
}

// inside returns the path below the mount that a text names, if it does: relative ones, and absolute ones below the
// mount point where that is known.
func (t *translator) inside(text string) (string, bool) {
	if !strings.HasPrefix(text, "/") {
		return text, true
	}
	rest, ok := strings.CutPrefix(path.Clean(text), t.mount.path+"/")
	if ok && strings.HasSuffix(text, "/") {
		rest += "/"
	}
	return rest, ok
}

// copyOutput translates OUTPUTFILE: a file, or with / at the end a directory with one file for each name.
func (t *translator) copyOutput(s *source, e *Entry) *output {
	each := s.dir && strings.HasSuffix(e.Text, "/")
	if below, ok := t.inside(e.Text); ok {
		clean, ok := relative(below)
		if !ok || clean == "" && !each {
			t.report.add(Differs, e, s.owner(), "no copy: want a path below the mount")
			return nil
		}
		return t.belowOutput(s, e, clean, each)
	}
	clean := path.Clean(e.Text)
	if each {
		o := t.place(e, "copy-"+path.Base(clean), clean, "{name}", s.owner())
		t.report.add(Translated, e, s.owner(), "output "+o.name+", one file for each name")
		return o
	}
	if !s.dir && path.Base(clean) == path.Base(s.path) && !strings.ContainsAny(path.Base(clean), "{}") {
		o := t.place(e, "copy-"+path.Base(path.Dir(clean)), path.Dir(clean), "{name}", s.owner())
		t.report.add(Translated, e, s.owner(), "output "+o.name)
		return o
	}
	o := t.fileOutput(e, "copy-"+path.Base(clean), clean, s.owner())
	t.report.add(Translated, e, s.owner(), "output "+o.name+map[bool]string{true: ", one file for all"}[s.dir])
	return o
}

// belowOutput writes below the mount, where the original writes into the mount: there the rule for that file would
// take it up once more.
func (t *translator) belowOutput(s *source, e *Entry, clean string, each bool) *output {
	dir, file := path.Dir(clean), pathText(path.Base(clean))
	if each {
		dir, file = clean, "{name}"
	}
	if dir == "" {
		dir = "."
	}
	o := t.output("below-"+clean, "below "+dir+"\x00"+file)
	if o.keys == nil {
		o.below, o.dir = clean, each
		o.keys = []kv{{"type", "file", ""}, {"below", scalar(t.mount.name), origin(e)}, {"base", scalar(dir), ""}, {"path", scalar(file), ""}}
	}
	t.report.add(Differs, e, s.owner(), "output "+o.name+" writes it below the mount; rules are not chained: what the original's rule for that file would do with it is not done")
	return o
}

// fileOutput writes one file.
func (t *translator) fileOutput(e *Entry, name, clean, owner string) *output {
	return t.place(e, name, path.Dir(clean), pathText(path.Base(clean)), owner)
}

// place makes the output for files of a directory, or finds the one that is there already: no two may write one file.
func (t *translator) place(e *Entry, name, dir, file, owner string) *output {
	if t.taken(dir) {
		note := "a copy cannot lie in " + dir + ", beside ours: it is in " + ownCopies
		t.report.add(Differs, e, owner, note)
		dir = path.Join(ownCopies, strings.Trim(strings.ReplaceAll(dir, "/", "-"), "-"))
	}
	o := t.output(name, dir+"\x00"+file)
	if o.keys == nil {
		o.keys = []kv{{"type", "file", ""}, {"base", scalar(dir), origin(e)}, {"path", scalar(file), ""}}
		if t.mount.umask >= 0 && 0o666&^t.mount.umask >= 0o600 {
			o.keys = append(o.keys, kv{"file_mode", fmt.Sprintf("%04o", 0o666&^t.mount.umask), "umask"})
		}
	}
	return o
}

// taken reports whether a directory and the sender's own ones lie in each other, or it lies in the mount.
func (t *translator) taken(dir string) bool {
	in := func(a, b string) bool { return a == b || b == "/" || strings.HasPrefix(a, b+"/") }
	for _, own := range []string{ownData, ownRun} {
		if in(dir, own) || in(own, dir) {
			return true
		}
	}
	return in(dir, t.mount.path)
}

// output finds the output of an id, or makes it; then it has no keys yet.
func (t *translator) output(name, id string) *output {
	if i := slices.IndexFunc(t.outputs, func(o *output) bool { return o.id == id }); i >= 0 {
		return t.outputs[i]
	}
	o := &output{name: t.names.name(name), id: id}
	t.outputs = append(t.outputs, o)
	return o
}

// pathText writes a name so that it is no template. Braces cannot be said.
func pathText(name string) string { return strings.NewReplacer("{", "_", "}", "_").Replace(name) }

func (t *translator) writeOutputs(p *page) {
	if len(t.outputs) == 0 {
		return
	}
	p.gap()
	p.line(0, "outputs:", "")
	for _, o := range t.outputs {
		for _, n := range o.notes {
			p.note(2, n)
		}
		p.line(2, "- name: "+o.name, "")
		for _, k := range o.keys {
			p.line(4, k.key+": "+k.value, k.note)
		}
		if o.plugin == nil {
			continue
		}
		p.line(4, "plugin:", "")
		for _, k := range o.plugin {
			p.line(6, k.key+": "+k.value, k.note)
		}
	}
}
