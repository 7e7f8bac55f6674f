package config

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"ftfuse/internal/rules"
)

// checkForm judges a text by its form tag; a question mark at the end allows the empty text.
func checkForm(form, s string) error {
	if name, ok := strings.CutSuffix(form, "?"); ok {
		if s == "" {
			return nil
		}
		form = name
	}
	if strings.IndexByte(s, 0) >= 0 && form != "bytes" {
		return wantError{got: s, want: "text without NUL"}
	}
	switch form {
	case "path":
		return checkPath(s)
	case "dir":
		return checkDir(s)
	case "below":
		return checkBelow(s)
	case "name":
		return checkName(s)
	case "address":
		return checkAddress(s)
	case "receiver":
		return checkReceiverAddress(s)
	case "glob":
		var bad *rules.PatternError
		if errors.As(rules.CheckPattern(s), &bad) {
			return wantError{got: s, want: bad.Want, hint: globHint(s)}
		}
	case "wildcard":
		if _, err := path.Match(s, ""); err != nil || s == "" {
			return wantError{got: s, want: "a pattern of *, ?, [a-z] and \\, with every [ closed"}
		}
	case "regexp":
		return checkRegexp(s)
	case "environment":
		if name, _, found := strings.Cut(s, "="); !found || name == "" {
			return wantError{got: s, want: "NAME=VALUE"}
		}
	case "zone":
		if _, err := Zone(s); err != nil {
			return wantError{got: s, want: "local, UTC or a zone of the tz database, as in Europe/Berlin"}
		}
	case "text", "bytes":
		if s == "" {
			return wantError{got: s, want: "text that is not empty"}
		}
	}
	return nil
}

func checkPath(s string) error {
	switch {
	case s == "":
		return wantError{got: s, want: "an absolute path"}
	case !strings.HasPrefix(s, "/"):
		return wantError{got: s, want: "an absolute path", hint: "relative paths would depend on where ftfuse is started"}
	case path.Clean(s) != s:
		return wantError{got: s, want: "a clean path", hint: "write " + path.Clean(s)}
	}
	return nil
}

// checkDir is checkPath for what may also be relative to another directory. Which one, the checks know.
func checkDir(s string) error {
	switch {
	case strings.HasPrefix(s, "/"):
		return checkPath(s)
	case slices.Contains(strings.Split(s, "/"), ".."):
		return wantError{got: s, want: "a directory without .."}
	case s == "" || path.Clean(s) != s:
		return wantError{got: s, want: "a clean path", hint: "write " + path.Clean(s)}
	}
	return nil
}

// checkBelow holds s to what names a file below a mount.
func checkBelow(s string) error {
	const want = "a file's path below the mount, without / at its beginning, . and .."
	if s == "" || s == "." || path.Clean("/"+s) != "/"+s {
		w := wantError{got: s, want: want}
		switch clean := strings.TrimPrefix(path.Clean("/"+s), "/"); {
		case strings.HasPrefix(s, "/"):
			w.hint = "leave out the path of the mount"
		case clean != "":
			w.hint = "write " + clean
		}
		return w
	}
	return nil
}

// checkRegexp judges an RE2 expression.
func checkRegexp(s string) error {
	if s == "" {
		return wantError{got: s, want: "a regular expression that is not empty"}
	}
	_, err := regexp.Compile(s)
	var bad *syntax.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &bad):
		return wantError{got: s, want: "an RE2 expression (" + err.Error() + ")"}
	}
	w := wantError{got: s, want: fmt.Sprintf("an RE2 expression (%s in %s)", bad.Code, quote(bad.Expr))}
	switch {
	case bad.Code == syntax.ErrInvalidPerlOp && lookaround(bad.Expr):
		w.hint = "RE2 looks neither ahead nor back: use two filters, one of them with not"
	case bad.Code == syntax.ErrInvalidEscape && len(bad.Expr) == 2 && bad.Expr[1] >= '1' && bad.Expr[1] <= '9':
		w.hint = "RE2 has no references to groups within the expression"
	default:
		w.hint = `put \ before . * + ? ( ) [ ] { } | ^ $ that stand for themselves, or use contains`
	}
	return w
}

// lookaround reports whether an operator that RE2 lacks is one of those that look ahead or back.
func lookaround(op string) bool {
	for _, o := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
		if strings.HasPrefix(op, o) {
			return true
		}
	}
	return false
}

// checkName holds names to what fits everywhere they are used: unit names, metrics, environment variables.
func checkName(s string) error {
	const want = "a name of letters, digits, - and _, 64 at most, beginning with a letter or digit"
	if s == "" || len(s) > 64 || s[0] == '-' || s[0] == '_' {
		return wantError{got: s, want: want}
	}
	for _, c := range []byte(s) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return wantError{got: s, want: want}
		}
	}
	return nil
}

// Zone returns the time zone that time_zone names.
func Zone(s string) (*time.Location, error) {
	switch s {
	case "local":
		return time.Local, nil
	case "", "Local":
		return nil, fmt.Errorf("time zone %q: want local, UTC or a zone of the tz database", s)
	}
	return time.LoadLocation(s)
}

func globHint(s string) string {
	switch {
	case strings.HasPrefix(s, "/"):
		return "write " + strings.TrimLeft(s, "/")
	case strings.HasSuffix(s, "/"):
		return "write " + s + "** for everything below it"
	}
	return ""
}
