package config

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"ftfuse/internal/rules"
)

// outputKeys are the keys of an output that are not for every type, with the types that they are for.
var outputKeys = []struct{ key, types string }{
	{"identifier", "journal plugin"},
	{"base", "file"}, {"below", "file"}, {"path", "file"},
	{"format", "file plugin"}, {"template", "file plugin"}, {"time_format", "file plugin"}, {"time_zone", "file plugin"},
	{"rotate", "file"}, {"file_mode", "file"}, {"dir_mode", "file"},
	{"plugin", "plugin"},
}

// checkOutputs judges a receiver's outputs.
func (l *loader) checkOutputs(c *Receiver) {
	if len(c.Outputs) == 0 && len(c.Targets) == 0 {
		l.bad("outputs", "got none, want at least one, or a target", "write `- {name: files, base: DIRECTORY}`")
	}
	for i, o := range c.Outputs {
		at := "outputs[" + o.Name + "]"
		l.checkOutput(at, o)
		switch o.Type {
		case "plugin":
			l.checkPlugin(at+".plugin", o.Plugin)
			if o.Plugin.Stdout == "records" {
				l.bad(at+".plugin.stdout", "got records: only a sender sends what a plug-in says", "write stdout: file, or let the sender run the plug-in")
			}
		case "file":
			if o.Below != "" {
				l.bad(at+".below", "goes with a sender: a receiver has no mounts", "write base: /DIRECTORY")
				continue
			}
			l.checkBase(at, o, []place{{"state_dir", c.StateDir}}, "relative paths would depend on where ftfuse is started")
			l.checkSameFiles(at, o, c.Outputs[:i])
		}
	}
}

// checkCopies judges a sender's outputs.
func (l *loader) checkCopies(c *Sender) {
	own := []place{{"state_dir", c.StateDir}, {"spool_dir", c.SpoolDir}, {"queue.dir", c.Queue.Dir}}
	targets, used := names(c.Targets, nameOfTarget), c.used()
	for i, o := range c.Outputs {
		at := "outputs[" + o.Name + "]"
		if slices.Contains(targets, o.Name) {
			l.bad(at+".name", fmt.Sprintf("got %s, which is the name of a target: rules could not tell them apart", quote(o.Name)), "give one of them another name")
			continue
		}
		if !used[o.Name] && (len(targets) > 0 || i > 0) {
			l.doubt(at, "no rule names it", "remove it, or name it in targets of a rule")
		}
		l.checkOutput(at, o)
		switch {
		case o.Type == "plugin":
			l.checkPlugin(at+".plugin", o.Plugin)
			l.checkFeedback(at+".plugin", o, c)
		case o.Type != "file":
		case o.Below != "":
			l.checkBelowMount(at, o, c)
			l.checkSameFiles(at, o, c.Outputs[:i])
		default:
			if l.checkBase(at, o, own, "write below: MOUNT too for what lies in the directory that a mount covers") {
				l.checkOutsideMounts(at+".base", o.Base, c)
			}
			l.checkSameFiles(at, o, c.Outputs[:i])
		}
	}
}

// place is a directory of the program itself, with the key that names it.
type place struct{ key, dir string }

// checkBase wants an absolute directory that is not one of the program's own, and reports whether it is. hint is what
// to do about a relative one.
func (l *loader) checkBase(at string, o Output, own []place, hint string) bool {
	at += ".base"
	switch {
	case o.Base == "":
		if !l.broken(at) {
			l.bad(at, "is missing, want an absolute path", "add `base: ...` to this element")
		}
		return false
	case !strings.HasPrefix(o.Base, "/"):
		l.bad(at, fmt.Sprintf("got %s, want an absolute path", quote(o.Base)), hint)
		return false
	}
	for _, p := range own {
		if within(o.Base, p.dir) || within(p.dir, o.Base) {
			l.bad(at, fmt.Sprintf("%s and %s (%s) lie in each other", o.Base, p.dir, p.key), "keep what outputs write and the program's own data apart")
			return false
		}
	}
	return true
}

// checkOutsideMounts keeps what a sender writes out of its own mounts.
func (l *loader) checkOutsideMounts(at, file string, c *Sender) {
	for _, m := range c.Mounts {
		if within(file, m.Path) {
			hint := "write another directory"
			if strings.HasSuffix(at, ".base") {
				rest := strings.TrimPrefix(strings.TrimPrefix(file, m.Path), "/")
				hint = fmt.Sprintf("write below: %s and base: %s for the directory that the mount covers", m.Name, cmp.Or(rest, "DIRECTORY"))
			}
			l.bad(at, fmt.Sprintf("%s lies in %s (mount %s): the sender would wait for itself", file, m.Path, m.Name), hint)
		}
	}
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// checkBelowMount judges files in the directory that a mount covers. There the sender looks for files to send.
func (l *loader) checkBelowMount(at string, o Output, c *Sender) {
	l.checkNames(at+".below", []string{o.Below}, destinations{names: names(c.Mounts, nameOfMount), noun: "a mount"})
	switch {
	case l.broken(at + ".below"), l.broken(at + ".base"):
		return
	case o.Base == "":
		l.bad(at+".base", "is missing, want a directory relative to the one that mount "+o.Below+" covers", "add `base: ...` to this element")
		return
	case strings.HasPrefix(o.Base, "/"):
		l.bad(at+".base", fmt.Sprintf("got %s, want a directory relative to the one that mount %s covers", quote(o.Base), o.Below), "write "+strings.TrimLeft(o.Base, "/")+", or remove below")
		return
	}
	m, err := rules.New(c.RuleOptions())
	if err != nil {
		return // a pattern was refused already
	}
	if d := m.Decide(o.Below, path.Join(o.Base, variable.ReplaceAllString(o.Path, "x"))); d.Send {
		l.doubt(at+".base", fmt.Sprintf("what is written there is taken for files to send, by rule %s", d.Rule),
			fmt.Sprintf(`add a rule with match: ["%s/**"] and send: false`, o.Base))
	}
}

// checkSameFiles wants no output before o to write what o writes.
func (l *loader) checkSameFiles(at string, o Output, before []Output) {
	for _, other := range before {
		if other.Type == "file" && o.Base != "" && other.Base == o.Base && other.Below == o.Below && other.Path == o.Path {
			l.bad(at+".path", fmt.Sprintf("output %s writes the same files", other.Name), "give one of them another base or path")
		}
	}
}

// checkOutput judges what needs no knowledge of the rest.
func (l *loader) checkOutput(at string, o Output) {
	for _, k := range outputKeys {
		if types := strings.Fields(k.types); !slices.Contains(types, o.Type) && l.changed(o, k.key) {
			l.doubt(at+"."+k.key, "has no effect with type: "+o.Type, "remove it, or write type: "+strings.Join(types, " or "))
		}
	}
	switch {
	case o.Type == "journal" && o.Durability == "disk":
		l.bad(at+".durability", "got disk: journald writes to disk in its own time", "write durability: os, and a second output of type: file if lines must survive power loss")
	case o.Type == "plugin" && o.Durability == "disk":
		l.bad(at+".durability", "got disk: what a program does with what it gets is its own affair", "write durability: os, and ack: true if the program can say what it has taken")
	}
	if strings.ContainsAny(o.Identifier, "\n\x00") || len(o.Identifier) > 255 {
		l.bad(at+".identifier", fmt.Sprintf("got %s, want one line of at most 255 bytes", quote(o.Identifier)), "")
	}
	if o.Type != "journal" {
		l.checkTemplate(at, o)
	}
	if o.Type == "file" {
		l.checkFiles(at, o)
	}
}

func (l *loader) checkTemplate(at string, o Output) {
	if o.Format != "template" && l.changed(o, "template") {
		l.doubt(at+".template", "has no effect with format: "+o.Format, "write format: template, or remove it")
	}
	if o.Format == "template" && o.Template == "" {
		l.bad(at+".template", "got nothing, want a template", `write template: "%L" for the line as it is`)
	}
}

func (l *loader) checkFiles(at string, o Output) {
	if strings.HasPrefix(o.Path, "/") || strings.HasSuffix(o.Path, "/") || slices.Contains(strings.Split(o.Path, "/"), "..") {
		l.bad(at+".path", fmt.Sprintf("got %s, want a file relative to base, without ..", quote(o.Path)), "write base for the directory, path for what comes below")
	}
	if o.Rotate.Size == 0 && o.Rotate.Age == 0 {
		for _, key := range []string{"keep", "keep_age", "compress"} {
			if l.changed(o, "rotate."+key) {
				l.doubt(at+".rotate."+key, "has no effect without rotation", "write rotate.size or rotate.age too")
			}
		}
	}
	if o.FileMode&0o600 != 0o600 || o.FileMode > 0o777 {
		l.bad(at+".file_mode", fmt.Sprintf("got %s, want at least 0600 and at most 0777", o.FileMode), "")
	}
	if o.DirMode&0o700 != 0o700 || o.DirMode > 0o7777 {
		l.bad(at+".dir_mode", fmt.Sprintf("got %s, want at least 0700", o.DirMode), "")
	}
}
