package config

import (
	"fmt"

	"ftfuse/internal/record"
)

func (l *loader) checkRules(c *Sender) {
	mounts := destinations{names: names(c.Mounts, nameOfMount), noun: "a mount"}
	filters := filterCheck{to: c.destinations(), patterns: c.Patterns}
	owners := patternOwners{}
	for _, r := range c.Rules {
		at := "rules[" + r.Name + "]"
		l.checkRule(at, r, mounts, filters)
		l.checkMatch(at, r.Name, r.Match, r.Mounts, owners)
	}
}

// patternOwners says which rule has a pattern first, by the pattern and what it is limited to.
type patternOwners map[string]string

// checkMatch judges the patterns of a rule; scope are the mounts or hosts that it is for.
func (l *loader) checkMatch(at, rule string, match, scope []string, owners patternOwners) {
	if len(match) == 0 {
		l.bad(at+".match", "got no pattern, want at least one", `write match: ["**"] for every file`)
	}
	for _, pattern := range match {
		key := fmt.Sprint(pattern, "\x00", scope)
		if first, taken := owners[key]; taken && first != rule {
			l.doubt(at+".match", fmt.Sprintf("pattern %s stands in rule %s already, which is written first and wins", pattern, first), "remove one of them")
		} else if taken {
			l.doubt(at+".match", fmt.Sprintf("pattern %s stands here twice", pattern), "remove one of them")
		} else {
			owners[key] = rule
		}
	}
}

// withoutSend are the keys that say something about what is sent.
var withoutSend = []string{"targets", "capture", "unit", "line_end", "join", "too_long", "batch", "expire", "priority", "when_full",
	"filters", "otherwise", "sample", "limits"}

func (l *loader) checkRule(at string, r Rule, mounts destinations, filters filterCheck) {
	l.checkNames(at+".mounts", r.Mounts, mounts)
	if !r.Send {
		for _, key := range withoutSend {
			if l.changed(r, key) {
				l.doubt(at+"."+key, "has no effect, as the rule sends nothing", "remove it, or write send: true")
			}
		}
		return
	}
	if len(r.Targets) == 0 {
		l.bad(at+".targets", "got none, want at least one", "write send: false for what is only stored")
	}
	l.checkNames(at+".targets", r.Targets, filters.to)
	l.checkCapture(at, r)
	l.checkUnit(at, r)
	l.checkBatch(at+".batch", r.Batch)
	l.checkFilters(at, r.Filters, r.Otherwise, filters)
	for i, limit := range r.Limits {
		l.checkLimit(numbered(at+".limits", i), limit)
	}
}

// checkCapture holds a rule to what its way of capture can do.
func (l *loader) checkCapture(at string, r Rule) {
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

// checkUnit holds a rule to what its records are.
func (l *loader) checkUnit(at string, r Rule) {
	if r.Unit != record.Line {
		for _, key := range []string{"line_end", "join", "too_long"} {
			if l.changed(r, key) {
				l.bad(at+"."+key, fmt.Sprintf("does not go with unit %s, which has no lines", r.Unit), "write unit: line, or remove it")
			}
		}
	}
	if r.Unit == record.Binary && len(r.Filters) > 0 {
		l.bad(at+".filters", "do not go with unit binary, which has no records", "write unit: line, or remove them")
	}
	if r.Unit == record.Binary && r.Sample > 1 {
		l.bad(at+".sample", "does not go with unit binary, which has no records", "write unit: line, or remove it")
	}
	join := r.Join.Start != "" || r.Join.Continue != ""
	switch {
	case r.Join.Start != "" && r.Join.Continue != "":
		l.bad(at+".join", "got start and continue, want one of them", "what does not match start continues already")
	case !join && r.Unit == record.Line && l.changed(r, "join"):
		l.doubt(at+".join", "has no effect without start or continue", "write one of them, or remove it")
	}
}

// checkBatch refuses what would leave records waiting for others that may never come.
func (l *loader) checkBatch(at string, g Gather) {
	if g.Wait == 0 && (g.Bytes > 0 || g.Records > 0) {
		l.bad(at+".wait", "is missing: what comes last would wait for ever", "write wait: 1s, the longest that a record waits")
	}
}

func (l *loader) checkLimit(at string, limit Limit) {
	rate := limit.Bytes > 0 || limit.Records > 0
	if !rate && limit.Quota == 0 {
		l.bad(at, "limits nothing, want bytes, records or quota", "add `bytes: 1MiB` for so many bytes a second")
		return
	}
	if !rate && l.changed(limit, "burst") {
		l.doubt(at+".burst", "has no effect without bytes or records", "remove it; a quota goes with every")
	}
	if limit.Quota == 0 && l.changed(limit, "every") {
		l.doubt(at+".every", "has no effect without quota", "remove it; bytes and records are a second's")
	}
}

// checkReceiverRules is checkRules for a receiver.
func (l *loader) checkReceiverRules(c *Receiver) {
	filters := filterCheck{to: c.destinations(), patterns: c.Patterns, receiver: true}
	owners, all, used := patternOwners{}, len(c.Rules) == 0, map[string]bool{}
	for _, r := range c.Rules {
		at := "rules[" + r.Name + "]"
		l.checkMatch(at, r.Name, r.Match, r.Hosts, owners)
		l.checkNames(at+".outputs", r.Outputs, filters.to)
		l.checkFilters(at, r.Filters, r.Otherwise, filters)
		all = all || len(r.Outputs) == 0
		for _, name := range r.Outputs {
			used[name] = true
		}
		for _, f := range r.Filters {
			for _, name := range f.Targets {
				used[name] = true
			}
		}
	}
	unnamed := func(list string, all []string) {
		for _, name := range all {
			if !used[name] {
				l.doubt(list+"["+name+"]", "no rule names it: it gets only what no rule matches", "name it in outputs of a rule, or remove it")
			}
		}
	}
	if !all {
		unnamed("outputs", names(c.Outputs, nameOfOutput))
		unnamed("targets", names(c.Targets, nameOfTarget))
	}
}

// destinations are the outputs and targets, in the order in which people are told them.
func (c *Receiver) destinations() destinations {
	d := destinations{names: names(c.Outputs, nameOfOutput), noun: "an output"}
	if len(c.Targets) > 0 {
		d.names, d.noun = append(d.names, names(c.Targets, nameOfTarget)...), "an output or target"
	}
	return d
}
