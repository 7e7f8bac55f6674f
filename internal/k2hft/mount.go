package k2hft

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// levels of messages, and ours.
var levels = map[string]string{
	"silent": "error", "slt": "error", "err": "error", "error": "error", "wan": "warn", "warn": "warn", "warning": "warn",
	"msg": "info", "info": "info", "inf": "info", "dump": "debug",
}

// readMount makes our mount from the mount point and the options of the original's command line or line in fstab.
func (t *translator) readMount() mount {
	m := mount{name: "log", path: "/var/log/ftfuse", umask: -1}
	point, options := t.options.Mountpoint, t.options.MountOptions
	if fields := strings.Fields(options); len(fields) >= 4 && strings.HasPrefix(fields[1], "/") { // a line of fstab
		options = fields[3]
		if point == "" {
			point = strings.ReplaceAll(fields[1], `\040`, " ")
		}
	}
	clean := path.Clean(point)
	switch {
	case point == "":
		m.note = "The original's mount point stands in its command line or in fstab: --mountpoint brings it here."
		t.report.say(Differs, "the mount point is not in the configuration: mounts has the default, "+m.path+"; --mountpoint DIR puts the original's there")
	case !strings.HasPrefix(point, "/") || clean == "/" || !sayable(point) || inOwn(clean):
		m.note = fmt.Sprintf("The original's mount point, %s, cannot be ours.", point)
		t.report.say(Differs, fmt.Sprintf("mount point %q: want an absolute path, beside the sender's own data", point))
	default:
		m.path, m.given = clean, true
		m.name = namer{}.name(path.Base(clean))
	}
	if options != "" {
		t.mountOptions(&m, strings.TrimPrefix(trim(options), "-o "))
	}
	return m
}

// inOwn reports whether a mount there would contain the sender's own data, or lie in it.
func inOwn(dir string) bool {
	for _, own := range []string{ownData, ownRun} {
		if dir == own || strings.HasPrefix(own, dir+"/") || strings.HasPrefix(dir, own+"/") {
			return true
		}
	}
	return false
}

// mountOptions reads what -o says.
func (t *translator) mountOptions(m *mount, text string) {
	other := false
	for _, option := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(trim(option), "=")
		key, ok := lookup(onMount, name)
		note := func(kind Kind, text string) {
			t.report.Notes = append(t.report.Notes, Note{Kind: kind, Key: name + " of -o", Text: text})
		}
		switch {
		case name == "":
		case !ok:
			note(Unknown, "is no option that we know of; the mount unit says the options of the mount")
		case name == "umask":
			n, err := strconv.ParseUint(value, 8, 9)
			if err != nil {
				note(Differs, fmt.Sprintf("got %q, want octal digits: left out", value))
				continue
			}
			m.umask = int(n)
			m.set(kv{name, fmt.Sprintf("%04o", n), "-o umask"})
			note(Translated, "mounts.umask, besides the umask of the program that creates a file")
		case name == "uid" || name == "gid":
			if n, err := strconv.ParseUint(value, 10, 32); err != nil || n >= 1<<32-1 {
				note(Differs, fmt.Sprintf("got %q, want a number: left out", value))
				continue
			}
			m.set(kv{name, value, "-o " + name})
			note(Translated, "mounts."+name)
		case name == "allow_other":
			other = true
			note(Translated, "mounts.allow_other: true, the default")
		case name == "dbglevel" && levels[value] != "":
			m.level = &kv{"level", levels[value], "-o dbglevel=" + value}
			note(Translated, "log.level: "+levels[value])
		case name == "dbglevel":
			note(Differs, fmt.Sprintf("got %q, want err, wan or msg: left out", value))
		case key.Kind == None:
			note(None, key.Why)
		default:
			note(Translated, "names the configuration itself")
		}
	}
	if !other {
		m.keys = append(m.keys, kv{"allow_other", "false", "not among the options: root alone sees the mount"})
		t.report.say(Differs, "options: without allow_other only who mounts sees the original's mount; with allow_other: false only root sees ours")
	}
}

// set gives a key its value; the last of several options holds.
func (m *mount) set(k kv) {
	m.keys = slices.DeleteFunc(m.keys, func(old kv) bool { return old.key == k.key })
	m.keys = append(m.keys, k)
}

func (m *mount) write(p *page) {
	p.line(0, "mounts:", "")
	p.note(2, m.note)
	p.line(2, "- name: "+m.name, "")
	p.line(4, "path: "+scalar(m.path), "")
	for _, k := range m.keys {
		p.line(4, k.key+": "+k.value, k.note)
	}
}
