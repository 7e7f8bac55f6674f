package filter

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSkip holds Skip to Apply: what it passes over has the default verdict, record by record.
func TestSkip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{
			Otherwise: rapid.SampledFrom([]string{Allow, Deny}).Draw(t, "otherwise"),
			Sample:    rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "sample"),
			Patterns:  []Pattern{{"own", "dis+k"}, {"plain", "(?i)disk|err|(?P<secret>k)=1"}},
			Targets:   []string{"x"},
		}
		for range rapid.SampledFrom([]int{1, 2, 3, 70}).Draw(t, "filters") {
			f := Filter{Action: Deny, Contains: rapid.StringMatching("[a-c]{2,9}").Draw(t, "text")}
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				f = Filter{Action: Deny, Match: "(?i)" + quoted(f.Contains) + "k"}
			case 1:
				f = someFilter(t)
			case 2:
				f = Filter{Action: Redact, Redact: []string{rapid.SampledFrom(append(BuiltIn(), "own", "plain")).Draw(t, "pattern")}}
			case 3:
				f.UIDs = []uint32{1} // nobody here
			}
			o.Filters = append(o.Filters, f)
		}
		s := mustNewIn(t, o)
		c, sc := s.For(nil, nil, ""), Scratch{}
		var text strings.Builder
		for range rapid.IntRange(1, 30).Draw(t, "records") {
			text.WriteString(strings.ReplaceAll(someText(t, "record", 4), "\n", "") + rapid.StringMatching("[a-c]{0,12}\n").Draw(t, "rest"))
		}
		b := []byte(text.String())
		n := c.Skip(b, &sc)
		for off, rec := range bytes.SplitAfter(b[:n], []byte("\n")) {
			if !bytes.HasSuffix(rec, []byte("\n")) {
				break // not all of it
			}
			if v, want := c.Apply(rec, 7, &sc), c.Default(); fmt.Sprint(v) != fmt.Sprint(want) {
				t.Fatalf("record %d of %q, %q, was passed over by %+v\nand is %+v, want %+v", off, b, rec, o, v, want)
			}
		}
	})
}

func mustNewIn(t *rapid.T, o Options) *Set {
	s, err := New(o)
	if err != nil {
		t.Fatalf("New(%+v) = %v, want no error", o, err)
	}
	return s
}

// TestSkipStopsAtTheRecord: what is passed over ends in the first record that matters, so that it is worth the asking.
func TestSkipStopsAtTheRecord(t *testing.T) {
	line := string(benchLines[0])
	for _, hit := range []string{"needle", "ne\\dle", "ſ"} {
		o := benchFilters(100, "regex", false)
		o.Filters = append(o.Filters, Filter{Action: Deny, Contains: "needle"}, Filter{Action: Deny, Field: "needle"}, Filter{Action: Deny, Match: "(?i)sesame"})
		c, sc := mustNew(t, o).For(nil, nil, ""), Scratch{}
		text := strings.Repeat(line, 5) + line[:60] + hit + line[60:] + strings.Repeat(line, 5)
		if n := c.Skip([]byte(text), &sc); n < 5*len(line) || n >= 6*len(line)+len(hit) {
			t.Errorf("%s: got %d bytes, want all of the first 5 lines of %d bytes and not all of the sixth", hit, n, len(line))
		}
		if n := c.Skip([]byte(line), &sc); n != len(line) {
			t.Errorf("%s: got %d bytes of a line without it, want all %d", hit, n, len(line))
		}
	}
	for name, o := range map[string]Options{
		"sample": {Sample: 2, Filters: []Filter{{Action: Deny, Contains: "needle"}}},
		"prefix": {Filters: []Filter{{Action: Deny, Prefix: "needle"}}},
		"not":    {Filters: []Filter{{Action: Deny, Contains: "needle", Not: true}}},
		"digits": {Filters: []Filter{{Action: Deny, Match: `\d{7,} \d{7,}`}}},
	} {
		if n := mustNew(t, o).For(nil, nil, "").Skip([]byte(line), new(Scratch)); n != 0 {
			t.Errorf("%s: got %d, want 0: each record has to be looked at", name, n)
		}
	}
}
