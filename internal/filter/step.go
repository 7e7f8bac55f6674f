package filter

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"ftfuse/internal/fields"
)

// step is a filter, compiled.
type step struct {
	action  string
	need    need
	who     *who // nil: any writer, file and host
	content bool // the record's text is asked for
	not     bool

	contains, prefix []byte         // nil: not asked
	match            *regexp.Regexp // nil: not asked
	field            string
	asksField        bool
	is               []string

	rewrite *expansion // nil: the text stays
	redact  []finder
	with    []byte
	targets Targets
}

// compileStep takes a filter that Check has found nothing wrong with.
func compileStep(f *Filter, own []Pattern) step {
	st := step{action: f.Action, who: newWho(f), not: f.Not, field: f.Field, is: f.Is, asksField: f.Field != ""}
	st.content = f.Contains != "" || f.Prefix != "" || f.Match != "" || f.Field != ""
	if f.Contains != "" {
		st.contains = []byte(f.Contains)
	}
	if f.Prefix != "" {
		st.prefix = []byte(f.Prefix)
	}
	if f.Match != "" {
		st.match = regexp.MustCompile(f.Match)
		st.simplify(f)
	}
	if f.Rewrite != "" || f.Action == Rewrite {
		st.rewrite, _ = parseExpansion(f.Rewrite, st.match)
	}
	for _, name := range f.Redact {
		st.redact = append(st.redact, newFinder(name, own))
	}
	st.with = []byte(f.With)
	if f.With == "" {
		st.with = []byte(DefaultWith)
	}
	st.need = st.needs(f)
	return st
}

// simplify turns an expression that is only a text into contains or prefix, which cost less, where these are free and
// no submatch is asked for.
func (st *step) simplify(f *Filter) {
	re, err := syntax.Parse(f.Match, syntax.Perl)
	if err != nil || f.Action == Rewrite || f.Rewrite != "" {
		return
	}
	switch {
	case plainText(re) && st.contains == nil:
		st.contains, st.match = []byte(string(re.Rune)), nil
	case re.Op == syntax.OpConcat && len(re.Sub) == 2 && re.Sub[0].Op == syntax.OpBeginText && plainText(re.Sub[1]) && st.prefix == nil:
		st.prefix, st.match = []byte(string(re.Sub[1].Rune)), nil
	}
}

func plainText(re *syntax.Regexp) bool {
	return re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0 && !slices.Contains(re.Rune, '\uFFFD')
}

// needs returns what a record must hold for the step to do something. A step with not does something when its conditions
// fail: then there is no such text.
func (st *step) needs(f *Filter) (n need) {
	if !st.not {
		for _, c := range st.conditions(f) {
			n = better(n, c)
		}
	}
	if len(st.redact) > 0 {
		n = better(n, needOfFinders(st.redact))
	}
	return n
}

// conditions returns the need of each condition on the content.
func (st *step) conditions(f *Filter) (all []need) {
	if f.Contains != "" {
		all = append(all, needOf(f.Contains))
	}
	if f.Prefix != "" {
		all = append(all, need{texts: []text{{fold(f.Prefix), true}}})
	}
	if f.Match != "" {
		all = append(all, needOfRegexp(f.Match))
	}
	if f.Field != "" {
		n := better(needOf(f.Is...), needOf(lastPart(f.Field)))
		n.escapes = true
		all = append(all, n)
	}
	return all
}

// holds reports whether the conditions on the content do, but for the match of a rewrite, whose groups are asked for too.
func (st *step) holds(b []byte) bool {
	if !st.content {
		return true
	}
	switch {
	case st.prefix != nil && bytes.HasPrefix(b, st.prefix) == st.not,
		st.contains != nil && bytes.Contains(b, st.contains) == st.not,
		st.asksField && st.fieldHolds(b) == st.not,
		st.match != nil && st.rewrite == nil && st.match.Match(b) == st.not:
		return false
	}
	return true
}

func (st *step) fieldHolds(b []byte) bool {
	v, ok := fields.Lookup(b, st.field)
	return ok && (len(st.is) == 0 || slices.ContainsFunc(st.is, v.Is))
}

// lastPart is what the key of a field must end with.
func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
