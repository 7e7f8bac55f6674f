package rules

import (
	"fmt"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

func rule(name string, patterns ...string) Rule {
	return Rule{Name: name, Match: patterns, Decision: record.Decision{Send: true, Targets: []string{name}}}
}

func mustNew(t testing.TB, rs ...Rule) *Matcher {
	t.Helper()
	m, err := New(Options{Rules: rs, Default: record.Decision{Capture: record.WriteMode}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMostSpecificFirst(t *testing.T) {
	m := mustNew(t,
		rule("rest", "**"),
		rule("logs", "**/*.log"),
		rule("app", "app/**"),
		rule("app-logs", "app/*.log"),
		rule("access", "app/access.log"),
		rule("rotated", "**/*.gz", "**/*.[0-9]"),
		rule("twin-a", "t/*.x"),
		rule("twin-b", "t/*.x"),
		rule("alt", "alt/{one,two*}.log"),
		Rule{Name: "scoped", Match: []string{"t/*.x"}, Mounts: []string{"m2"}},
	)
	for _, c := range []struct{ mount, path, want string }{
		{"m", "anything", "rest"},
		{"m", "x.log", "logs"},
		{"m", "a/b/x.log", "logs"},
		{"m", "app/x", "app"},
		{"m", "app", "rest"},
		{"m", "app/deep/er", "app"},
		{"m", "app/x.log", "app-logs"},
		{"m", "app/deep/x.log", "logs"},
		{"m", "app/access.log", "access"},
		{"m", "app/access.log.gz", "rotated"},
		{"m", "app/access.log.1", "rotated"},
		{"m", "app/access.log.12", "app"},
		{"m", "t/1.x", "twin-a"},
		{"m2", "t/1.x", "scoped"},
		{"m", "alt/one.log", "alt"},
		{"m", "alt/two3.log", "alt"},
		{"m", "alt/three.log", "logs"},
		{"m", "bytes \xff\xfe\n.log", "logs"},
		{"m", "", "rest"},
	} {
		if got := m.Decide(c.mount, c.path).Rule; got != c.want {
			t.Errorf("Decide(%q, %q) = %s, want %s", c.mount, c.path, got, c.want)
		}
	}
}

func TestNoRule(t *testing.T) {
	d := mustNew(t, rule("a", "a")).Decide("m", "b")
	if d.Rule != "default" || d.Why != "no rule matches" || d.Capture != record.WriteMode {
		t.Errorf("Decide of what no rule names = %+v, want the default", d)
	}
}

func TestWrittenOrderDoesNotMatterOtherwise(t *testing.T) {
	a, b := rule("a", "**/*.gz"), rule("b", "nginx/**")
	for _, m := range []*Matcher{mustNew(t, a, b), mustNew(t, b, a)} {
		if got := m.Decide("m", "nginx/access.log.1.gz").Rule; got != "a" {
			t.Errorf("rotated file goes to rule %s, want a: it would be sent twice", got)
		}
	}
}

func TestExplain(t *testing.T) {
	e := mustNew(t, rule("rest", "**"), rule("logs", "**/*.log"), rule("one", "a/b.log")).Explain("m", "a/b.log")
	var got strings.Builder
	for _, c := range e.Candidates {
		fmt.Fprintf(&got, "%s %s: %s\n", c.Rule, c.Pattern, c.Why)
	}
	want := `one a/b.log: the most specific pattern that matches
logs **/*.log: has wildcards, a/b.log has none
rest **: has wildcards, a/b.log has none
`
	if got.String() != want {
		t.Errorf("got:\n%swant:\n%s", got.String(), want)
	}
	if e.Decision.Why != "rule one, pattern a/b.log" {
		t.Errorf("Why = %q", e.Decision.Why)
	}
}

func TestCheckPattern(t *testing.T) {
	for _, good := range []string{"**", "*", "a", "a/b", "**/*.gz", "a/**/b", "[^a]x", `a\*b`, "{a,b}/{c,d}", `a\**`, "über/*.log"} {
		if err := CheckPattern(good); err != nil {
			t.Errorf("CheckPattern(%q) = %v, want nil", good, err)
		}
	}
	for _, bad := range []string{
		"", "/a", "a/", "a//b", "[a", "{a", "a\\", "../a", "a/./b", "**.gz", "a**", "a/***", "{a,..}/b", "x\x00",
		strings.Repeat("{a,b}", 9), strings.Repeat("a", maxPattern+1),
	} {
		if err := CheckPattern(bad); err == nil {
			t.Errorf("CheckPattern(%q) = nil, want an error", bad)
		}
	}
}

func TestNewNamesTheRule(t *testing.T) {
	_, err := New(Options{Rules: []Rule{rule("good", "a"), rule("web", "[")}})
	if err == nil || !strings.Contains(err.Error(), "rule web") {
		t.Errorf("New = %v, want an error that names rule web", err)
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	m := mustNew(t, rule("rest", "**"), rule("logs", "**/*.log"), rule("class", "**/*.[0-9][0-9]"), rule("alt", "{a,b}/*.log"))
	for _, path := range []string{"a/b/c.log", "x.12", "b/x.log", "nothing"} {
		if n := testing.AllocsPerRun(100, func() { m.Decide("m", path) }); n > 0 {
			t.Errorf("Decide(%q) allocates %v times, want 0", path, n)
		}
	}
}

// FuzzPattern holds the prefix and suffix shortcuts to what the pattern itself says.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{"**/*.gz", "a/**", "{a,b*}/[^x]?.log", `\*a`, "a/*/b", "*"} {
		f.Add(p, "a/b/c.gz")
		f.Add(p, "*a")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		alternatives, err := expand(pattern)
		if err != nil || strings.ContainsRune(path, 0xfffd) || strings.ContainsRune(pattern, 0xfffd) {
			return
		}
		for _, a := range alternatives {
			g := compile(a)
			bare := glob{pattern: g.pattern}
			if got, want := g.match(path), g.all || bare.match(path); got != want {
				t.Errorf("%q on %q: got %v with shortcuts, %v without", a, path, got, want)
			}
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	var rs []Rule
	for i := range 100 {
		rs = append(rs, rule(fmt.Sprint("r", i), fmt.Sprintf("app%d/**/*.log", i)))
	}
	m := mustNew(b, append(rs, rule("rest", "**"))...)
	for b.Loop() {
		m.Decide("m", "app99/some/where/access.log")
	}
}
