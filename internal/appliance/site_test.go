package appliance

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// site is a sender and a receiver, two machines with the package installed.
type site struct {
	t                *testing.T
	sender, receiver *machine
}

const (
	mounted  = "/var/log/ftfuse" // the mount of the shipped configuration
	received = "/var/log/ftfuse-received"
)

// nothing is a command that fails with 1 where nothing of ours is mounted.
const nothing = "grep ' fuse.ftfuse ' /proc/mounts"

// newSite boots two machines that have the package, and does what an administrator does to connect them.
func newSite(t *testing.T, release string) *site {
	t.Helper()
	d := withPackage(t, release)
	s := &site{t: t, sender: bootOn(t, d, "sender"), receiver: bootOn(t, d, "receiver")}
	for _, m := range []*machine{s.sender, s.receiver} {
		if out, err := m.try("systemctl list-units --all --plain --no-legend 'ftfuse-*' '*ftfuse.mount'"); err != nil || out != "" {
			t.Errorf("%s: the installed package runs by itself: %s %v", m.name, out, err)
		}
	}
	s.sender.tools()
	s.sender.put("/etc/ftfuse/sender.d/site.yaml", s.senderConfig(), 0o644)
	s.receiver.put("/etc/ftfuse/receiver.d/site.yaml", receiverConfig, 0o644)
	s.receiver.put("/etc/systemd/system/ftfuse-receiver.socket.d/site.conf", "[Socket]\nListenStream=\nListenStream=24747\n", 0o644)
	s.receiver.run("systemctl daemon-reload && ftfuse check && systemctl enable --now ftfuse-receiver.socket")
	s.sender.run("ftfuse check && systemctl enable --now var-log-ftfuse.mount")
	return s
}

func (s *site) senderConfig() string {
	return fmt.Sprintf(`targets:
  - {name: default, address: "%s:24747", insecure: true, backoff: {min: 10ms, max: 200ms}}
`, s.receiver.address)
}

const receiverConfig = `insecure: true
outputs:
  - {name: json, base: /var/log/ftfuse-received/json, path: all.json, format: json}
`

// arrived returns a file of the receiver's, by its name below the sender's mount; "" if it is not there.
func (s *site) arrived(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.receiver.path(received + "/" + s.sender.name + "/" + name))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(b)
}

// expect waits until a file of the receiver's is exactly want.
func (s *site) expect(name, want string) {
	s.t.Helper()
	eventually(s.t, name+" arrives", func() error {
		if got := s.arrived(name); got != want {
			return fmt.Errorf("got %s, want %s", brief(got), brief(want))
		}
		return nil
	})
}

func brief(s string) string {
	if len(s) > 400 {
		return fmt.Sprintf("%d bytes, %d lines: %q ... %q", len(s), strings.Count(s, "\n"), s[:150], s[len(s)-150:])
	}
	return fmt.Sprintf("%q", s)
}
