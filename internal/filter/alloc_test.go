//go:build !race

package filter

import (
	"slices"
	"testing"
)

// With the race detector sync.Pool throws things away on purpose, and package regexp allocates anew.
func TestDoesNotAllocate(t *testing.T) {
	o := benchFilters(100, "regex", false)
	o.Patterns = []Pattern{{"own", `\b[a-z]\d{9,}`}}
	o.Filters = append(o.Filters,
		Filter{Action: Redact, Redact: slices.DeleteFunc(BuiltIn(), func(s string) bool { return s == "ipv4" })},
		Filter{Action: Redact, Redact: []string{"own"}},
		Filter{Action: Deny, Field: "level", Is: []string{"debug"}},
		Filter{Action: Deny, Match: `\d{9,}`},
		Filter{Action: Route, Contains: "GET", Targets: []string{"x"}},
		Filter{Action: Redact, Redact: []string{"ipv4"}},
		Filter{Action: Allow, Not: true, Prefix: "x"})
	s := mustNew(t, o)
	c, sc := s.For(nil, nil, ""), Scratch{}
	if n := testing.AllocsPerRun(200, func() {
		if v := c.Apply(benchLines[0], 0, &sc); !v.Keep || v.Text == nil {
			t.Error("want the line kept, its address taken out")
		}
	}); n > 0 {
		t.Errorf("Apply allocates %v times, want 0", n)
	}
}
