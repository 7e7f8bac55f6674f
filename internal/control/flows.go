package control

import (
	"fmt"
	"maps"
	"slices"
)

const unbalancedBug = "these numbers do not add up, which is a mistake in ftfuse: please report it"

// flows prints the accounts; unbalanced is what to say of one that does not add up. Where the lines are too short for
// everything, the numbers of records give way: what was dropped is on the right, and must be seen.
func (p *printer) flows(flows []Flow, unbalanced string) {
	t := flowTable(flows, unbalanced, count)
	if p.Width > 0 && t.width() > p.Width {
		t = flowTable(flows, unbalanced, func(c Count) cell {
			if c == (Count{}) {
				return count(c)
			}
			return cell{humanBytes(c.Bytes), noColour}
		})
	}
	p.table(t)
}

func flowTable(flows []Flow, unbalanced string, count func(Count) cell) *table {
	filtered := slices.ContainsFunc(flows, func(f Flow) bool { return f.Filtered != Count{} })
	flows, idle := Shown(flows)
	head := "RULE > TARGET"
	if len(flows) > 0 && !slices.ContainsFunc(flows, func(f Flow) bool { return f.Rule != "" }) {
		head = "TO TARGET"
	}
	t := &table{head: []string{head, ">CAPTURED", ">DELIVERED", ">QUEUED"}}
	if filtered {
		t.head = append(t.head, ">FILTERED")
	}
	t.head = append(t.head, ">DROPPED")
	for _, f := range flows {
		dropped := f.Dropped.Total()
		row := []cell{{f.Name(), noColour}, count(f.Captured), count(f.Delivered), count(f.Queued)}
		if filtered {
			row = append(row, count(f.Filtered))
		}
		last := count(dropped)
		if dropped != (Count{}) {
			last.colour = red
		}
		t.add(append(row, last)...)
		for _, why := range slices.Sorted(maps.Keys(f.Dropped)) {
			t.note(red, fmt.Sprintf("dropped, %s: %s", why, inWords(f.Dropped[why])))
		}
		if !f.Balanced() {
			t.note(red, unbalanced)
		}
	}
	if len(flows) == 0 {
		t.note(dim, "nothing has been captured yet")
	}
	if idle > 0 {
		t.note(dim, plural(idle, "more pair")+" of rule and target to which nothing went: --json has them")
	}
	return t
}

// count is bytes and records in one cell.
func count(c Count) cell {
	if c == (Count{}) {
		return cell{"0", dim}
	}
	return cell{humanBytes(c.Bytes) + " " + humanCount(c.Records), noColour}
}

// Name is that of the rule and of the target; of a sum over all rules it is the target's.
func (f Flow) Name() string {
	if f.Rule == "" {
		return f.Target
	}
	return f.Rule + " > " + f.Target
}

// Idle reports whether the target has got nothing of the rule, and will not: every record was for others, or filtered. A rule
// is accounted for at every target, those included that it does not name.
func (f Flow) Idle() bool { return f.Captured == f.Filtered && f.Captured != Count{} }

// Shown returns the flows that are shown, and how many are not: idle ones, but for the first of a rule that has no other. Sums
// over all rules are shown.
func Shown(flows []Flow) (shown []Flow, idle int) {
	seen := map[string]bool{}
	for _, f := range flows {
		seen[f.Rule] = seen[f.Rule] || !f.Idle()
	}
	for _, f := range flows {
		if f.Rule != "" && f.Idle() && seen[f.Rule] {
			idle++
			continue
		}
		seen[f.Rule] = true
		shown = append(shown, f)
	}
	return shown, idle
}
