package appliance

import (
	"strings"
	"testing"
)

// stub says to rpm that there is what the package needs, which came with Debian's packages.
const stub = `Name: stub
Version: 1
Release: 1
Summary: What Debian has installed
License: MIT
BuildArch: noarch
Provides: systemd, util-linux
%description
Nothing.
%files
`

// TestRPM installs, upgrades and erases the rpm with dnf, on a Debian that has it.
func TestRPM(t *testing.T) {
	t.Parallel()
	m := boot(t, "rpm", "rpm")
	s := &site{t: t, sender: m, receiver: m}
	m.put("/var/tmp/stub.spec", stub, 0o644)
	m.run("rpmbuild --quiet -bb --define '_topdir /var/tmp/rpmbuild' /var/tmp/stub.spec && rpm --force-debian -i /var/tmp/rpmbuild/RPMS/noarch/stub-1-1.noarch.rpm")
	m.run("dnf -q -y --disablerepo='*' install " + m.bring("rpm", older))
	if out, _ := m.try("systemctl is-enabled var-log-ftfuse.mount ftfuse-receiver.socket ftfuse-sender.socket"); strings.Contains(out, "enabled\n") {
		t.Errorf("the installed package is enabled: %s", out)
	}
	m.run("getent passwd ftfuse && echo '# mine' >>/etc/ftfuse/sender.yaml")
	m.run("systemctl enable --now ftfuse-receiver.socket var-log-ftfuse.mount && echo one >>" + mounted + "/a.log")
	s.expect("a.log", "one\n")

	mount := m.run("findmnt -n -o ID -t fuse.ftfuse")
	m.run("dnf -q -y --disablerepo='*' upgrade " + m.bring("rpm", newer))
	if got := m.run("ftfuse version; tail -n 1 /etc/ftfuse/sender.yaml"); !strings.Contains(got, newer) || !strings.HasSuffix(got, "# mine\n") {
		t.Errorf("after the upgrade: %s", got)
	}
	m.run("echo two >>" + mounted + "/a.log")
	s.expect("a.log", "one\ntwo\n")
	if now := m.run("findmnt -n -o ID -t fuse.ftfuse"); now != mount {
		t.Errorf("after the upgrade the mount is %s, want %s as before", now, mount)
	}

	m.run("dnf -q -y --disablerepo='*' remove ftfuse")
	m.refuse(1, nothing)
	m.refuse(1, "pgrep -x ftfuse")
	m.run("test -e /etc/ftfuse/sender.yaml.rpmsave && test -d /var/lib/ftfuse/sender")
	if failed := m.run("systemctl --failed --plain --no-legend; systemctl list-units --plain --no-legend '*ftfuse*'"); failed != "" {
		t.Errorf("after the removal there are %s", failed)
	}
}
