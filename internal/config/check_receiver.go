package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// checkReceiver is checkSender for a receiver.
func (l *loader) checkReceiver(c *Receiver) {
	broken := slices.Clone(l.problems)
	run := func(check func(*Receiver), sections ...string) {
		if !broken.touches(sections...) {
			check(c)
		}
	}
	run(func(c *Receiver) { l.checkControl(c.Control) }, "control")
	run(func(c *Receiver) { l.checkMetrics(c.Metrics.Listen, c.Control) }, "control", "metrics")
	run(l.checkListen, "listen")
	run(l.checkLimits, "limits")
	run(l.checkOutputs, "outputs", "state_dir")
}

func (l *loader) checkListen(c *Receiver) {
	if len(c.Listen) == 0 {
		l.bad("listen", "got no address, want at least one", "write listen: [\"127.0.0.1:"+Port+"\"]")
	}
	seen := map[string]bool{}
	for _, a := range c.Listen {
		if seen[a] {
			l.bad("listen", fmt.Sprintf("got %s twice", a), "remove one of them")
		}
		seen[a] = true
		if !local(a) {
			l.doubt("listen", a+" takes data without encryption from whoever reaches it", "use it in networks that you trust")
		}
	}
}

// local reports whether an address is reached from this machine only.
func local(address string) bool {
	network, a := Network(address)
	if network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(a)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (l *loader) checkLimits(c *Receiver) {
	if c.Limits.PerAddress > c.Limits.Connections {
		l.doubt("limits.per_address", fmt.Sprintf("%d is above limits.connections, which is %d", c.Limits.PerAddress, c.Limits.Connections), "")
	}
}

func (l *loader) checkOutputs(c *Receiver) {
	if len(c.Outputs) == 0 {
		l.bad("outputs", "got none, want at least one", "write `- {name: files, base: DIRECTORY}`")
	}
	for i, o := range c.Outputs {
		at := "outputs[" + o.Name + "]"
		if o.Type == "journal" {
			l.checkJournal(at, o)
			continue
		}
		if o.Base == "" {
			if !l.broken(at + ".base") {
				l.bad(at+".base", "is missing, want an absolute path", "add `base: ...` to this element")
			}
			continue
		}
		if !strings.HasPrefix(o.Base, "/") {
			l.bad(at+".base", fmt.Sprintf("got %s, want an absolute path", quote(o.Base)), "relative paths would depend on where ftfuse is started")
			continue
		}
		if within(o.Base, c.StateDir) || within(c.StateDir, o.Base) {
			l.bad(at+".base", fmt.Sprintf("%s and %s (state_dir) lie in each other", o.Base, c.StateDir), "keep received files and the receiver's own data apart")
		}
		for _, other := range c.Outputs[:i] {
			if other.Base == o.Base && other.Path == o.Path {
				l.bad(at+".path", fmt.Sprintf("output %s writes the same files", other.Name), "give one of them another base or path")
			}
		}
		l.checkOutput(at, o)
	}
}

// checkJournal judges an output to the journal, which has next to nothing to set.
func (l *loader) checkJournal(at string, o Output) {
	for _, key := range []string{"base", "path", "format", "template", "time_format", "time_zone", "file_mode", "dir_mode",
		"rotate.size", "rotate.age", "rotate.keep", "rotate.keep_age", "rotate.compress"} {
		if l.changed(o, key) {
			l.doubt(at+"."+key, "has no effect with type: journal", "remove it, or write type: file")
		}
	}
	if o.Durability == "disk" {
		l.bad(at+".durability", "got disk: journald writes to disk in its own time", "write durability: os, and a second output of type: file if lines must survive power loss")
	}
	if strings.ContainsAny(o.Identifier, "\n\x00") || len(o.Identifier) > 255 {
		l.bad(at+".identifier", fmt.Sprintf("got %s, want one line of at most 255 bytes", quote(o.Identifier)), "")
	}
}

func (l *loader) checkOutput(at string, o Output) {
	if strings.HasPrefix(o.Path, "/") || strings.HasSuffix(o.Path, "/") || slices.Contains(strings.Split(o.Path, "/"), "..") {
		l.bad(at+".path", fmt.Sprintf("got %s, want a file relative to base, without ..", quote(o.Path)), "write base for the directory, path for what comes below")
	}
	if l.changed(o, "identifier") {
		l.doubt(at+".identifier", "has no effect with type: file", "write type: journal, or remove it")
	}
	if o.Format != "template" && l.changed(o, "template") {
		l.doubt(at+".template", "has no effect with format: "+o.Format, "write format: template, or remove it")
	}
	if o.Format == "template" && o.Template == "" {
		l.bad(at+".template", "got nothing, want a template", `write template: "%L" for the line as it is`)
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
