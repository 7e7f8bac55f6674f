package appliance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// app is a service that writes to the mount, as an administrator would have it. What it finds at its start it keeps.
const app = `[Unit]
Description=An application
RequiresMountsFor=/var/log/ftfuse

[Service]
ExecStartPre=/bin/sh -c 'findmnt -n -o FSTYPE --mountpoint /var/log/ftfuse >>/var/tmp/app.found'
ExecStart=/usr/local/bin/writer %s /var/log/ftfuse/%s.log append 1000 0

[Install]
WantedBy=multi-user.target
`

// TestReboot shuts both machines down in order and boots them: the service that writes finds its mount, and stops
// before it, as the mount stops before the sender.
func TestReboot(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		s := newSite(t, release)
		ran := []writer{{id: "first", file: "first.log"}, {id: "second", file: "second.log"}}
		s.app(ran[0])
		s.sender.run("systemctl daemon-reload && systemctl enable --now app.service")
		s.flowing(ran[:1])

		s.app(ran[1]) // what the next boot starts
		s.sender.reboot()
		s.ordered(s.sender)
		s.receiver.reboot()
		s.flowing(ran[1:])
		if found := readFile(t, s.sender.path("/var/tmp/app.found")); found != "fuse.ftfuse\nfuse.ftfuse\n" {
			t.Errorf("at its starts the application found %q", found)
		}
		s.sender.run("systemctl stop app.service")
		for _, w := range ran {
			s.whole(w)
		}
		t.Logf("power off took %v and %v", s.sender.poweroff(), s.receiver.poweroff())
	})
}

func (s *site) app(w writer) {
	s.sender.put("/etc/systemd/system/app.service", fmt.Sprintf(app, w.id, w.id), 0o644)
}

// ordered wants that at the last shutdown the application stopped before the mount, and that before the sender.
func (s *site) ordered(m *machine) {
	s.t.Helper()
	var stopped []string
	for _, e := range m.journal("-b -1 _PID=1 JOB_TYPE=stop") {
		unit, _ := e["UNIT"].(string)
		done := e["JOB_RESULT"] != nil
		if done && e["JOB_RESULT"] != "done" && unit != "var.mount" { // which the container holds
			s.t.Errorf("at shutdown %s ended with %v", unit, e["JOB_RESULT"])
		}
		if done {
			stopped = append(stopped, unit)
		}
	}
	at := func(unit string) int { return slices.Index(stopped, unit) }
	a, b, c := at("app.service"), at("var-log-ftfuse.mount"), at("ftfuse-sender.service")
	if a < 0 || b < a || c < b {
		s.t.Errorf("at shutdown stopped %v, want application, mount, sender", stopped)
	}
}

// whole waits for all that a writer has written, if the machine's end has not let it say how much: the lines up to the
// last that write(2) has returned for, and at most one more, each once.
func (s *site) whole(w writer) {
	s.t.Helper()
	n := 0
	for line := range strings.Lines(readFile(s.t, s.sender.path("/var/tmp/"+w.id+".last"))) {
		if i, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			n = i
		}
	}
	if n < 10 {
		s.t.Errorf("%s wrote %d lines, want more for a test", w.id, n)
	}
	eventually(s.t, "the lines of "+w.id, func() error {
		text := s.arrived(w.file)
		if err := once(text, w, n); err != nil && once(text, w, n+1) != nil {
			return err
		}
		return nil
	})
}
