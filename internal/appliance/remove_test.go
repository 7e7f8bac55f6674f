package appliance

import (
	"strings"
	"testing"
)

// leftover is what a purge leaves on purpose: what was received is the administrator's, and so are users.
const search = `find / -xdev \( -path /proc -o -path /sys -o -path /var/tmp -o -path /var/log/journal -o -path /var/log/apt \) -prune -o -iname '*ftfuse*' -print; find /var -xdev -iname '*ftfuse*' -not -path '/var/tmp/*' -not -path '/var/log/*'`

// TestRemove removes the package while it runs: what is configured and what is queued stays. A purge takes the
// configuration, and the queue only if nothing is in it; else it says what it has kept, and how to let it go.
func TestRemove(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		s := newSite(t, release)
		m := s.sender
		s.receiver.run("systemctl stop ftfuse-receiver.socket ftfuse-receiver.service")
		m.run("echo queued >>" + mounted + "/queued.log")
		m.run("DEBIAN_FRONTEND=noninteractive apt-get remove -y -q ftfuse")
		m.refuse(1, nothing)
		m.refuse(1, "pgrep -x ftfuse")
		m.run("test -e /etc/ftfuse/sender.yaml && test -d /var/lib/ftfuse/sender")
		if failed := m.run("systemctl --failed --plain --no-legend"); failed != "" {
			t.Errorf("after the removal failed: %s", failed)
		}
		m.install(older)
		m.run("systemctl enable --now var-log-ftfuse.mount")
		s.receiver.run("systemctl start ftfuse-receiver.socket")
		s.expect("queued.log", "queued\n")

		s.receiver.run("systemctl stop ftfuse-receiver.socket ftfuse-receiver.service")
		m.run("echo kept >>" + mounted + "/queued.log")
		said := m.run("DEBIAN_FRONTEND=noninteractive apt-get purge -y -q ftfuse 2>&1")
		if !strings.Contains(said, "/var/lib/ftfuse") {
			t.Errorf("the purge of a queue with data says %s", said)
		}
		m.run("test -d /var/lib/ftfuse/sender && ! test -e /etc/ftfuse/sender.yaml")
		s.clean(s.receiver)
	})
}

// clean purges a machine that has nothing queued and wants nothing of the package to stay.
func (s *site) clean(m *machine) {
	s.t.Helper()
	m.run("rm -r /etc/ftfuse/receiver.d/site.yaml /etc/systemd/system/ftfuse-receiver.socket.d && DEBIAN_FRONTEND=noninteractive apt-get purge -y -q ftfuse")
	if left := m.run(search); left != "" {
		s.t.Errorf("%s: after the purge there are %s", m.name, left)
	}
	if units := m.run("systemctl daemon-reload; systemctl list-units --all --plain --no-legend '*ftfuse*'"); units != "" {
		s.t.Errorf("%s: after the purge systemd knows %s", m.name, units)
	}
}
