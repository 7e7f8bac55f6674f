package appliance

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTwoHosts goes the way of the quick start, from fresh machines to lines that arrive, and looks where an
// administrator looks.
func TestTwoHosts(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		s := newSite(t, release)
		s.sender.run("echo hello >>" + mounted + "/hello.log")
		s.expect("hello.log", "hello\n")
		s.write(writers)
		s.flowing(writers)
		s.told(s.sender, "ftfuse-sender.service", "sender")
		s.told(s.receiver, "ftfuse-receiver.service", "receiver")
		s.explained()
		s.sender.until("Python has rotated, and the mount lists it", "ls "+mounted+" | grep -x python.log.1")
		s.oracle(writers)
		for _, m := range []*machine{s.sender, s.receiver} {
			m.quiet()
		}
		s.receiver.poweroff()
		s.sender.poweroff()
	})
}

// flowing waits until lines of all writers have arrived.
func (s *site) flowing(list []writer) {
	s.t.Helper()
	for _, w := range list {
		eventually(s.t, "lines of "+w.id, func() error {
			if got := strings.Count(s.arrived(w.file), "\n"); got < 10 {
				return fmt.Errorf("got %d lines, want 10", got)
			}
			return nil
		})
	}
}

// synced has journald take what it was sent before somebody looks. It may be one that was just killed.
const synced = "journalctl --sync 2>/dev/null; "

// said returns the end of a unit's journal.
func (m *machine) said(unit string) string {
	out, _ := m.try(synced + "journalctl --no-hostname -n 20 -o cat -u " + unit)
	return out
}

var live = regexp.MustCompile(`\d`)

// told wants systemctl and ftfuse to tell what a running side does.
func (s *site) told(m *machine, unit, role string) {
	s.t.Helper()
	show := m.run("systemctl show -p ActiveState -p SubState -p StatusText " + unit)
	if !strings.Contains(show, "ActiveState=active\nSubState=running\n") || !live.MatchString(show) {
		s.t.Errorf("systemctl shows %q, want it running with figures in its status", show)
	}
	first := m.run("systemctl show -P StatusText " + unit)
	eventually(s.t, "the status of "+unit+" changes under load", func() error {
		if now := m.run("systemctl show -P StatusText " + unit); now == first {
			return fmt.Errorf("it is still %q", now)
		}
		return nil
	})
	if out := m.run("ftfuse status"); !strings.Contains(out, role) {
		s.t.Errorf("ftfuse status says %q, want it to tell of the %s", out, role)
	}
	entries := m.journal("_SYSTEMD_UNIT=" + unit)
	if !slices.ContainsFunc(entries, func(e entry) bool { return e["FTFUSE_VERSION"] == older && e["PRIORITY"] == "6" }) {
		s.t.Errorf("the journal of %s does not say in fields which version runs: %v", unit, entries)
	}
}

// explained stops the receiver: the sender says so under a message id, which the journal's catalog explains.
func (s *site) explained() {
	s.t.Helper()
	s.receiver.run("systemctl stop ftfuse-receiver.socket ftfuse-receiver.service")
	said := s.sender.until("the sender says that its receiver is away", "journalctl -x --no-hostname -u ftfuse-sender.service FTFUSE_NOTICE=receiver_away | grep -A 20 Subject:")
	if !strings.Contains(said, "Subject: ") || !strings.Contains(said, "waits in the queue on disk") {
		s.t.Errorf("journalctl -x explains the receiver's absence with %s", said)
	}
	s.receiver.run("systemctl start ftfuse-receiver.socket")
}

// entry is one entry of the journal.
type entry map[string]any

// journal returns the entries that match, with all that was handed to journald before.
func (m *machine) journal(match string) []entry {
	m.t.Helper()
	var all []entry
	for text := range strings.Lines(m.run(synced + "journalctl -o json --all " + match)) {
		var e entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			m.t.Fatalf("journal: %v: %s", err, text)
		}
		all = append(all, e)
	}
	return all
}

// quiet wants no error of ours in the journal.
func (m *machine) quiet() {
	m.t.Helper()
	if out, _ := m.try(synced + "journalctl -q --no-hostname -o short -p err -u 'ftfuse-*'"); out != "" {
		m.t.Errorf("%s: errors in the journal:\n%s", m.name, out)
	}
}
