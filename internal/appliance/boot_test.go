package appliance

import (
	"strings"
	"testing"
)

// TestBoot tries what the other tests stand on: machines boot, reach each other, and keep their disk over whatever ends them.
func TestBoot(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		a, b := boot(t, release, "a"), boot(t, release, "b")
		if got := a.run(". /etc/os-release; echo $VERSION_CODENAME; hostname"); got != release+"\na\n" {
			t.Errorf("got release and host name %q", got)
		}
		b.run("echo hello >/var/tmp/hello; echo hello >/etc/hello; systemd-run -q -u files python3 -m http.server -d /var/tmp 8000")
		a.until("b answers a", `python3 -c 'import urllib.request as u; print(u.urlopen("http://`+b.address+`:8000/hello").read())'`)
		a.refuse(3, "exit 3")

		first := b.run("cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestampMonotonic")
		b.reboot()
		b.refuse(4, "systemctl status files.service") // transient, so of the boot before
		b.crash()
		if again := b.run("cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestampMonotonic"); again == first {
			t.Error("neither reboot nor crash has booted anew")
		}
		if got := b.run("cat /var/tmp/hello /etc/hello"); got != "hello\nhello\n" {
			t.Errorf("after reboot and crash the disk has %q", got)
		}
		if boots := b.run("journalctl --list-boots"); strings.Count(boots, "\n") < 3 {
			t.Errorf("the journal has the boots %s, want at least 3", boots)
		}
		b.put("/etc/put", "by the test", 0o600)
		if got := b.run("cat /etc/put"); got != "by the test" {
			t.Errorf("a file put on the disk reads %q", got)
		}
		t.Logf("power off took %v", b.poweroff())
	})
}
