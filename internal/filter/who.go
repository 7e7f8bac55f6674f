package filter

import (
	"path"
	"slices"

	"ftfuse/internal/record"
	"ftfuse/internal/rules"
)

// who is the conditions of a filter that hold for a whole chunk or for none of it.
type who struct {
	uids                   []uint32
	units, commands, hosts []string
	paths                  *rules.Matcher // nil: not asked
}

// pathRule is the name of the one rule that the patterns of Filter.Paths are made into.
const pathRule = "paths"

// newWho returns nil for a filter that does not ask. The patterns have been checked.
func newWho(f *Filter) *who {
	if len(f.UIDs)+len(f.Units)+len(f.Commands)+len(f.Hosts)+len(f.Paths) == 0 {
		return nil
	}
	w := &who{uids: f.UIDs, units: f.Units, commands: f.Commands, hosts: f.Hosts}
	if len(f.Paths) > 0 {
		w.paths, _ = rules.New(rules.Options{Rules: []rules.Rule{{Name: pathRule, Match: f.Paths}}})
	}
	return w
}

func (c *who) holds(w *record.Writer, f *record.File, host string) bool {
	known := w != nil && w.Kind != record.Unknown
	switch {
	case len(c.uids) > 0 && (!known || !slices.Contains(c.uids, w.UID)),
		len(c.units) > 0 && (!known || !anyGlob(c.units, w.Unit)),
		len(c.commands) > 0 && (!known || !anyGlob(c.commands, w.Comm)),
		len(c.hosts) > 0 && !anyGlob(c.hosts, host),
		c.paths != nil && (f == nil || c.paths.Decide(f.Mount, f.Path).Rule != pathRule):
		return false
	}
	return true
}

// anyGlob reports whether a glob matches name. What is not known is empty, and no glob matches it, * neither.
func anyGlob(globs []string, name string) bool {
	return name != "" && slices.ContainsFunc(globs, func(g string) bool {
		ok, err := path.Match(g, name)
		return ok && err == nil
	})
}
