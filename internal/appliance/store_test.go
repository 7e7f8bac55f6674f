package appliance

import (
	"strings"
	"testing"
)

// TestStopAndStart stops the sender below its mount. systemd 252 then forgets the descriptors that it keeps for the
// service, and the mount is dead: the start repairs it, and says so.
func TestStopAndStart(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		s := newSite(t, release)
		m := s.sender
		m.run("echo before >>" + mounted + "/a.log")
		s.expect("a.log", "before\n")
		m.run("systemctl stop ftfuse-sender.service")
		m.refuse(2, "echo lost >>"+mounted+"/a.log")
		m.run("systemctl start ftfuse-sender.service && echo after >>" + mounted + "/a.log")
		s.expect("a.log", "before\nafter\n")
		if mounts := m.run("findmnt -n -l -o TARGET -t fuse.ftfuse"); mounts != mounted+"\n" {
			t.Errorf("after the start the mounts are %q, want one at %s", mounts, mounted)
		}
		if said := m.said("ftfuse-sender.service"); !strings.Contains(said, mounted) {
			t.Errorf("the journal says %s, want it to tell of the repair", said)
		}
		if state := m.run("systemctl show -P ActiveState var-log-ftfuse.mount"); state != "active\n" {
			t.Errorf("the mount unit is %s, want active", state)
		}
		m.run("systemctl stop var-log-ftfuse.mount")
	})
}
