package filter

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		f    Filter
		want string // the error's beginning
		hint string // a part of it
	}{
		{Filter{}, `filters[0].action: got "", want one of allow, deny`, ""},
		{Filter{Action: "ALLOW"}, `filters[0].action: got "ALLOW"`, ""},
		{Filter{Action: Deny, Match: "("}, `filters[0].match: got "(", want an RE2 expression: missing closing )`, "contains"},
		{Filter{Action: Deny, Match: `a(?=b)`}, "filters[0].match: ", "no lookahead"},
		{Filter{Action: Deny, Match: `(?<!b)a`}, "filters[0].match: ", "no lookahead"},
		{Filter{Action: Deny, Match: `(a)\1`}, "filters[0].match: ", "no back references"},
		{Filter{Action: Deny, Match: `a++`}, "filters[0].match: ", "possessive"},
		{Filter{Action: Deny, Not: true}, "filters[0].not: ", ""},
		{Filter{Action: Deny, Is: []string{"x"}}, "filters[0].is: ", ""},
		{Filter{Action: Deny, Units: []string{"[a"}}, `filters[0].units: got "[a"`, "class"},
		{Filter{Action: Deny, Commands: []string{""}}, "filters[0].commands: ", ""},
		{Filter{Action: Deny, Hosts: []string{"a", "[]"}}, `filters[0].hosts: got "[]"`, ""},
		{Filter{Action: Deny, Paths: []string{"/a"}}, `filters[0].paths: pattern "/a": want a path relative`, ""},
		{Filter{Action: Deny, Rewrite: "x"}, "filters[0].rewrite: got it with action deny", ""},
		{Filter{Action: Deny, Redact: []string{"card"}}, "filters[0].redact: got it with action deny", ""},
		{Filter{Action: Deny, With: "x"}, "filters[0].with: ", ""},
		{Filter{Action: Deny, Targets: []string{"x"}}, "filters[0].targets: got targets with action deny", ""},
		{Filter{Action: Route}, "filters[0].targets: got none", ""},
		{Filter{Action: Rewrite, Match: "a"}, "filters[0].rewrite: got none", "$0"},
		{Filter{Action: Rewrite, Rewrite: "a"}, "filters[0].match: got none", ""},
		{Filter{Action: Rewrite, Match: "a", Rewrite: "a", Not: true}, "filters[0].rewrite: got it with not", ""},
		{Filter{Action: Rewrite, Match: "a", Rewrite: "a\n"}, "filters[0].rewrite: got a line end", ""},
		{Filter{Action: Rewrite, Match: "(a)", Rewrite: "$2"}, "filters[0].rewrite: got group 2, want 0 to 1", "${1}0"},
		{Filter{Action: Rewrite, Match: "(?P<x>a)", Rewrite: "${y}"}, `filters[0].rewrite: got group "y", want one that match has: x`, ""},
		{Filter{Action: Rewrite, Match: "a", Rewrite: "5$ each"}, `filters[0].rewrite: got $ before " each"`, "$$"},
		{Filter{Action: Rewrite, Match: "a", Rewrite: "${0"}, "filters[0].rewrite: got ${ without }", ""},
		{Filter{Action: Redact}, "filters[0].redact: got none", ""},
		{Filter{Action: Redact, Redact: []string{"emial"}}, `filters[0].redact: got "emial"`, "email"},
		{Filter{Action: Redact, Redact: []string{"card"}, With: "a\rb"}, "filters[0].with: got a line end", ""},
	} {
		o := Options{Filters: []Filter{c.f}}
		problems := Check(o)
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), c.want) || !strings.Contains(problems[0].Hint, c.hint) {
			t.Errorf("Check(%+v) = %v, want one problem that begins %q with hint %q", c.f, problems, c.want, c.hint)
		}
		var p *Problem
		if s, err := New(o); s != nil || !errors.As(err, &p) {
			t.Errorf("New(%+v) = %v, %v, want a *Problem and no set", c.f, s, err)
		}
	}
}

func TestCheckTheRest(t *testing.T) {
	got := Check(Options{
		Otherwise: "drop", Sample: -1,
		Patterns: []Pattern{{"", "a"}, {"email", "a"}, {"x", "["}, {"x", "b"}, {"y", ""}},
		Filters:  []Filter{{Action: Allow}, {Action: "x"}, {Action: Redact, Redact: []string{"x"}}},
	})
	var places []string
	for _, p := range got {
		where, _, _ := strings.Cut(p.Error(), ": ")
		places = append(places, where)
	}
	want := []string{"otherwise", "sample", "patterns[0].name", "patterns[1].name", "patterns[2].match", "patterns[3].name", "patterns[4].match", "filters[1].action"}
	if !slices.Equal(places, want) {
		t.Errorf("problems at %v, want %v", places, want)
	}
}

func TestExplain(t *testing.T) {
	s := mustNew(t, Options{Sample: 5, Otherwise: Deny, Targets: []string{"main"}, Filters: []Filter{
		{Action: Deny, Match: `(?i)\b(debug|trace)\b`},
		{Action: Route, Match: `^E\d`, Targets: []string{"alert"}},
		{Action: Redact, Redact: []string{"ipv4"}},
		{Action: Deny, Match: `\d+`},
		{Action: Deny, Not: true, Contains: "x"},
		{Action: Allow, UIDs: []uint32{0}},
		{Action: Allow},
		{Action: Deny, Contains: "y"},
	}})
	want := `1. deny: asked only of records that hold "debug" or "trace", in any case
2. route to alert: asked only of records that hold "e" at the beginning, in any case
3. redact: every record is looked at, as there is no fixed text in what it takes out
4. deny: every record is looked at, as there is no fixed text of two bytes or more in what it asks for
5. deny: every record is looked at, as it must lack something
6. allow: every record of the writer, file and host, without a look at it
7. allow: every record of the writer, file and host, without a look at it
8. deny: never asked, as 7. decides about every record
otherwise: deny
sample: one record in 5 passes, drawn before any filter is asked`
	if got := strings.Join(s.Explain(), "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNeedOfRegexp(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{`foo`, `"foo"`},
		{`[eE][rR][rR]`, `"err"`},
		{`(.*)([wW][aA][rR][nN])(.*)`, `"warn"`},
		{`(?i)disk`, `"disk"`},
		{`a.*longer.*b`, `"longer"`},
		{`(error|warn)ing\d`, `"erroring" or "warning"`},
		{`error|\d`, ""},
		{`x?foo`, `"foo" or "xfoo"`},
		{`(foo)+`, `"foo"`},
		{`(foo)*`, ""},
		{`fo{3}`, `"fooo"`},
		{`^GET (/a|/b)`, `"get /a" at the beginning or "get /b" at the beginning`},
		{`\d+-\d+`, ""},
		{`status=5\d\d`, `"status=5"`},
	} {
		if got := listTexts(needOfRegexp(c.expr).texts); got != c.want {
			t.Errorf("%s needs %s, want %s", c.expr, got, c.want)
		}
	}
}

// TestPatternsAreDocumented holds the table of built-in patterns to what there is.
func TestPatternsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/filters.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	_, table, _ := strings.Cut(string(page), "\n| pattern |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllStringSubmatch(table, -1) {
		names = append(names, row[1])
	}
	if !slices.Equal(names, BuiltIn()) {
		t.Errorf("docs/filters.md has patterns %v, want %v", names, BuiltIn())
	}
}
