package appliance

import "testing"

// TestFullQueueDisk fills the file system of the queue under load: no program notices, the sender says so, and when
// there is room again everything arrives.
func TestFullQueueDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, "trixie")
	m := s.sender
	m.run("systemctl stop var-log-ftfuse.mount ftfuse-sender.socket ftfuse-sender.service")
	m.put("/etc/fstab", "tmpfs /var/lib/ftfuse/sender/queue tmpfs size=8m,mode=700,uid=ftfuse,gid=ftfuse,x-mount.mkdir 0 0\n", 0o644)
	m.run("systemctl daemon-reload && mv /var/lib/ftfuse/sender/queue /var/tmp/queue && mount -a && cp -a /var/tmp/queue/. /var/lib/ftfuse/sender/queue && systemctl start var-log-ftfuse.mount")
	s.write(writers)
	s.flowing(writers)
	m.run("! dd if=/dev/zero of=/var/lib/ftfuse/sender/queue/filler bs=64k 2>&1")
	m.until("the sender says that the disk is full", "journalctl -q -p warning -u ftfuse-sender.service | grep -i 'no space'")
	m.run("sleep 1; rm /var/lib/ftfuse/sender/queue/filler")
	s.oracle(writers)
}
