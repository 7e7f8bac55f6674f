package filter

import (
	"regexp"
	"slices"
	"strings"
)

// span is a part of a text that goes.
type span struct{ start, end int }

// finder finds what a pattern takes out of a text.
type finder struct {
	need need
	// find appends the spans of b in order. They are not empty and do not overlap. It takes time by the length of b.
	find func(b []byte, to []span) []span
}

// secretGroup is the name of the group of an own pattern that goes instead of the whole match.
const secretGroup = "secret"

// newFinder returns the pattern of that name; Check has seen that there is one.
func newFinder(name string, own []Pattern) finder {
	if i := slices.IndexFunc(own, func(p Pattern) bool { return p.Name == name }); i >= 0 {
		return expressionFinder(own[i].Match)
	}
	i := slices.IndexFunc(builtIn, func(b builtInPattern) bool { return b.name == name })
	f := finder{find: builtIn[i].find}
	if builtIn[i].texts != "" {
		f.need = needOf(strings.Fields(builtIn[i].texts)...)
	}
	return f
}

func expressionFinder(expr string) finder {
	re := regexp.MustCompile(expr)
	group := 2 * max(0, re.SubexpIndex(secretGroup))
	return finder{need: needOfRegexp(expr), find: func(b []byte, to []span) []span {
		for _, at := range re.FindAllSubmatchIndex(b, -1) {
			if at[group] < at[group+1] {
				to = append(to, span{at[group], at[group+1]})
			}
		}
		return to
	}}
}

// needOfFinders returns what a record must hold for one of the patterns to match.
func needOfFinders(all []finder) need {
	n := all[0].need
	for _, f := range all[1:] {
		n = either(n, f.need)
	}
	return n
}

// builtInPattern is a pattern that needs no configuration. What each takes for what it looks for, and what it lets pass
// although it looks like it, is in docs/filters.md; a test compares the names.
type builtInPattern struct {
	name  string
	texts string // one of these words is in every match, regardless of case; "": no such words
	find  func(b []byte, to []span) []span
}

// builtIn are the built-in patterns, by name.
var builtIn = []builtInPattern{
	{"aws_key", "AKIA ASIA", findAWSKeys},
	{"bearer", "bearer authorization", findBearers},
	{"card", "", findCards},
	{"email", "", findEmails},
	{"ipv4", "", findIPv4},
	{"ipv6", "", findIPv6},
	{"jwt", "eyJ", findJWTs},
	{"mac", "", findMACs},
	{"password", strings.Join(passwordNames, " "), findPasswords},
	{"private_key", "-----BEGIN", findPrivateKeys},
	{"secret", strings.Join(secretNames, " "), findSecrets},
	{"url_password", "://", findURLPasswords},
	{"uuid", "", findUUIDs},
}

// BuiltIn returns the names of the built-in patterns.
func BuiltIn() []string {
	names := make([]string, len(builtIn))
	for i, b := range builtIn {
		names[i] = b.name
	}
	return names
}
