package appliance

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"ftfuse/internal/receivertest"
)

// steps are what operators do to the sender and its mount, in whatever order. None may hang, and after any of them the
// mount can be had again.
var steps = []string{
	"systemctl restart ftfuse-sender.service",
	"systemctl stop ftfuse-sender.service; systemctl start ftfuse-sender.service",
	"systemctl stop ftfuse-sender.service; ftfuse status >/dev/null; mount.ftfuse --repair",
	"systemctl stop var-log-ftfuse.mount ftfuse-sender.service ftfuse-sender.socket; systemctl start var-log-ftfuse.mount",
	"systemctl stop var-log-ftfuse.mount; systemctl start var-log-ftfuse.mount",
	"systemctl restart ftfuse-sender.socket",
	"systemctl kill --kill-whom=main -s KILL ftfuse-sender.service",
	"systemctl restart ftfuse-broker.service",
	"systemctl daemon-reload",
	"umount -l " + mounted + "; mount -t ftfuse log " + mounted,
	"umount " + mounted + "; systemctl start var-log-ftfuse.mount",
	"systemctl stop 'ftfuse-*' var-log-ftfuse.mount; systemctl start var-log-ftfuse.mount",
}

func TestSequences(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		seed := time.Now().UnixNano()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewSource(seed))
		s := newSite(t, release)
		m := s.sender
		want := ""
		for n := range 6 * receivertest.Soak() {
			step := steps[rnd.Intn(len(steps))]
			m.run("systemctl reset-failed; " + step) // five starts in ten seconds are too many for systemd
			m.run("systemctl start var-log-ftfuse.mount")
			m.until("the mount serves after "+step, fmt.Sprintf("timeout 120 sh -c 'echo %d >> %s/seq.log'", n, mounted))
			want += fmt.Sprintf("%d\n", n)
		}
		s.expect("seq.log", want)
		t.Logf("power off after %v", m.poweroff())
	})
}
