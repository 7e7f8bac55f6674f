package k2hft

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// measured is what glibc 2.41 does with REG_EXTENDED and REG_NEWLINE: the whole match and the groups, "no" for none.
// Where RE2 may choose otherwise, differs is wanted, and only the match is compared.
var measured = []struct {
	pattern, text string
	want          []string
	differs       bool
}{
	{`(.*)([eE][rR][rR])(.*)`, `an Error here`, []string{"an Error here", "an ", "Err", "or here"}, false},
	{`(.*)(err)(.*)`, `err err err`, []string{"err err err", "err err ", "err", ""}, false},
	{`^[[:digit:]]+ (.*)$`, `17 lines`, []string{"17 lines", "lines"}, false},
	{`[[:alpha:]]+`, `12ab34`, []string{"ab"}, false},
	{`[^[:space:]]+`, `  x y`, []string{"x"}, false},
	{`[]a]+`, `x]a]`, []string{"]a]"}, false},
	{`[^]a]+`, `a]xy`, []string{"xy"}, false},
	{`[\d]+`, `x\dd1`, []string{`\dd`}, false},
	{`[a\]+`, `b\a`, []string{`\a`}, false},
	{`[a-c-]+`, `x-b-d`, []string{"-b-"}, false},
	{`[[=a=]b]+`, `xab`, []string{"ab"}, false},
	{`[[.-.]x]+`, `a-x`, []string{"-x"}, false},
	{`a{2}`, `baaa`, []string{"aa"}, false},
	{`a{,2}b`, `aaab`, []string{"aab"}, false},
	{`a{1,}b`, `aaab`, []string{"aaab"}, false},
	{`(ab){2}`, `xababab`, []string{"abab", "ab"}, false},
	{`a**b`, `aab`, []string{"aab"}, true},
	{`a+?b`, `aab`, []string{"aab"}, true},
	{`a?*b`, `aab`, []string{"aab"}, true},
	{`(a*)+b`, `aab`, []string{"aab"}, true},
	{`(foo|foobar)(.*)`, `foobarbaz`, []string{"foobarbaz"}, true},
	{`x*`, `xxx`, []string{"xxx"}, false},
	{`\.log$`, `a.log`, []string{".log"}, false},
	{`\<err\>`, `an err here`, []string{"err"}, false},
	{`\berr\b`, `an err here`, []string{"err"}, false},
	{`a\/b`, `a/b`, []string{"a/b"}, false},
	{`\w+`, `-ab_1-`, []string{"ab_1"}, false},
	{`\W`, `ab c`, []string{" "}, false},
	{`a)`, `xa)`, []string{"a)"}, false},
	{`()b`, `ab`, []string{"b", ""}, false},
	{`(a)|(b)`, `b`, []string{"b"}, true},
	{`^a|b$`, `cb`, []string{"b"}, true},
	{`}`, `a}`, []string{"}"}, false},
	{`a]`, `a]`, []string{"a]"}, false},
	{`\$1`, `$1`, []string{"$1"}, false},
	{`\(x\)`, `(x)`, []string{"(x)"}, false},
	{`[*+?.]`, `a+`, []string{"+"}, false},
	{`[[:upper:][:digit:]_]+`, `abC_9`, []string{"C_9"}, false},
	{`^$`, ``, []string{""}, false},
	{`.`, ``, []string{"no"}, false},
}

func TestPatternsMatchAsInGlibc(t *testing.T) {
	for _, m := range measured {
		x, err := translateERE(m.pattern)
		if err != nil {
			t.Errorf("%s: %v", m.pattern, err)
			continue
		}
		got := regexp.MustCompile(x.re).FindStringSubmatch(m.text)
		if got == nil {
			got = []string{"no"}
		}
		if x.differs != m.differs {
			t.Errorf("%s: got differs %v, want %v", m.pattern, x.differs, m.differs)
		}
		if m.differs {
			got = got[:1]
		}
		if !slices.Equal(got, m.want) {
			t.Errorf("%s as %s on %q: got %q, want %q", m.pattern, x.re, m.text, got, m.want)
		}
	}
}

// Patterns that regcomp refuses, and what RE2 cannot do, are errors and never another pattern.
func TestPatternsThatAreRefused(t *testing.T) {
	for _, p := range []string{
		`*a`, `(*a)`, `a|*b`, `+a`, `^*a`, `a{`, `{a`, `a{1`, `a{x}`, `[a`, `[z-a]`, `[[:foo:]]`, `[[.space.]]`, `(a`, `a\`, `[`,
		`(a)\1`, `a{1,2000}`, "a\xff", strings.Repeat("a", maxPattern+1), `(?=a)`, `[a-[:digit:]]`,
	} {
		if x, err := translateERE(p); err == nil {
			t.Errorf("%q: got %q, want an error", p[:min(len(p), 20)], x.re)
		}
	}
}

func TestReplacements(t *testing.T) {
	tests := []struct {
		in     string
		groups int
		want   string
		whole  bool
		notes  int
	}{
		{`$0`, 3, `$0`, true, 0},
		{`&`, 0, `$0`, true, 0},
		{`$1 = ERROR = $3`, 3, `$1 = ERROR = $3`, false, 0},
		{`$1,$3`, 3, `$1,$3`, false, 0},
		{`$1x$2_`, 2, `${1}x${2}_`, false, 0},
		{`<&>`, 0, `<$0>`, false, 0},
		{`\$1 \& \" \\`, 1, `$$1 & " \`, false, 0},
		{`$12`, 1, `${1}2`, false, 1},
		{`a$4b`, 3, `ab`, false, 1},
		{`5$`, 0, `5$$`, false, 1},
		{`$x`, 0, `$$x`, false, 1},
		{"a\nb\\\n", 0, `ab`, false, 1},
	}
	for _, test := range tests {
		got, whole, notes := replacement(test.in, test.groups)
		if got != test.want || whole != test.whole || len(notes) != test.notes {
			t.Errorf("%s: got %s, %v, %q; want %s, %v, %d notes", test.in, got, whole, notes, test.want, test.whole, test.notes)
		}
	}
}

func TestHosts(t *testing.T) {
	tests := []struct{ in, want string }{
		{"localhost", "localhost"},
		{"foo[0-2].example.com", "foo0.example.com foo1.example.com foo2.example.com"},
		{"host[1-2,a-b, z]", "host1 host2 hosta hostb hostz"},
		{"s[A-B][0-1]", "sA0 sA1 sB0 sB1"},
		{"a,b[1,2],c", "a b1 b2 c"},
		{"a[1-", "error"}, {"a[]", "error"}, {"a[3-1]", "error"}, {"a[a-Z]", "error"}, {"a[0-9][0-9][0-9]", "error"},
	}
	for _, test := range tests {
		list, err := expandHosts(test.in, maxNodes)
		got := strings.Join(list, " ")
		if err != nil {
			got = "error"
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s (%v)", test.in, got, test.want, err)
		}
	}
}

func TestHostsByTheHundred(t *testing.T) {
	_, err := expandHosts("web[1-300]", maxNodes)
	if err == nil || !strings.Contains(err.Error(), "more than 256 servers") {
		t.Errorf("got %v, want that these are too many", err)
	}
}

func FuzzPattern(f *testing.F) {
	for _, m := range measured {
		f.Add(m.pattern)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, err := translateERE(s)
		if err != nil {
			return
		}
		re, err := regexp.Compile(x.re)
		if err != nil {
			t.Fatalf("%q as %q: %v", s, x.re, err)
		}
		if re.NumSubexp() != x.groups {
			t.Fatalf("%q as %q: got %d groups, want %d", s, x.re, re.NumSubexp(), x.groups)
		}
	})
}
