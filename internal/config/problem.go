package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrInvalid is wrapped by what Load returns when the configuration cannot be used.
var ErrInvalid = errors.New("configuration is not valid")

// Origin is where a value comes from. The zero value means the built-in default.
type Origin struct {
	File string // path as given, or FTFUSE_CONFIG_JSON
	Line int    // counted from 1; 0 means the source as a whole
	Env  string // name of the environment variable
}

func (o Origin) String() string {
	switch {
	case o.Env != "":
		return "environment " + o.Env
	case o.File == "":
		return "default"
	case o.Line == 0:
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// Problem is one mistake, or one doubt when Warning is set.
type Problem struct {
	Origin  Origin
	Key     string // as in rules[web].capture; "" when the whole source is meant
	Text    string // what was found and what was expected
	Hint    string // what to do about it; may be empty
	Warning bool
}

// Error returns the problem in one line, without the hint.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Origin != (Origin{}) {
		b.WriteString(p.Origin.String() + ": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems are all mistakes of a configuration, in the order of the files.
type Problems []Problem

// Error returns one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (ps Problems) Unwrap() error { return ErrInvalid }

// split returns the errors and the warnings of ps, each sorted by place.
func (ps Problems) split() (bad, warnings Problems) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line))
	})
	for _, p := range ps {
		if p.Warning {
			warnings = append(warnings, p)
		} else {
			bad = append(bad, p)
		}
	}
	return bad, warnings
}

// touches reports whether one of ps lies in the top-level section of that name.
func (ps Problems) touches(sections ...string) bool {
	for _, p := range ps {
		top, _, _ := strings.Cut(p.Key, ".")
		top, _, _ = strings.Cut(top, "[")
		if !p.Warning && slices.Contains(sections, top) {
			return true
		}
	}
	return false
}
