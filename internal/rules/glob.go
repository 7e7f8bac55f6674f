package rules

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

const (
	maxPattern      = 4096 // bytes: PATH_MAX
	maxAlternatives = 256  // a pattern's braces multiply; nobody writes more by hand
)

// PatternError says what is wrong with a pattern.
type PatternError struct {
	Pattern string
	Want    string
}

func (e *PatternError) Error() string { return fmt.Sprintf("pattern %q: want %s", e.Pattern, e.Want) }

// CheckPattern returns nil or a *PatternError. A pattern is matched against the whole path below the mount:
// `*` any bytes but `/`, `**` as a whole component any number of directories, `?` one character, `[a-z]` and
// `[^a-z]` classes, `{a,b}` alternatives, `\` takes the next character as it is.
func CheckPattern(pattern string) error {
	_, err := expand(pattern)
	return err
}

func checkPlain(pattern string) error {
	switch {
	case pattern == "":
		return &PatternError{pattern, "a pattern that is not empty"}
	case len(pattern) > maxPattern:
		return &PatternError{pattern[:40] + "...", fmt.Sprintf("at most %d bytes", maxPattern)}
	case strings.HasPrefix(pattern, "/"), strings.HasSuffix(pattern, "/"), strings.Contains(pattern, "//"):
		return &PatternError{pattern, "a path relative to the mount, without / at an end"}
	case strings.IndexByte(pattern, 0) >= 0:
		return &PatternError{pattern, "no NUL, as no path has one"}
	case !doublestar.ValidatePattern(pattern):
		return &PatternError{pattern, "every [ and { closed, and \\ before another character"}
	}
	for _, part := range strings.Split(pattern, "/") {
		if part == "." || part == ".." {
			return &PatternError{pattern, "no . or .. components, as no path has them"}
		}
		if part != "**" && strings.Contains(strings.ReplaceAll(part, `\*`, ""), "**") {
			return &PatternError{pattern, "** to be a component of its own, as in **/*.log"}
		}
	}
	return nil
}

// expand returns the pattern's alternatives without braces, each of them checked.
func expand(pattern string) ([]string, error) {
	if err := checkPlain(pattern); err != nil {
		return nil, err
	}
	done, todo := []string(nil), []string{pattern}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		open, parts, end := brace(p)
		if open < 0 {
			if err := checkPlain(p); err != nil {
				return nil, &PatternError{pattern, err.(*PatternError).Want}
			}
			done = append(done, p)
		}
		for i := len(parts) - 1; i >= 0; i-- {
			todo = append(todo, p[:open]+parts[i]+p[end:])
		}
		if len(done)+len(todo) > maxAlternatives {
			return nil, &PatternError{pattern, fmt.Sprintf("at most %d alternatives in all", maxAlternatives)}
		}
	}
	return done, nil
}

// brace finds the first {a,b} of a valid pattern: where it opens, its alternatives, and where the rest goes on.
func brace(p string) (open int, parts []string, end int) {
	open = -1
	depth, start, class := 0, 0, false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if i+1 < len(p) && (p[i+1] == '^' || p[i+1] == '!') {
				i++
			}
		case c == '{':
			if depth == 0 {
				open, start = i, i+1
			}
			depth++
		case c == ',' && depth == 1:
			parts, start = append(parts, p[start:i]), i+1
		case c == '}' && depth > 0:
			if depth--; depth == 0 {
				return open, append(parts, p[start:i]), i + 1
			}
		}
	}
	return -1, nil, 0
}

// glob is a pattern with what most paths are turned away by before the pattern is walked.
type glob struct {
	pattern        string
	prefix, suffix string // literal bytes at the ends
	all            bool   // the pattern is **
	exact          bool   // no wildcards: prefix is the whole path
}

func compile(pattern string) glob {
	if strings.HasSuffix(pattern, "/**") {
		pattern += "/*" // what is below a folder, not the folder itself
	}
	g := glob{pattern: pattern, all: pattern == "**"}
	if i := strings.IndexAny(pattern, `*?[\`); i < 0 {
		g.exact, g.prefix = true, pattern
	} else if !strings.HasPrefix(pattern[i:], "**") {
		g.prefix = pattern[:i]
	}
	// A class may end in any byte before its ], and what follows \ may be special: no suffix then.
	if !strings.ContainsAny(pattern, `\]`) {
		g.suffix = pattern[strings.LastIndexAny(pattern, `*?`)+1:]
		g.suffix = g.suffix[strings.LastIndexByte(g.suffix, '/')+1:]
	}
	return g
}

func (g *glob) match(path string) bool {
	switch {
	case g.all:
		return true
	case g.exact:
		return path == g.prefix
	}
	return strings.HasPrefix(path, g.prefix) && strings.HasSuffix(path, g.suffix) &&
		doublestar.MatchUnvalidated(g.pattern, path)
}

// weight measures how specific a pattern is. The fields are compared in this order; what is equal in all keeps
// its written order.
//
// The file's own name counts before the number of literal characters, so that `**/*.gz` holds against `app/**`:
// a rule about a kind of file is not undone by one about a folder.
type weight struct {
	exact    bool // no wildcards at all
	named    bool // the last component holds literal characters
	literals int  // characters that are fixed, a class counting as one; slashes do not count
	deep     int  // number of **: fewer is more specific
	scoped   bool // the rule names its mounts
}

func weigh(pattern string, scoped bool) weight {
	w := weight{exact: true, scoped: scoped, deep: strings.Count(pattern, "**")}
	class := false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case class && c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class, w.exact = true, false
			w.literals++
			w.named = true
			if i+1 < len(pattern) && (pattern[i+1] == '^' || pattern[i+1] == '!') {
				i++
			}
		case c == '*' || c == '?':
			w.exact = false
		case c == '/':
			w.named = false
		default:
			if c == '\\' {
				i++
			}
			w.literals++
			w.named = true
		}
	}
	return w
}

func (w weight) compare(o weight) int {
	rank := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(
		rank(w.exact)-rank(o.exact),
		rank(w.named)-rank(o.named),
		w.literals-o.literals,
		o.deep-w.deep,
		rank(w.scoped)-rank(o.scoped),
	)
}
