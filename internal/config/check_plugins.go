package config

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// longestStop is what a plug-in can be given when the process stops, which ends itself after 30 s (stopLimit in cmd/ftfuse).
const longestStop = 25 * time.Second

// checkPlugin judges the program of an output. What a look at this machine shows is only doubted: the program may come
// with a package that is not there yet.
func (l *loader) checkPlugin(at string, p Plugin) {
	l.checkBackoff(at+".restart", p.Restart)
	l.checkStdout(at, p)
	if info, err := os.Stat(p.Directory); err != nil {
		l.doubt(at+".directory", "cannot use "+p.Directory+": "+reason(err), "make it, or name another one")
	} else if !info.IsDir() {
		l.doubt(at+".directory", p.Directory+" is no directory", "name one")
	}
	if p.StopTimeout > longestStop {
		l.doubt(at+".stop_timeout", fmt.Sprintf("%s is more than a stop of the process leaves it: that takes at most 30s, of which other parts need some", FormatDuration(p.StopTimeout)), "write 25s or less; a reload gives it all of the time")
	}
	if len(p.Command) == 0 {
		if !l.broken(at + ".command") {
			l.bad(at+".command", "is missing, want a program and its arguments", "add `command: [/PROGRAM, ARGUMENT]`")
		}
		return
	}
	program := p.Command[0]
	if err := checkPath(program); err != nil {
		l.bad(at+".command", fmt.Sprintf("got %s, want the absolute path of a program first", quote(program)), commandHint(p.Command))
		return
	}
	switch info, err := os.Stat(program); {
	case err != nil:
		l.doubt(at+".command", "cannot run "+program+": "+reason(err), "install it, or correct the path")
	case info.Mode()&fs.ModeType != 0 || info.Mode()&0o111 == 0:
		l.doubt(at+".command", program+" is not an executable file", "name one, or set its permissions")
	}
}

// commandHint guesses that a command was written for a shell.
func commandHint(command []string) string {
	if len(command) == 1 && strings.ContainsAny(command[0], " |<>;&$") {
		return "write the program and each argument as an element, or [/bin/sh, -c, \"...\"]"
	}
	return "there is no search in PATH: write where the program lies"
}

// checkStdout wants stdout and the keys that go with it to be of one mind.
func (l *loader) checkStdout(at string, p Plugin) {
	switch {
	case p.Stdout == "file" && p.StdoutFile == "" && !l.broken(at+".stdout_file"):
		l.bad(at+".stdout_file", "is missing, want an absolute path", "add `stdout_file: ...`, or write stdout: journal")
	case p.Stdout != "file" && p.StdoutFile != "":
		l.bad(at+".stdout_file", "does not go with stdout: "+p.Stdout, "write stdout: file, or remove it")
	}
	switch {
	case p.Stdout == "records" && len(p.StdoutTargets) == 0 && !l.broken(at+".stdout_targets"):
		l.bad(at+".stdout_targets", "got none, want at least one", "name a target or another output")
	case p.Stdout != "records" && len(p.StdoutTargets) > 0:
		l.bad(at+".stdout_targets", "does not go with stdout: "+p.Stdout, "write stdout: records, or remove it")
	}
}

// checkFeedback judges what comes back from the plug-in o of a sender.
func (l *loader) checkFeedback(at string, o Output, c *Sender) {
	if o.Plugin.StdoutFile != "" {
		l.checkOutsideMounts(at+".stdout_file", o.Plugin.StdoutFile, c)
	}
	if o.Plugin.Backlog > c.Queue.MaxSize {
		l.doubt(at+".backlog", fmt.Sprintf("%s is above queue.max_size, which is %s", o.Plugin.Backlog, c.Queue.MaxSize), "lower it, or remove it")
	}
	l.checkNames(at+".stdout_targets", o.Plugin.StdoutTargets, c.destinations())
	if way := c.circle(o.Name); way != nil && way[0] == slices.Min(way) { // once for all that lie on it
		l.bad(at+".stdout_targets", "goes in a circle: "+strings.Join(append(way, o.Name), " -> "), "records would go round for ever")
	}
}

// circle returns the shortest way from the plug-in of that name back to itself, without its end; nil: there is none.
func (c *Sender) circle(name string) []string {
	next := map[string][]string{}
	for _, o := range c.Outputs {
		if o.Type == "plugin" && o.Plugin.Stdout == "records" {
			next[o.Name] = o.Plugin.StdoutTargets
		}
	}
	seen, ways := map[string]bool{}, [][]string{{name}}
	for len(ways) > 0 {
		way := ways[0]
		ways = ways[1:]
		for _, n := range next[way[len(way)-1]] {
			if n == name {
				return way
			}
			if !seen[n] {
				seen[n] = true
				ways = append(ways, append(slices.Clone(way), n))
			}
		}
	}
	return nil
}
