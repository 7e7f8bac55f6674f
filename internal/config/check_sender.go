package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ftfuse/internal/record"
)

// checkSender judges what no single value shows. A check is left out where a section that it needs is wrong
// already, so that one mistake gives one message.
func (l *loader) checkSender(c *Sender) {
	broken := slices.Clone(l.problems)
	run := func(check func(*Sender), sections ...string) {
		if !broken.touches(sections...) {
			check(c)
		}
	}
	run(l.checkHost, "host")
	run(func(c *Sender) { l.checkControl(c.Control) }, "control")
	run(func(c *Sender) { l.checkMetrics(c.Metrics.Listen, c.Control) }, "control", "metrics")
	run(l.checkMounts, "mounts", "state_dir", "spool_dir", "queue", "control")
	run(l.checkRules, "rules", "mounts", "targets")
	run(l.checkQueue, "queue", "spool_dir", "state_dir")
	run(l.checkTargets, "targets")
}

func (l *loader) bad(path, text, hint string) {
	l.problems = append(l.problems, Problem{Origin: l.report.place(path), Key: path, Text: text, Hint: hint})
}

func (l *loader) doubt(path, text, hint string) {
	l.problems = append(l.problems, Problem{Origin: l.report.place(path), Key: path, Text: text, Hint: hint, Warning: true})
}

func (l *loader) checkHost(c *Sender) {
	if len(c.Host) > 255 || strings.ContainsAny(c.Host, "/\x00\n") {
		l.bad("host", fmt.Sprintf("got %s, want at most 255 bytes without / and line ends", quote(c.Host)), "")
	}
}

func (l *loader) checkControl(c Control) {
	if len(c.Socket) > maxSocketPath {
		l.bad("control.socket", fmt.Sprintf("got %d bytes, want at most %d, the kernel's limit", len(c.Socket), maxSocketPath), "")
	}
	if c.Mode&0o007 != 0 {
		l.doubt("control.mode", fmt.Sprintf("%s lets every user of the machine give commands", c.Mode), "write 0660 and name a group")
	}
}

// checkMetrics keeps figures, paths and names from whoever else is in the network.
func (l *loader) checkMetrics(listen string, c Control) {
	network, address := Network(listen)
	switch {
	case listen == "":
	case !local(listen):
		l.bad("metrics.listen", fmt.Sprintf("got %s, want a loopback address or a unix socket: there is neither encryption nor a password", quote(listen)),
			"write 127.0.0.1:PORT, or let systemd listen: a socket unit with FileDescriptorName=metrics")
	case network == "unix" && address == c.Socket:
		l.bad("metrics.listen", "got the control socket, want one of its own", "write unix:"+strings.TrimSuffix(c.Socket, ".sock")+"-metrics.sock")
	}
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

func (l *loader) checkMounts(c *Sender) {
	if len(c.Mounts) == 0 {
		l.doubt("mounts", "no mount: nothing will be captured", "add `- {name: NAME, path: DIRECTORY}`")
	}
	own := []struct{ key, path string }{
		{"state_dir", c.StateDir}, {"spool_dir", c.SpoolDir}, {"queue.dir", c.Queue.Dir},
		{"control.socket", filepath.Dir(c.Control.Socket)},
	}
	for i, m := range c.Mounts {
		at := "mounts[" + m.Name + "].path"
		if m.Umask > 0o777 {
			l.bad("mounts["+m.Name+"].umask", fmt.Sprintf("got %s, want at most 0777", m.Umask), "")
		}
		if m.Path == "/" {
			l.bad(at, `got "/", want a directory below it`, "")
			continue
		}
		for _, other := range c.Mounts[:i] {
			if within(m.Path, other.Path) || within(other.Path, m.Path) {
				l.bad(at, fmt.Sprintf("%s and %s of mount %s lie in each other: one would capture the other's files", m.Path, other.Path, other.Name),
					"mount the outer directory alone and tell them apart by rules")
			}
		}
		for _, o := range own {
			if within(o.path, m.Path) || within(m.Path, o.path) && o.key != "control.socket" {
				l.bad(at, fmt.Sprintf("%s and %s (%s) lie in each other: the sender would wait for itself", m.Path, o.path, o.key),
					"keep the sender's own data outside of what it captures")
				break
			}
		}
	}
}

func (l *loader) checkRules(c *Sender) {
	mounts, targets := names(c.Mounts, func(m Mount) string { return m.Name }), names(c.Targets, func(t Target) string { return t.Name })
	owner := map[string]string{}
	for _, r := range c.Rules {
		at := "rules[" + r.Name + "]"
		l.checkRule(at, r, mounts, targets)
		for _, pattern := range r.Match {
			key := fmt.Sprint(pattern, "\x00", r.Mounts)
			if first, taken := owner[key]; taken && first != r.Name {
				l.doubt(at+".match", fmt.Sprintf("pattern %s stands in rule %s already, which is written first and wins", pattern, first), "remove one of them")
			} else if taken {
				l.doubt(at+".match", fmt.Sprintf("pattern %s stands here twice", pattern), "remove one of them")
			} else {
				owner[key] = r.Name
			}
		}
	}
}

func (l *loader) checkRule(at string, r Rule, mounts, targets []string) {
	if len(r.Match) == 0 {
		l.bad(at+".match", "got no pattern, want at least one", `write match: ["**"] for every file`)
	}
	for _, m := range r.Mounts {
		if !slices.Contains(mounts, m) {
			l.bad(at+".mounts", fmt.Sprintf("got %s, want the name of a mount: %s", quote(m), listNames(mounts)), didYouMean(m, mounts))
		}
	}
	if !r.Send {
		for _, key := range []string{"targets", "capture", "unit", "expire", "when_full"} {
			if l.changed(r, key) {
				l.doubt(at+"."+key, "has no effect, as the rule sends nothing", "remove it, or write send: true")
			}
		}
		return
	}
	if len(r.Targets) == 0 {
		l.bad(at+".targets", "got none, want at least one", "write send: false for what is only stored")
	}
	for _, t := range r.Targets {
		if !slices.Contains(targets, t) {
			l.bad(at+".targets", fmt.Sprintf("got %s, want the name of a target: %s", quote(t), listNames(targets)), didYouMean(t, targets))
		}
	}
	if r.Unit == record.Write && r.Capture != record.WriteMode {
		l.bad(at+".unit", fmt.Sprintf("unit write does not go with capture %s: the kernel appends to the spool by itself there, and nobody sees single writes", r.Capture),
			"write capture: write")
	}
	if r.WhenFull != record.DropOldest && r.Capture != record.WriteMode {
		l.bad(at+".when_full", fmt.Sprintf("%s does not go with capture %s: the kernel appends to the spool by itself there, and the sender can only make room afterwards", r.WhenFull, r.Capture),
			"write capture: write, or when_full: drop-oldest")
	}
	if r.WhenFull != record.Block && l.changed(r, "block") {
		l.doubt(at+".block", "has no effect with when_full: "+r.WhenFull.String(), "write when_full: block, or remove it")
	}
	if r.WhenFull == record.Block && r.Block == 0 {
		l.bad(at+".block", "got 0s, want a time that a write waits for room", "write when_full: refuse to refuse at once")
	}
}

func (l *loader) checkQueue(c *Sender) {
	q := c.Queue
	if 2*q.SegmentSize > q.MaxSize {
		l.bad("queue.segment_size", fmt.Sprintf("got %s, want at most half of max_size, which is %s", q.SegmentSize, q.MaxSize), "")
	}
	if within(c.SpoolDir, q.Dir) || within(q.Dir, c.SpoolDir) {
		l.bad("queue.dir", fmt.Sprintf("%s and %s (spool_dir) lie in each other: what cleans one would remove the other", q.Dir, c.SpoolDir), "use two directories side by side")
	}
	if within(c.StateDir, q.Dir) || within(c.StateDir, c.SpoolDir) {
		l.bad("state_dir", fmt.Sprintf("%s lies in the queue's or the spool's directory", c.StateDir), "put queue and spool below state_dir, or elsewhere")
	}
	l.checkDisk(c)
}

func (l *loader) checkTargets(c *Sender) {
	if len(c.Targets) == 0 {
		l.bad("targets", "got none, want at least one", "write `- {name: default, address: HOST:"+Port+"}`")
	}
	for i, t := range c.Targets {
		at := "targets[" + t.Name + "]"
		if t.Backoff.Min > t.Backoff.Max {
			l.bad(at+".backoff", fmt.Sprintf("got min %s above max %s", FormatDuration(t.Backoff.Min), FormatDuration(t.Backoff.Max)), "")
		}
		if t.Compression != "zstd" && l.changed(t, "level") {
			l.doubt(at+".level", "has no effect with compression: "+t.Compression, "write compression: zstd, or remove it")
		}
		if !local(t.Address) {
			l.doubt(at+".address", t.Address+" is reached without encryption and without proof of who answers", "use it in networks that you trust")
		}
		used := i == 0 || slices.ContainsFunc(c.Rules, func(r Rule) bool { return r.Send && slices.Contains(r.Targets, t.Name) })
		if !used {
			l.doubt(at, "no rule sends to it", "remove it, or name it as target of a rule")
		}
	}
}

func names[T any](list []T, name func(T) string) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = name(e)
	}
	return out
}

func listNames(list []string) string {
	if len(list) == 0 {
		return "there is none"
	}
	return strings.Join(list, ", ")
}
