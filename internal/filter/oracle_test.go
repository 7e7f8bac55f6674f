package filter

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"ftfuse/internal/fields"
	"pgregory.net/rapid"
)

// naive does what docs/filters.md says with the standard library, one filter after the other.
func naive(o Options, rec []byte, key uint64) (keep bool, by int, targets []string, text string) {
	if o.Sample > 1 && key%uint64(o.Sample) != 0 {
		return false, BySample, nil, ""
	}
	body := strings.TrimSuffix(string(rec), "\n")
	switch {
	case len(body) < len(rec):
		body = strings.TrimSuffix(body, "\r")
	case strings.HasSuffix(body, "\r"), strings.HasSuffix(body, "\x00"):
		body = body[:len(body)-1]
	}
	end := string(rec[len(body):])
	base, routed := o.Targets, []string(nil)
	for i, f := range o.Filters {
		if !naiveHolds(&f, body) {
			continue
		}
		if f.Rewrite != "" {
			at := regexp.MustCompile(f.Match).FindStringSubmatchIndex(body)
			body = string(regexp.MustCompile(f.Match).ExpandString(nil, braced(f.Rewrite), body, at))
		}
		switch f.Action {
		case Redact:
			body = naiveRedact(o, &f, body)
		case Allow:
			if len(f.Targets) > 0 {
				base = f.Targets
			}
			return true, i, slices.Concat(base, routed), body + end
		case Deny:
			return false, i, nil, ""
		case Route:
			routed = append(routed, f.Targets...)
		}
	}
	if o.Otherwise == Deny {
		return false, ByOtherwise, nil, ""
	}
	return true, ByOtherwise, slices.Concat(base, routed), body + end
}

// braced makes regexp.Expand read $1x as group 1 and x.
func braced(s string) string { return regexp.MustCompile(`\$(\d+)`).ReplaceAllString(s, "$${$1}") }

func naiveHolds(f *Filter, s string) bool {
	for _, c := range []struct{ given, holds bool }{
		{f.Contains != "", strings.Contains(s, f.Contains)},
		{f.Prefix != "", strings.HasPrefix(s, f.Prefix)},
		{f.Match != "", f.Match != "" && regexp.MustCompile(f.Match).MatchString(s)},
		{f.Field != "", func() bool {
			v, ok := fields.Find([]byte(s), f.Field)
			return ok && (len(f.Is) == 0 || slices.Contains(f.Is, string(v)))
		}()},
	} {
		if c.given && c.holds == f.Not {
			return false
		}
	}
	return true
}

func naiveRedact(o Options, f *Filter, s string) string {
	gone := make([]int, len(s)) // 0 stays, else the number of the stretch
	n := 0
	mark := func(start, end int) {
		n++
		join := map[int]bool{}
		for i := start; i < end; i++ {
			if gone[i] != 0 {
				join[gone[i]] = true
			}
			gone[i] = n
		}
		for i, g := range gone {
			if join[g] {
				gone[i] = n
			}
		}
	}
	for _, name := range f.Redact {
		if i := slices.IndexFunc(o.Patterns, func(p Pattern) bool { return p.Name == name }); i >= 0 {
			re := regexp.MustCompile(o.Patterns[i].Match)
			g := 2 * max(0, re.SubexpIndex("secret"))
			for _, at := range re.FindAllStringSubmatchIndex(s, -1) {
				if at[g] < at[g+1] {
					mark(at[g], at[g+1])
				}
			}
			continue
		}
		for _, sp := range newFinder(name, nil).find([]byte(s), nil) {
			mark(sp.start, sp.end)
		}
	}
	with := f.With
	if with == "" {
		with = DefaultWith
	}
	var out strings.Builder
	for i := range len(s) {
		switch {
		case gone[i] == 0:
			out.WriteByte(s[i])
		case i == 0 || gone[i-1] != gone[i]:
			out.WriteString(with)
		}
	}
	return out.String()
}

// compare holds Apply to the naive way.
func compare(t interface{ Fatalf(string, ...any) }, o Options, s *Set, rec []byte, key uint64, sc *Scratch) {
	before := bytes.Clone(rec)
	v := s.For(nil, nil, "").Apply(rec, key, sc)
	if !bytes.Equal(before, rec) {
		t.Fatalf("the record was changed: %q, want %q", rec, before)
	}
	keep, by, targets, text := naive(o, rec, key)
	got := rec
	if v.Text != nil {
		got = v.Text
	}
	slices.Sort(targets)
	names := slices.Sorted(slices.Values(s.Names(v.Targets)))
	if v.Keep != keep || v.By != by || !slices.Equal(names, slices.Compact(targets)) || keep && string(got) != text || !keep && v.Text != nil {
		t.Fatalf("filters %+v\non %q:\ngot  keep %v by %d to %v text %q\nwant keep %v by %d to %v text %q",
			o, rec, v.Keep, v.By, names, got, keep, by, targets, text)
	}
}

// pieces are what texts, expressions and lines are made of: small enough to meet, with what case folding and bytes
// that are no UTF-8 do to those who do not take care.
var pieces = []string{"a", "b", "k", "K", "\u212a", "s", "S", "\u017f", "é", "É", "ß", "err", "ERR", "Disk", "disk", " ", ".", "1", "42",
	"\\", "\"", "=", "\xff", "\xef\xbf\xbd", "\xe2\x84", "\r", "\n", "\x00", "level", "warn", `"level":"warn"`, "level=warn", "{", "}",
	`\u0077arn`, "10.0.0.1", "a@b.de", "password=x", "GET /", "/index", "@", "`"}

func someText(t *rapid.T, name string, most int) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, most).Draw(t, name), "")
}

// quoted makes an expression of a text; in an expression what is no UTF-8 is an error.
func quoted(s string) string { return regexp.QuoteMeta(strings.ToValidUTF8(s, "\uFFFD")) }

func someExpression(t *rapid.T, depth int) string {
	atom := rapid.SampledFrom([]string{".", `\d`, `\w+`, `[a-c]`, `[kK]`, `[eE][rR][rR]`, `[^a]`, `[\x{212a}]`, `\x{fffd}`, `[s-u]`, "^", "$", `\b`, `(?:)`,
		`.*`, `\S+ `, `[a-z]{2,3}`, `(?m:^)`, `(?s:.)`, `\pL`})
	switch rapid.IntRange(0, 7+depth).Draw(t, "kind") {
	case 0, 1, 2, 3:
		return quoted(someText(t, "literal", 3))
	case 4:
		return atom.Draw(t, "atom")
	case 5:
		return "(?i:" + someExpression(t, depth+1) + ")"
	case 6:
		return "(?:" + someExpression(t, depth+1) + "|" + someExpression(t, depth+1) + ")"
	case 7:
		return "(?:" + someExpression(t, depth+1) + ")" + rapid.SampledFrom([]string{"?", "*", "+", "{2}", "{0,2}"}).Draw(t, "times")
	}
	return quoted(rapid.SampledFrom(pieces).Draw(t, "piece"))
}

func someRegexp(t *rapid.T) string {
	s := ""
	for range rapid.IntRange(1, 3).Draw(t, "parts") {
		s += someExpression(t, 0)
	}
	return rapid.SampledFrom([]string{"", "(?i)", "^", `\A`, "(?s)", "(?m)^"}).Draw(t, "flags") + s
}

func someFilter(t *rapid.T) (f Filter) {
	f.Action = rapid.SampledFrom([]string{Allow, Deny, Rewrite, Redact, Route, Redact, Route}).Draw(t, "action")
	kinds := rapid.IntRange(0, 15).Draw(t, "conditions")
	if kinds&1 != 0 {
		f.Contains = someText(t, "contains", 3)
	}
	if kinds&2 != 0 {
		f.Prefix = someText(t, "prefix", 2)
	}
	if kinds&4 != 0 || f.Action == Rewrite {
		f.Match = someRegexp(t)
	}
	if kinds&8 != 0 {
		f.Field = rapid.SampledFrom([]string{"level", "a", "level.a", "k"}).Draw(t, "field")
		f.Is = rapid.SliceOfN(rapid.SampledFrom([]string{"warn", "", "1", "42", "a b"}), 0, 2).Draw(t, "is")
	}
	switch f.Action {
	case Rewrite:
		f.Rewrite = rapid.SampledFrom([]string{"<$0>", "$$", "x${0}1$0", "$0$0", "password=$0"}).Draw(t, "rewrite")
	case Allow, Route:
		f.Targets = rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "z"}), 1, 2).Draw(t, "targets")
	case Redact:
		f.Redact = rapid.SliceOfN(rapid.SampledFrom(append(BuiltIn(), "own", "plain")), 1, 3).Draw(t, "redact")
	}
	f.Not = f.Action != Rewrite && kinds != 0 && rapid.Bool().Draw(t, "not")
	return f
}

func TestAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{
			Otherwise: rapid.SampledFrom([]string{"", Allow, Deny}).Draw(t, "otherwise"),
			Sample:    rapid.SampledFrom([]int{0, 1, 1, 1, 2}).Draw(t, "sample"),
			Patterns:  []Pattern{{"own", someRegexp(t)}, {"plain", "(?i)disk|err|(?P<secret>k)=1"}},
			Targets:   []string{"x"},
		}
		for range rapid.SampledFrom([]int{0, 1, 2, 3, 5, 70}).Draw(t, "filters") {
			o.Filters = append(o.Filters, someFilter(t))
		}
		s, err := New(o)
		if err != nil {
			t.Fatalf("New(%+v) = %v, want no error", o, err)
		}
		var sc Scratch
		for range 20 {
			rec := someText(t, "record", 8) + rapid.SampledFrom([]string{"", "\n", "\r\n", "\r", "\x00"}).Draw(t, "end")
			compare(t, o, s, []byte(rec), rapid.Uint64().Draw(t, "key"), &sc)
		}
	})
}

// TestNeedIsNeeded holds the texts that were taken out of an expression to it: a record without one must not match.
func TestNeedIsNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := someRegexp(t)
		re, n := regexp.MustCompile(expr), needOfRegexp(expr)
		for range 50 {
			rec := []byte(someText(t, "record", 8))
			if re.Match(rec) && !met(n, rec) {
				t.Fatalf("%q matches %q, which holds none of %+v", expr, rec, n)
			}
		}
	})
}

func met(n need, rec []byte) bool {
	folded := fold(string(rec))
	hasFold := n.folds && (bytes.Contains(rec, foldsToASCII[0]) || bytes.Contains(rec, foldsToASCII[1]))
	return n.texts == nil || hasFold || slices.ContainsFunc(n.texts, func(t text) bool {
		return t.start && strings.HasPrefix(folded, t.s) || !t.start && strings.Contains(folded, t.s)
	})
}

// Only these characters beyond ASCII may be equal to one of ASCII; with another one the prefilter would lose matches.
func TestFoldsToASCII(t *testing.T) {
	for r := rune(utf8.RuneSelf); r <= unicode.MaxRune; r++ {
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			if o < utf8.RuneSelf && string(r) != string(foldsToASCII[0]) && string(r) != string(foldsToASCII[1]) {
				t.Errorf("%U folds to %q", r, o)
			}
		}
	}
}

// TestScannerFindsAll puts texts of every length at every place.
func TestScannerFindsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 10, 100, 3000}).Draw(t, "texts")
		least := rapid.IntRange(2, 14).Draw(t, "least")
		all := texts{}
		seed := rapid.Uint32().Draw(t, "seed")
		for i := range n {
			s := fmt.Sprintf("%08x%06x", seed*uint32(i+1), seed^uint32(i)&0xffffff)[:least]
			all.add(i, needOf(s))
		}
		sc := newScanner(all)
		line := []byte(rapid.StringMatching(`[0-9A-F -]{0,40}`).Draw(t, "line"))
		for _, w := range sc.wanted[:min(10, len(sc.wanted))] {
			at := rapid.IntRange(0, len(line)).Draw(t, "at")
			rec := slices.Concat(line[:at], bytes.ToUpper([]byte(w.s)), line[at:])
			hit := make([]uint64, n/64+1)
			sc.find(rec, hit)
			for _, f := range w.filters {
				if hit[f/64]>>(f%64)&1 == 0 {
					t.Fatalf("%q was not found in %q", w.s, rec)
				}
			}
		}
	})
}

func FuzzApply(f *testing.F) {
	for _, rec := range []string{"GET / 200\n", "a@b.de 10.0.0.1 \u212a\r\n", `{"level":"\u0077arn"}`, "\xff\xfe\x00"} {
		f.Add([]byte(rec), "(?i)disk", "err", "level", uint64(0))
		f.Add([]byte(rec), `^\w+ .*$`, "\xff", "a.b", uint64(3))
	}
	f.Fuzz(func(t *testing.T, rec []byte, expr, fixed, field string, key uint64) {
		o := Options{Otherwise: Deny, Targets: []string{"x"}, Patterns: []Pattern{{"own", expr}}, Filters: []Filter{
			{Action: Route, Match: expr, Targets: []string{"m"}},
			{Action: Route, Contains: fixed, Targets: []string{"c"}},
			{Action: Route, Prefix: fixed, Targets: []string{"p"}},
			{Action: Route, Field: field, Targets: []string{"f"}},
			{Action: Route, Field: field, Is: []string{fixed}, Targets: []string{"i"}},
			{Action: Redact, Redact: []string{"own"}, With: "<>"},
			{Action: Redact, Redact: BuiltIn()},
			{Action: Rewrite, Match: expr, Rewrite: "[$0]"},
			{Action: Allow, Match: expr, Not: true},
			{Action: Allow, Contains: fixed},
		}}
		if fixed == "" || field == "" || len(rec) > 1000 || len(expr) > 100 {
			return // the naive way takes time by the square of what it is given
		}
		s, err := New(o)
		if err != nil {
			return
		}
		compare(t, o, s, rec, key, new(Scratch))
	})
}
