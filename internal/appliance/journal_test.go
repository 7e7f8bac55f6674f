package appliance

import (
	"fmt"
	"strings"
	"testing"
)

// TestJournalOutput has the receiver write to the journal of its machine: more than journald takes of others, records of
// any bytes and size, over kills of the receiver and of journald. Every record is there, and says who wrote it.
func TestJournalOutput(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		s := newSite(t, release)
		r := s.receiver
		r.put("/etc/ftfuse/receiver.d/journal.yaml", "outputs:\n  - {name: journal, type: journal}\n", 0o644)
		r.run("ftfuse check && systemctl restart ftfuse-receiver.service")
		const lines = 12000 // in half a minute journald takes 10,000 of a service whose unit says nothing
		s.sender.run("seq " + fmt.Sprint(lines) + " >>" + mounted + "/seq.log")
		r.run("systemctl kill -s KILL --kill-whom=main ftfuse-receiver.service; systemctl kill -s KILL systemd-journald.service")
		s.sender.run(`printf 'one\n\nnul \0 and \377\n' >>` + mounted + `/odd.log; python3 -c 'print("x" * 900000)' >>` + mounted + `/long.log`)
		r.until("as many lines are in the journal", fmt.Sprintf("journalctl -q -o cat SYSLOG_IDENTIFIER=seq.log | wc -l | awk '{ exit $1 < %d }'", lines))
		eventually(t, "all lines are in the journal", func() error {
			got := map[string]int{}
			for _, e := range r.journal("SYSLOG_IDENTIFIER=seq.log") {
				got[e.text()]++
			}
			for i := 1; i <= lines; i++ {
				if got[fmt.Sprint(i)] == 0 {
					return fmt.Errorf("%d lines are there, %d is missing", len(got), i)
				}
			}
			return nil
		})
		var odd []entry
		eventually(t, "records of any bytes are in the journal", func() error {
			odd = r.journal("SYSLOG_IDENTIFIER=odd.log")
			var got []string
			for _, e := range odd {
				got = append(got, e.text())
			}
			if text := strings.Join(got, "|"); text != "one||nul \x00 and \xff" {
				return fmt.Errorf("got %q", text)
			}
			if long := r.journal("SYSLOG_IDENTIFIER=long.log"); len(long) != 1 || long[0].text() != strings.Repeat("x", 900000) {
				return fmt.Errorf("got %d long records", len(long))
			}
			return nil
		})
		e := odd[0]
		for key, want := range map[string]string{"FTFUSE_HOST": "sender", "FTFUSE_PATH": "odd.log", "FTFUSE_WRITER_UID": "0", "FTFUSE_OFFSET": "0", "PRIORITY": "6"} {
			if e[key] != want {
				t.Errorf("%s is %v, want %s", key, e[key], want)
			}
		}
		for _, key := range []string{"FTFUSE_WRITER_PID", "FTFUSE_WRITER_COMM", "FTFUSE_SENDER", "FTFUSE_EPOCH", "FTFUSE_SEQ", "FTFUSE_HANDLE", "FTFUSE_TIME", "FTFUSE_BOOT_ID"} {
			if e[key] == nil {
				t.Errorf("%s is missing in %v", key, e)
			}
		}
		s.sender.poweroff()
		r.poweroff()
	})
}

// text returns the message; journalctl gives what is not text as a list of bytes.
func (e entry) text() string {
	list, odd := e["MESSAGE"].([]any)
	if !odd {
		return fmt.Sprint(e["MESSAGE"])
	}
	var b []byte
	for _, n := range list {
		b = append(b, byte(n.(float64)))
	}
	return string(b)
}

// refuseStart starts a receiver whose configuration has a mistake: once, as a restart would not mend it, and the journal
// says what it is and what to do.
func (m *machine) refuseStart() {
	t := m.t
	t.Helper()
	m.put("/etc/ftfuse/receiver.d/bad.yaml", "listn: []\n", 0o644)
	m.refuse(1, "systemctl start ftfuse-receiver.service")
	list := m.journal("FTFUSE_NOTICE=config_refused")
	if len(list) != 1 {
		t.Fatalf("got %d messages, want one: %s", len(list), m.said("ftfuse-receiver.service"))
	}
	e := list[0]
	if !strings.Contains(e.text(), "bad.yaml:1: listn: unknown key") || e["PRIORITY"] != "3" || e["FTFUSE_HINT"] != "did you mean listen?" || e["_SYSTEMD_UNIT"] != "ftfuse-receiver.service" {
		t.Errorf("got %v", e)
	}
	if said := m.run("journalctl -x --no-hostname FTFUSE_NOTICE=config_refused"); !strings.Contains(said, "Subject: The configuration has mistakes") ||
		!strings.Contains(said, "has not started: ") || !strings.Contains(said, "listn: unknown key") {
		t.Errorf("journalctl -x says %s", said)
	}
	m.run("rm /etc/ftfuse/receiver.d/bad.yaml; systemctl start ftfuse-receiver.service")
	m.until("its status", "systemctl show -P StatusText ftfuse-receiver.service | grep '^0 senders connected; '")
}
