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
	run(l.checkOutputs, "outputs", "targets", "state_dir")
	run(l.checkRelay, "outputs", "targets", "queue")
	run(l.checkReceiverRules, "rules", "outputs", "targets", "patterns")
	run(func(c *Receiver) { l.checkPatterns(c.Patterns) }, "patterns")
	run(l.checkReceiverTests, "tests", "rules", "outputs", "targets")
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

// checkRelay judges where a receiver sends to.
func (l *loader) checkRelay(c *Receiver) {
	outputs := names(c.Outputs, nameOfOutput)
	for _, t := range c.Targets {
		at := "targets[" + t.Name + "]"
		if slices.Contains(outputs, t.Name) {
			l.bad(at+".name", fmt.Sprintf("got %s, which is the name of an output: rules could not tell them apart", quote(t.Name)), "give one of them another name")
			continue
		}
		l.checkTarget(at, t, c.Queue.MaxSize)
		if t.Order == "fresh-first" {
			l.bad(at+".order", "fresh-first is not for relays: what others have sent keeps the order in which it came", "write order: fifo")
		}
		if t.Ack == "end" && t.Backlog > 0 {
			l.bad(at+".backlog", fmt.Sprintf("got %s with ack: end: what is dropped beyond it would be acknowledged all the same", t.Backlog), "remove backlog, so that senders wait, or write ack: hop")
		}
	}
}
