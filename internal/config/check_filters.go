package config

import (
	"slices"
	"strings"
)

// BuiltInPatterns are the names that a filter's redact takes besides the configuration's own patterns.
var BuiltInPatterns = []string{"aws_key", "bearer", "card", "email", "ipv4", "ipv6", "jwt", "mac", "password", "private_key",
	"secret", "url_password", "uuid"}

// filterCheck is what the filters of a configuration can refer to.
type filterCheck struct {
	to       destinations
	patterns []Pattern // own ones
	receiver bool
}

// doers says which actions a key goes with that is not a condition, the usual one first.
var doers = []struct {
	key     string
	actions []string
}{
	{"rewrite", []string{"rewrite", "allow"}},
	{"redact", []string{"redact"}},
	{"with", []string{"redact"}},
	{"targets", []string{"route", "allow"}},
}

// checkFilters judges the filters of the rule at at, and what becomes of what they do not decide.
func (l *loader) checkFilters(at string, filters []Filter, otherwise string, c filterCheck) {
	allows := false
	for i, f := range filters {
		here := numbered(at+".filters", i)
		l.checkConditions(here, f, c)
		l.checkAction(here, f, c)
		allows = allows || f.Action == "allow"
		decides := f.Action == "allow" || f.Action == "deny"
		if decides && i < len(filters)-1 && f.unconditional() {
			l.doubt(here, "decides about every record: the filters after it are never reached", "put it last, or give it a condition")
		}
	}
	if otherwise == "deny" && !allows {
		l.doubt(at+".otherwise", "got deny, and no filter allows anything: every record is dropped", "add a filter with action: allow")
	}
}

// unconditional reports whether f acts on every record.
func (f *Filter) unconditional() bool {
	return f.Contains == "" && f.Prefix == "" && f.Match == "" && f.Field == "" &&
		len(f.UIDs)+len(f.Units)+len(f.Commands)+len(f.Paths)+len(f.Hosts) == 0
}

func (l *loader) checkConditions(at string, f Filter, c filterCheck) {
	if len(f.Is) > 0 && f.Field == "" {
		l.bad(at+".is", "got values and no field", "add `field: NAME`")
	}
	if f.Not && f.Contains == "" && f.Prefix == "" && f.Match == "" && f.Field == "" {
		l.bad(at+".not", "got nothing that it could turn round, want contains, prefix, match or field", "remove it")
	}
	if len(f.Hosts) > 0 && !c.receiver {
		l.bad(at+".hosts", "goes with a receiver: all of a sender's records are of one host", "remove it")
	}
}

// checkAction wants what the action needs, and nothing that goes with others.
func (l *loader) checkAction(at string, f Filter, c filterCheck) {
	for _, d := range doers {
		if !slices.Contains(d.actions, f.Action) && l.changed(f, d.key) {
			l.bad(at+"."+d.key, "does not go with action "+f.Action, "write action: "+strings.Join(d.actions, " or ")+", or remove it")
		}
	}
	if f.Action == "rewrite" && f.Rewrite == "" {
		l.bad(at+".rewrite", "is missing, want what the record becomes", `add rewrite: "..."`)
	}
	if rewrites := f.Action == "rewrite" || f.Action == "allow" && f.Rewrite != ""; rewrites {
		switch {
		case f.Match == "":
			l.bad(at+".match", "is missing, want an expression: rewrite is about what it matches", `add match: "..."`)
		case f.Not:
			l.bad(at+".not", "does not go with rewrite, which is about what match matches", "remove one of them")
		}
	}
	if f.Action == "redact" && len(f.Redact) == 0 {
		l.bad(at+".redact", "got none, want names of patterns", "write redact: [email]")
	}
	if f.Action == "route" && len(f.Targets) == 0 {
		l.bad(at+".targets", "got none, want where it goes besides", "write targets: [NAME]")
	}
	own := names(c.patterns, func(p Pattern) string { return p.Name })
	l.checkNames(at+".redact", f.Redact, destinations{names: append(own, BuiltInPatterns...), noun: "a pattern"})
	l.checkNames(at+".targets", f.Targets, c.to)
}

func (l *loader) checkPatterns(patterns []Pattern) {
	for _, p := range patterns {
		if slices.Contains(BuiltInPatterns, p.Name) {
			l.bad("patterns["+p.Name+"]", "got the name of a built-in pattern", "call it own_"+p.Name)
		}
	}
}
