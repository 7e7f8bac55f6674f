package appliance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/receivertest"
)

// TestTakeOver ends the sender in every way that it can end under load of real programs. The mount stays, and nobody
// sees an error: what they call meanwhile waits for the next process.
func TestTakeOver(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		s := newSite(t, release)
		m := s.sender
		mount := m.run("findmnt -n -o ID -t fuse.ftfuse")
		s.write(writers)
		s.flowing(writers)
		for range 2 {
			s.takesOver("systemctl restart ftfuse-sender.service")
		}
		for range 4 * receivertest.Soak() { // of each release
			s.takesOver("systemctl kill -s KILL --kill-whom=main ftfuse-sender.service")
		}
		// Shorter than in the unit only where it is waited for: a sender that gets no processor for so long is killed as well.
		m.put("/etc/systemd/system/ftfuse-sender.service.d/watchdog.conf", "[Service]\nWatchdogSec=5s\n", 0o644)
		s.takesOver("systemctl daemon-reload && systemctl restart ftfuse-sender.service")
		s.takesOver("systemctl kill -s STOP --kill-whom=main ftfuse-sender.service")
		m.run("rm /etc/systemd/system/ftfuse-sender.service.d/watchdog.conf; systemctl daemon-reload")
		s.takesOver("systemctl kill -s ABRT --kill-whom=main ftfuse-sender.service")
		s.takesOver("apt-get install -y -q " + m.bring("deb", newer))
		if got := m.run("ftfuse version"); !strings.Contains(got, newer) {
			t.Errorf("after the upgrade ftfuse version says %q, want %s", got, newer)
		}
		s.takesOver("apt-get install -y -q --allow-downgrades " + m.bring("deb", older))
		if now := m.run("findmnt -n -o ID -t fuse.ftfuse"); now != mount {
			t.Errorf("the mount is %s, want %s as before", now, mount)
		}
		s.growing(writers)
		s.oracle(writers)
		s.sender.poweroff()
	})
}

// takesOver does what ends the sender, and waits until another process serves and lines flow.
func (s *site) takesOver(command string) {
	s.t.Helper()
	old := s.serving()
	begin := time.Now()
	s.sender.run(command)
	eventually(s.t, command+": another process serves", func() error {
		if now := s.serving(); now == "" || now == old {
			return fmt.Errorf("got %q after %q", now, old)
		}
		return nil
	})
	s.sender.run("echo served >>" + mounted + "/served.log")
	s.t.Logf("%s: served again after %v", command, time.Since(begin).Round(time.Millisecond))
}

// serving returns the process id of a sender that has said that it is ready, else "".
func (s *site) serving() string {
	out, _ := s.sender.try("systemctl show -P SubState -P MainPID ftfuse-sender.service")
	f := strings.Fields(out)
	if len(f) == 2 && f[0] != "running" {
		f[0], f[1] = f[1], f[0]
	}
	if len(f) != 2 || f[0] != "running" {
		return ""
	}
	return f[1]
}
