// Package rules decides by a file's path what happens to what is written to it.
package rules

import (
	"fmt"
	"slices"

	"ftfuse/internal/record"
)

// Rule is one rule as configured. Decision's Rule and Why are filled in by New.
type Rule struct {
	Name     string
	Match    []string // patterns, see CheckPattern
	Mounts   []string // names of the mounts that it is for; none: all
	Decision record.Decision
}

// Options is what a Matcher is made of.
type Options struct {
	Rules   []Rule          // in written order
	Default record.Decision // for paths that no rule matches; Rule and Why are filled in by New
}

// Matcher answers for a fixed set of rules. It is never changed once made, so any goroutine may use it.
type Matcher struct {
	candidates []candidate // most specific first
	fallback   record.Decision
}

// candidate is one pattern of one rule, braces expanded.
type candidate struct {
	glob     glob
	written  string   // the pattern as it stands in the configuration
	mounts   []string // nil: all
	weight   weight
	rule     int // position in written order
	decision record.Decision
}

// New compiles the rules. An error names the rule, the pattern and what is wrong with it.
func New(o Options) (*Matcher, error) {
	m := &Matcher{fallback: o.Default}
	m.fallback.Rule = "default"
	m.fallback.Why = "no rule matches"
	for i, r := range o.Rules {
		for _, pattern := range r.Match {
			alternatives, err := expand(pattern)
			if err != nil {
				return nil, fmt.Errorf("rule %s: %w", r.Name, err)
			}
			for _, a := range alternatives {
				c := candidate{glob: compile(a), written: pattern, mounts: r.Mounts, rule: i, decision: r.Decision}
				c.weight = weigh(a, len(r.Mounts) > 0)
				c.decision.Rule = r.Name
				c.decision.Why = "rule " + r.Name + ", pattern " + pattern
				m.candidates = append(m.candidates, c)
			}
		}
	}
	slices.SortStableFunc(m.candidates, func(a, b candidate) int { return b.weight.compare(a.weight) })
	return m, nil
}

// Decide returns what the most specific rule that matches says. path is slash-separated and relative to the
// mount, and may hold any bytes. It does not allocate.
func (m *Matcher) Decide(mount, path string) record.Decision {
	for i := range m.candidates {
		if c := &m.candidates[i]; c.matches(mount, path) {
			return c.decision
		}
	}
	return m.fallback
}

func (c *candidate) matches(mount, path string) bool {
	return c.glob.match(path) && (len(c.mounts) == 0 || slices.Contains(c.mounts, mount))
}

// Explanation is a decision with what led to it.
type Explanation struct {
	Mount      string
	Path       string
	Decision   record.Decision
	Candidates []Candidate // every rule that matches, the one that decides first
}

// Candidate is a rule that matches, by its most specific pattern.
type Candidate struct {
	Rule    string
	Pattern string
	Why     string // for the first: why it wins; for the others: why they lose to it
}

// Explain is Decide for people.
func (m *Matcher) Explain(mount, path string) Explanation {
	e := Explanation{Mount: mount, Path: path, Decision: m.Decide(mount, path)}
	var winner *candidate
	seen := map[int]bool{}
	for i := range m.candidates {
		c := &m.candidates[i]
		if seen[c.rule] || !c.matches(mount, path) {
			continue
		}
		seen[c.rule] = true
		why := "the most specific pattern that matches"
		if winner != nil {
			why = winner.beats(c)
		} else {
			winner = c
		}
		e.Candidates = append(e.Candidates, Candidate{Rule: c.decision.Rule, Pattern: c.written, Why: why})
	}
	if len(e.Candidates) == 1 {
		e.Candidates[0].Why = "the only rule that matches"
	}
	return e
}

// beats says why c comes before loser.
func (c *candidate) beats(loser *candidate) string {
	a, b := c.weight, loser.weight
	switch {
	case a.exact != b.exact:
		return "has wildcards, " + c.written + " has none"
	case a.named != b.named:
		return "says nothing about the file's own name"
	case a.literals != b.literals:
		return fmt.Sprintf("fixes %d characters, %s fixes %d", b.literals, c.written, a.literals)
	case a.deep != b.deep:
		return "has more **"
	case a.scoped != b.scoped:
		return "is for every mount"
	}
	return "as specific, but written later"
}
