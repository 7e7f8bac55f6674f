package config

import "fmt"

// checkSenderTests holds examples to what exists. Whether they hold is what running them shows.
func (l *loader) checkSenderTests(c *Sender) {
	mounts := destinations{names: names(c.Mounts, nameOfMount), noun: "a mount"}
	rules := destinations{names: names(c.Rules, func(r Rule) string { return r.Name }), noun: "a rule"}
	for _, t := range c.Tests {
		at := "tests[" + t.Name + "]"
		if t.Mount != "" {
			l.checkNames(at+".mount", []string{t.Mount}, mounts)
		}
		if t.Host != "" {
			l.doubt(at+".host", "has no effect on a sender", "remove it")
		}
		l.checkTest(at, t, rules, c.destinations())
	}
}

// checkReceiverTests is checkSenderTests for a receiver, which does not know the senders' mounts.
func (l *loader) checkReceiverTests(c *Receiver) {
	rules := destinations{names: names(c.Rules, func(r ReceiverRule) string { return r.Name }), noun: "a rule"}
	for _, t := range c.Tests {
		l.checkTest("tests["+t.Name+"]", t, rules, c.destinations())
	}
}

func (l *loader) checkTest(at string, t Test, rules, to destinations) {
	if t.Rule != "" && t.Rule != "default" { // that is also what nothing matched
		l.checkNames(at+".rule", []string{t.Rule}, rules)
	}
	seen := map[string]bool{}
	for i, e := range t.Out {
		here := numbered(at+".out", i) + ".target"
		l.checkNames(here, []string{e.Target}, to)
		if seen[e.Target] {
			l.bad(here, fmt.Sprintf("got %s a second time", quote(e.Target)), "put all of its lines into one text")
		}
		seen[e.Target] = true
	}
}
