package node

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/refine"
)

// explainFilters adds what a rule does to records.
func explainFilters(e *control.Explanation, rule *refine.Rule, filters []config.Filter, otherwise string, sample int) {
	lines := rule.Filter.Explain() // behind the filters it says what follows
	e.Otherwise, e.Sample, e.Targets = otherwise, sample, rule.Targets
	for i := range filters {
		head, cost, _ := strings.Cut(lines[i], ": ")
		e.Filters = append(e.Filters, head+deed(&filters[i])+conditions(&filters[i])+" ("+cost+")")
	}
}

// deed is what a filter does, beside its action and targets.
func deed(f *config.Filter) string {
	switch {
	case f.Rewrite != "":
		return fmt.Sprintf(" as %q", f.Rewrite)
	case len(f.Redact) > 0:
		return " of " + strings.Join(f.Redact, ", ")
	}
	return ""
}

// conditions says when a filter holds.
func conditions(f *config.Filter) string {
	var all []string
	add := func(given bool, format string, args ...any) {
		if given {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	list := func(key string, values []string) { add(len(values) > 0, "%s %s", key, strings.Join(values, " or ")) }
	not := ""
	if f.Not {
		not = "not "
	}
	add(f.Contains != "", "%scontains %q", not, f.Contains)
	add(f.Prefix != "", "%sprefix %q", not, f.Prefix)
	add(f.Match != "", "%smatch '%s'", not, f.Match)
	switch is := strings.Join(f.Is, " or "); {
	case f.Field != "" && is != "":
		add(true, "%sfield %s is %s", not, f.Field, is)
	default:
		add(f.Field != "", "%sfield %s", not, f.Field)
	}
	var uids []string
	for _, id := range f.UIDs {
		uids = append(uids, strconv.Itoa(int(id)))
	}
	list("uid", uids)
	list("unit", f.Units)
	list("command", f.Commands)
	list("path", f.Paths)
	list("host", f.Hosts)
	if len(all) == 0 {
		return ""
	}
	return " if " + strings.Join(all, " and ")
}

// explainTargets adds those that names has, in the order of the configuration. e.Targets are the rule's own.
func explainTargets(e *control.Explanation, names []string, targets []config.Target, outputs []config.Output) {
	add := func(t control.ExplainedTarget) {
		if slices.Contains(names, t.Name) {
			t.ByRule = slices.Contains(e.Targets, t.Name)
			e.To = append(e.To, t)
		}
	}
	for _, t := range targets {
		x := explainMembers(&t)
		if t.Compression != "none" {
			x.Notes = append(x.Notes, "compressed by "+t.Compression)
		}
		add(x)
	}
	for _, o := range outputs {
		add(explainOutput(o))
	}
}

// explainMembers says where a target sends to.
func explainMembers(t *config.Target) control.ExplainedTarget {
	x := control.ExplainedTarget{Name: t.Name, Type: "target", Where: t.Address, Backlog: int64(t.Backlog)}
	if t.Address != "" && !t.Several() {
		return x
	}
	var list []string
	for _, m := range t.Receivers() {
		list = append(list, m.Address)
	}
	switch t.Policy {
	case "only":
		x.Notes = append(x.Notes, "all to member "+t.Only)
	case "hash":
		x.Notes = append(x.Notes, "hash of "+t.Hash)
	default:
		x.Notes = append(x.Notes, t.Policy)
	}
	x.Where = strings.Join(list, ", ")
	return x
}

func explainOutput(o config.Output) control.ExplainedTarget {
	t := control.ExplainedTarget{Name: o.Name, Type: o.Type, Format: o.Format}
	switch o.Type {
	case "journal":
		t.Where, t.Format = "the journal of this machine", ""
		if o.Identifier != "" {
			t.Notes = append(t.Notes, "as "+o.Identifier)
		}
	case "plugin":
		t.Where, t.Backlog = commandLine(o.Plugin.Command), int64(o.Plugin.Backlog)
		if o.Plugin.Ack {
			t.Notes = append(t.Notes, "acknowledges what it has taken")
		}
		if o.Plugin.Stdout == "records" {
			t.Notes = append(t.Notes, "its stdout becomes records for "+strings.Join(o.Plugin.StdoutTargets, ", "))
		}
	default:
		t.Where = strings.TrimSuffix(o.Base, "/") + "/" + o.Path
		if o.Below != "" {
			t.Notes = append(t.Notes, "in the directory below mount "+o.Below)
		}
		t.Notes = append(t.Notes, explainRotation(o.Rotate)...)
		if o.Durability == "disk" {
			t.Notes = append(t.Notes, "synced to disk")
		}
	}
	return t
}

func explainRotation(r config.Rotate) (notes []string) {
	var when []string
	if r.Size > 0 {
		when = append(when, "at "+r.Size.String())
	}
	if r.Age > 0 {
		when = append(when, "after "+config.FormatDuration(r.Age))
	}
	if len(when) == 0 {
		return nil
	}
	notes = append(notes, "rotated "+strings.Join(when, " or "))
	if r.Keep > 0 {
		notes = append(notes, fmt.Sprintf("%d of those stay", r.Keep))
	}
	if r.KeepAge > 0 {
		notes = append(notes, "those stay for "+config.FormatDuration(r.KeepAge))
	}
	if r.Compress != "none" {
		notes = append(notes, "packed by "+r.Compress)
	}
	return notes
}

// commandLine shows an argument vector so that one can tell where arguments end.
func commandLine(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		if words[i] = a; a == "" || strings.ContainsAny(a, " \t\n\"'\\") {
			words[i] = strconv.Quote(a)
		}
	}
	return strings.Join(words, " ")
}
