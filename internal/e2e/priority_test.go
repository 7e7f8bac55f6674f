package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The line is thin and full of what matters less; what matters more passes it, also after a restart, and nothing is lost.
func TestPriority(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.rulesX = `  - {name: errors, match: ["*.err"], priority: high, targets: [main]}
  - {name: debug, match: ["*.dbg"], priority: low, targets: [main]}`
	s.mainX = ", rate_limit: {bytes: 64KiB, burst: 100ms}"
	s.startBoth()
	debug := strings.Repeat(strings.Repeat("d", 1023)+"\n", 8<<10)
	s.sh("yes " + strings.Repeat("d", 1023) + " | head -n 8192 > app.dbg")
	s.until("some of it has arrived", 20*time.Second, func() bool { return s.received("app.dbg") != "" })
	s.sh("echo first > app.err")
	s.expect("app.err", "first\n")
	if got := len(s.received("app.dbg")); got >= len(debug) {
		t.Fatalf("all %d bytes of what matters less were there before what matters more", got)
	}
	s.sender.kill()
	s.receiver.kill()
	s.mainX = "" // nothing holds it up any more
	s.startBoth()
	s.sh("echo second >> app.err")
	s.expect("app.err", "first\nsecond\n")
	s.expect("app.dbg", debug)
	for _, m := range []string{":high", ":low", ""} {
		s.until(fmt.Sprintf("connection %q is made", m), 20*time.Second, func() bool { return s.member(m).State == "connected" })
	}
}
