package filter

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"ftfuse/internal/rules"
)

// Problem is one mistake in Options.
type Problem struct {
	List  string // what Index counts in: filters or patterns; "" for Options itself
	Index int    // from 0
	Key   string // as in the configuration, like match
	Text  string // what was found and what was expected
	Hint  string // what to do about it; may be empty
}

func (p *Problem) Error() string {
	if p.List == "" {
		return p.Key + ": " + p.Text
	}
	return fmt.Sprintf("%s[%d].%s: %s", p.List, p.Index, p.Key, p.Text)
}

// Check returns what keeps New from making a Set of o, in the order in which it stands there.
func Check(o Options) []*Problem {
	c := &checker{}
	if o.Otherwise != "" && o.Otherwise != Allow && o.Otherwise != Deny {
		c.say("otherwise", "", "got %q, want allow or deny", o.Otherwise)
	}
	if o.Sample < 0 {
		c.say("sample", "", "got %d, want 1 or more: one of so many records passes", o.Sample)
	}
	c.list = "patterns"
	for i := range o.Patterns {
		c.index = i
		c.pattern(o.Patterns, i)
	}
	targets := map[string]bool{}
	c.list = ""
	c.targets(targets, o.Targets)
	c.list = "filters"
	for i := range o.Filters {
		c.index = i
		c.filter(&o.Filters[i], o.Patterns)
		c.targets(targets, o.Filters[i].Targets)
	}
	return c.found
}

// targets adds more to all, and says so where these become too many.
func (c *checker) targets(all map[string]bool, more []string) {
	before := len(all)
	for _, t := range more {
		all[t] = true
	}
	if before <= MaxTargets && len(all) > MaxTargets {
		c.say("targets", "", "got %d targets in one rule, want at most %d", len(all), MaxTargets)
	}
}

type checker struct {
	list  string
	index int
	found []*Problem
}

func (c *checker) say(key, hint, format string, args ...any) {
	c.found = append(c.found, &Problem{List: c.list, Index: c.index, Key: key, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *checker) pattern(all []Pattern, i int) {
	p := all[i]
	switch {
	case p.Name == "":
		c.say("name", "", "got no name")
	case slices.Contains(BuiltIn(), p.Name):
		c.say("name", "call it my_"+p.Name, "got %q, want a name that no built-in pattern has", p.Name)
	case slices.ContainsFunc(all[:i], func(q Pattern) bool { return q.Name == p.Name }):
		c.say("name", "", "got %q a second time", p.Name)
	}
	if p.Match == "" {
		c.say("match", "", "got no expression")
		return
	}
	c.expression(p.Match)
}

// expression checks an RE2 expression and returns it, nil when it is none.
func (c *checker) expression(expr string) *regexp.Regexp {
	re, err := regexp.Compile(expr)
	if err != nil {
		c.say("match", expressionHint(expr), "got %q, want an RE2 expression: %s", expr,
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	return re
}

var backReference = regexp.MustCompile(`(^|[^\\])(\\\\)*\\([1-9]|k[<{'])`)

// expressionHint says what to do instead of what other kinds of expressions have and RE2 has not.
func expressionHint(expr string) string {
	switch {
	case strings.Contains(expr, "(?=") || strings.Contains(expr, "(?!") || strings.Contains(expr, "(?<=") || strings.Contains(expr, "(?<!"):
		return "RE2 has no lookahead or lookbehind: use two filters, or one with not: true"
	case backReference.MatchString(expr):
		return `RE2 has no back references such as \1: write out what may be repeated`
	case strings.Contains(expr, "(?>") || strings.Contains(expr, "++") || strings.Contains(expr, "*+") || strings.Contains(expr, "?+"):
		return "RE2 needs no atomic groups or possessive repeats, as it never tries again: leave them out"
	}
	return "for fixed text use contains; in match put \\ before . * + ? ( ) [ ] { } | ^ $ that stand for themselves"
}

func (c *checker) filter(f *Filter, own []Pattern) {
	actions := []string{Allow, Deny, Rewrite, Redact, Route}
	if !slices.Contains(actions, f.Action) {
		c.say("action", "", "got %q, want one of %s", f.Action, strings.Join(actions, ", "))
		return
	}
	c.conditions(f)
	var re *regexp.Regexp
	if f.Match != "" {
		re = c.expression(f.Match)
	}
	c.rewrite(f, re)
	c.redact(f, own)
	switch mayTarget := f.Action == Allow || f.Action == Route; {
	case len(f.Targets) > 0 && !mayTarget:
		c.say("targets", "", "got targets with action %s, want them with allow or route only", f.Action)
	case len(f.Targets) == 0 && f.Action == Route:
		c.say("targets", "", "got none with action route, want the names of those to add")
	}
}

func (c *checker) conditions(f *Filter) {
	if f.Not && f.Contains == "" && f.Prefix == "" && f.Match == "" && f.Field == "" {
		c.say("not", "", "got nothing that it could turn round, want contains, prefix, match or field beside it")
	}
	if len(f.Is) > 0 && f.Field == "" {
		c.say("is", "", "got values without a field, want field beside it")
	}
	for _, g := range []struct {
		key   string
		globs []string
	}{{"units", f.Units}, {"commands", f.Commands}, {"hosts", f.Hosts}} {
		for _, glob := range g.globs {
			if _, err := path.Match(glob, ""); err != nil || glob == "" {
				c.say(g.key, `* stands for any text, ? for one character, [a-z] for a class; put \ before one that stands for itself`,
					"got %q, want a glob that is not empty and has every [ closed", glob)
			}
		}
	}
	for _, p := range f.Paths {
		if err := rules.CheckPattern(p); err != nil {
			c.say("paths", "", "%v", err)
		}
	}
}

func (c *checker) rewrite(f *Filter, re *regexp.Regexp) {
	switch given := f.Rewrite != ""; {
	case !given && f.Action != Rewrite:
		return
	case f.Action != Rewrite && f.Action != Allow:
		c.say("rewrite", "", "got it with action %s, want it with allow or rewrite only", f.Action)
	case !given:
		c.say("rewrite", "$0 is the whole match, $1 the first group", "got none with action rewrite, want the new text")
	case f.Match == "":
		c.say("match", "", "got none beside rewrite, want the expression whose groups it takes")
	case f.Not:
		c.say("rewrite", "", "got it with not: what does not match has no groups")
	case strings.ContainsAny(f.Rewrite, lineEnds):
		c.say("rewrite", "", "got a line end in it, want none: it would make two records of one")
	case re != nil:
		if _, err := parseExpansion(f.Rewrite, re); err != nil {
			c.say("rewrite", "$1 or ${name} is a group of match, $$ a dollar; a digit behind a group: ${1}0", "%v", err)
		}
	}
}

const lineEnds = "\n\r\x00"

func (c *checker) redact(f *Filter, own []Pattern) {
	if f.Action != Redact {
		if len(f.Redact) > 0 {
			c.say("redact", "", "got it with action %s, want it with redact only", f.Action)
		}
		if f.With != "" && f.With != DefaultWith {
			c.say("with", "", "got it with action %s, want it with redact only", f.Action)
		}
		return
	}
	if len(f.Redact) == 0 {
		c.say("redact", "", "got none with action redact, want names of patterns: %s, or your own", strings.Join(BuiltIn(), " "))
	}
	for _, name := range f.Redact {
		if !slices.Contains(BuiltIn(), name) && !slices.ContainsFunc(own, func(p Pattern) bool { return p.Name == name }) {
			c.say("redact", "write it under patterns, or take one of "+strings.Join(BuiltIn(), " "), "got %q, want the name of a pattern", name)
		}
	}
	if strings.ContainsAny(f.With, lineEnds) {
		c.say("with", "", "got a line end in it, want none: it would make two records of one")
	}
}
