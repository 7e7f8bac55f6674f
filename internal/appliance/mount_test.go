package appliance

import (
	"strings"
	"testing"
)

// TestMountByHand mounts and unmounts as mount(8) and fstab do, and makes the mistakes that people make.
func TestMountByHand(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		s := newSite(t, release)
		m := s.sender
		m.run("systemctl disable --now var-log-ftfuse.mount")
		m.refuse(1, nothing)

		m.run("mount -t ftfuse log " + mounted + " && echo by hand >>" + mounted + "/hand.log")
		s.expect("hand.log", "by hand\n")
		s.busy(m)
		s.mistakes(m)
		s.lazy(m)
		s.fstab(m)
	})
}

// busy has a program in the mount: it stays, as any file system would, and can be unmounted afterwards.
func (s *site) busy(m *machine) {
	s.t.Helper()
	m.run("systemd-run -q --unit=busy /usr/local/bin/writer busy " + mounted + "/busy.log append 1000 0")
	s.flowing([]writer{{id: "busy", file: "busy.log"}})
	if said := m.refuse(32, "umount "+mounted); !strings.Contains(said, "busy") {
		s.t.Errorf("umount of a busy mount says %q", said)
	}
	m.run("systemctl stop busy.service && umount " + mounted)
	s.finished("busy")
	m.refuse(1, nothing)
	m.run("mount -t ftfuse log " + mounted + " && echo again >>" + mounted + "/hand.log")
	s.expect("hand.log", "by hand\nagain\n")
}

// finished waits for all lines of a writer that was stopped, and wants that it saw no error.
func (s *site) finished(id string) {
	s.t.Helper()
	w := writer{id: id, file: id + ".log"}
	r := s.result(id)
	if r.failed > 0 || r.lines == 0 {
		s.t.Errorf("writer %s: %s", id, r.text)
	}
	eventually(s.t, "the lines of "+id, func() error { return once(s.arrived(w.file), w, r.lines) })
}

// mistakes are refused with mount(8)'s exit status, the sender's reason, and without a trace.
func (s *site) mistakes(m *machine) {
	s.t.Helper()
	mounts := m.run("findmnt -n -l -o SOURCE,TARGET -t fuse.ftfuse")
	for _, c := range []struct{ command, want string }{
		{"mount -t ftfuse log " + mounted, "already"},
		{"mount -t ftfuse nosuch /srv", "nosuch"},
		{"mount -t ftfuse log /srv", mounted},
		{"mount -t ftfuse log /nosuch", "/nosuch"},
	} {
		if said := m.refuse(32, c.command); !strings.Contains(said, c.want) {
			s.t.Errorf("%s says %q, want %q in it", c.command, said, c.want)
		}
	}
	if now := m.run("findmnt -n -l -o SOURCE,TARGET -t fuse.ftfuse"); now != mounts {
		s.t.Errorf("refused mounts changed %q into %q", mounts, now)
	}
	m.run("echo still >>" + mounted + "/hand.log")
	s.expect("hand.log", "by hand\nagain\nstill\n")
}

// lazy unmounts what is in use: who has a file open goes on, new opens reach what lies below.
func (s *site) lazy(m *machine) {
	s.t.Helper()
	m.run("systemd-run -q --unit=lazy /usr/local/bin/writer lazy " + mounted + "/lazy.log append 1000 0")
	s.flowing([]writer{{id: "lazy", file: "lazy.log"}})
	m.run("umount -l " + mounted)
	m.refuse(1, nothing)
	m.run("mount -t ftfuse log " + mounted + " && echo after >>" + mounted + "/hand.log")
	s.expect("hand.log", "by hand\nagain\nstill\nafter\n")
	m.run("systemctl stop lazy.service")
	s.finished("lazy")
	m.run("umount " + mounted)
}

// fstab mounts at boot, and by the path alone.
func (s *site) fstab(m *machine) {
	s.t.Helper()
	m.put("/etc/fstab", "log "+mounted+" ftfuse _netdev,nofail,x-systemd.requires=ftfuse-sender.socket,x-systemd.after=ftfuse-sender.service 0 0\n", 0o644)
	m.run("systemctl daemon-reload && mount " + mounted + " && findmnt -t fuse.ftfuse " + mounted)
	m.run("umount " + mounted)
	m.reboot()
	m.run("findmnt -t fuse.ftfuse " + mounted + " && echo fstab >>" + mounted + "/fstab.log")
	s.expect("fstab.log", "fstab\n")
	m.run("systemctl stop var-log-ftfuse.mount")
	m.refuse(1, nothing)
}
