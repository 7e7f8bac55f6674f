package config

import (
	"fmt"
	"slices"
)

// checkReceiver is checkSender for a receiver.
func (l *loader) checkReceiver(c *Receiver) {
	broken := slices.Clone(l.problems)
	run := func(check func(*Receiver), sections ...string) {
		if !broken.touches(sections...) {
			check(c)
		}
	}
	run(func(c *Receiver) { l.checkControl(c.Control) }, "control")
	run(func(c *Receiver) { l.checkMetrics(c.Metrics.Listen, c.Control) }, "control", "metrics")
	run(l.checkListen, "listen")
	run(l.checkListenTLS, "listen", "tls", "insecure", "peers")
	run(l.checkPeers, "peers")
	run(l.checkLimits, "limits")
	run(l.checkOutputs, "outputs", "state_dir")
	run(l.checkReceiverRules, "rules", "outputs", "patterns")
	run(func(c *Receiver) { l.checkPatterns(c.Patterns) }, "patterns")
	run(l.checkReceiverTests, "tests", "rules", "outputs")
}

func (l *loader) checkListen(c *Receiver) {
	if len(c.Listen) == 0 {
		l.bad("listen", "got no address, want at least one", "write listen: [\"127.0.0.1:"+Port+"\"]")
	}
	seen := map[string]bool{}
	for _, a := range c.Listen {
		if seen[a] {
			l.bad("listen", fmt.Sprintf("got %s twice", a), "remove one of them")
		}
		seen[a] = true
	}
}

func (l *loader) checkLimits(c *Receiver) {
	if c.Limits.PerAddress > c.Limits.Connections {
		l.doubt("limits.per_address", fmt.Sprintf("%d is above limits.connections, which is %d", c.Limits.PerAddress, c.Limits.Connections), "")
	}
}
