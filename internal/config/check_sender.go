package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
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
	run(l.checkRules, "rules", "mounts", "targets", "outputs", "patterns")
	run(l.checkQueue, "queue", "spool_dir", "state_dir")
	run(l.checkTargets, "targets", "outputs", "rules", "queue")
	run(l.checkCopies, "outputs", "mounts", "targets", "rules", "queue", "spool_dir", "state_dir")
	run(func(c *Sender) { l.checkPatterns(c.Patterns) }, "patterns")
	run(l.checkSenderTests, "tests", "mounts", "rules", "targets", "outputs")
}

func (l *loader) checkHost(c *Sender) {
	if len(c.Host) > 255 || strings.ContainsAny(c.Host, "/\x00\n") {
		l.bad("host", fmt.Sprintf("got %s, want at most 255 bytes without / and line ends", quote(c.Host)), "")
	}
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
	if len(c.Targets) == 0 && len(c.Outputs) == 0 {
		l.bad("targets", "got none, want at least one, or an output", "write `- {name: default, address: HOST:"+Port+"}`")
	}
	used := c.used()
	for i, t := range c.Targets {
		at := "targets[" + t.Name + "]"
		l.checkTarget(at, t, c.Queue.MaxSize)
		if l.changed(t, "ack") {
			l.doubt(at+".ack", "has no effect on a sender: its own data is acknowledged to nobody", "remove it; it is for targets of a receiver")
		}
		if i > 0 && !used[t.Name] {
			l.doubt(at, "no rule sends to it", "remove it, or name it as target of a rule")
		}
	}
}

// used says which targets and outputs get anything, besides what no rule matches.
func (c *Sender) used() map[string]bool {
	used := map[string]bool{}
	name := func(list []string) {
		for _, n := range list {
			used[n] = true
		}
	}
	for _, r := range c.Rules {
		if !r.Send {
			continue
		}
		name(r.Targets)
		for _, f := range r.Filters {
			name(f.Targets)
		}
	}
	for _, o := range c.Outputs {
		name(o.Plugin.StdoutTargets)
	}
	return used
}

// destinations are the targets and outputs, in the order in which people are told them.
func (c *Sender) destinations() destinations {
	d := destinations{names: names(c.Targets, nameOfTarget), noun: "a target"}
	if len(c.Outputs) > 0 {
		d.names, d.noun = append(d.names, names(c.Outputs, nameOfOutput)...), "a target or output"
	}
	return d
}
