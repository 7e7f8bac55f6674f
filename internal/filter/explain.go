package filter

import (
	"fmt"
	"slices"
	"strings"
)

// Explain describes the filters for people, one line each, then what holds for the rest and the sample. It says what a
// filter costs: which texts it is looked for by, or that it is asked for every record; and which filters none can reach.
func (s *Set) Explain() []string {
	var lines []string
	ended := -1
	for i := range s.steps {
		st := &s.steps[i]
		line := fmt.Sprintf("%d. %s%s: %s", i+1, st.action, s.explainTargets(st), st.explainCost())
		if ended >= 0 {
			line = fmt.Sprintf("%d. %s: never asked, as %d. decides about every record", i+1, st.action, ended+1)
		} else if (st.action == Allow || st.action == Deny) && !st.content && st.who == nil {
			ended = i
		}
		lines = append(lines, line)
	}
	otherwise := "otherwise: allow"
	if s.deny {
		otherwise = "otherwise: deny"
	}
	lines = append(lines, otherwise)
	if s.sample > 1 {
		lines = append(lines, fmt.Sprintf("sample: one record in %d passes, drawn before any filter is asked", s.sample))
	}
	return lines
}

func (s *Set) explainTargets(st *step) string {
	if st.targets == 0 {
		return ""
	}
	return " to " + strings.Join(s.Names(st.targets), ", ")
}

func (st *step) explainCost() string {
	switch {
	case st.need.texts != nil:
		return "asked only of records that hold " + listTexts(st.need.texts) + ", in any case"
	case !st.content && st.action != Redact:
		return "every record of the writer, file and host, without a look at it"
	case st.not:
		return "every record is looked at, as it must lack something"
	case st.action == Redact:
		return "every record is looked at, as there is no fixed text in what it takes out"
	}
	return "every record is looked at, as there is no fixed text of two bytes or more in what it asks for"
}

// listTexts names a few texts.
func listTexts(all []text) string {
	const most = 5
	var names []string
	for _, t := range all[:min(len(all), most)] {
		name := fmt.Sprintf("%q", t.s)
		if t.start {
			name += " at the beginning"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if len(all) > most {
		names = append(names, fmt.Sprintf("one of %d more", len(all)-most))
	}
	return strings.Join(names, " or ")
}
