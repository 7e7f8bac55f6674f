package identify

import (
	"strings"
	"testing"
	"unsafe"
)

func ptr(b []byte) unsafe.Pointer { return unsafe.Pointer(&b[0]) }

const (
	idA = "1f5d4e0b7c6a89d23e4f5061728394a5b6c7d8e9f00112233445566778899aab"
	idB = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

var cgroups = []struct{ name, text, unit, container string }{
	{"service", "0::/system.slice/nginx.service\n", "nginx.service", ""},
	{"template in a slice", "0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service", ""},
	{"escaped name", "0::/system.slice/_cpu.service\n", "cpu.service", ""},
	{"login session", "0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", ""},
	{"user unit", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.foo.service\n",
		"user@1000.service/app-org.foo.service", ""},
	{"user manager", "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "user@1000.service/init.scope", ""},
	{"user slice alone", "0::/user.slice/user-1000.slice/user@1000.service\n", "user@1000.service", ""},
	{"pid 1", "0::/init.scope\n", "init.scope", ""},
	{"mount helper", "0::/system.slice/var-log-app.mount\n", "var-log-app.mount", ""},
	{"socket", "0::/system.slice/dbus.socket\n", "dbus.socket", ""},
	{"delegated below", "0::/system.slice/app.service/sshd.service\n", "app.service", ""},
	{"removed group", "0::/system.slice/old.service (deleted)\n", "old.service", ""},
	{"root", "0::/\n", "", ""},
	{"no systemd", "0::/mygroup/sub\n", "", ""},
	{"outside the namespace", "0::/../../system.slice/cron.service\n", "cron.service", ""},
	{"slice only", "0::/system.slice\n", "", ""},
	{"hybrid", "9:name=systemd:/system.slice/cron.service\n4:memory:/system.slice\n0::/system.slice/cron.service\n", "cron.service", ""},
	{"v1 wins", "1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n", "a.service", ""},
	{"v1 root, v2 known", "1:name=systemd:/\n0::/system.slice/b.service\n", "b.service", ""},
	{"docker, systemd", "0::/system.slice/docker-" + idA + ".scope\n", "docker-" + idA + ".scope", idA},
	{"docker, cgroupfs v2", "0::/docker/" + idA + "\n", "", idA},
	{"docker, v1", "12:pids:/docker/" + idA + "\n1:name=systemd:/docker/" + idA + "\n0::/\n", "", idA},
	{"docker, only memory", "4:memory:/docker/" + idA + "\n0::/\n", "", idA},
	{"docker in docker", "0::/docker/" + idA + "/docker/" + idB + "\n", "", idA},
	{"podman", "0::/machine.slice/libpod-" + idA + ".scope/container\n", "libpod-" + idA + ".scope", idA},
	{"podman of a user", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + idA + ".scope/container\n",
		"user@1000.service/libpod-" + idA + ".scope", idA},
	{"podman, cgroupfs", "0::/libpod_parent/libpod-" + idA + "\n", "", idA},
	{"podman's monitor", "0::/machine.slice/libpod-conmon-" + idA + ".scope\n", "libpod-conmon-" + idA + ".scope", ""},
	{"kubernetes, containerd", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2c48913c_b29f.slice/cri-containerd-" +
		idA + ".scope\n", "cri-containerd-" + idA + ".scope", idA},
	{"kubernetes, crio", "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/crio-" + idA + ".scope\n",
		"crio-" + idA + ".scope", idA},
	{"crio's monitor", "0::/system.slice/crio-conmon-" + idA + ".scope\n", "crio-conmon-" + idA + ".scope", ""},
	{"kubernetes, cgroupfs", "0::/kubepods/besteffort/pod0a1b2c3d-1111-2222-3333-444455556666/" + idA + "\n", "", idA},
	{"containerd, colons", "0::/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:" + idA + "\n",
		"containerd.service", idA},
	{"systemd in docker", "0::/system.slice/docker-" + idA + ".scope/system.slice/nginx.service\n", "docker-" + idA + ".scope", idA},
	{"ecs", "1:name=systemd:/ecs/0123456789abcdef0123456789abcdef/" + idA + "\n", "", idA},
	{"fargate", "1:cpuset:/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-3405691582\n", "",
		"0123456789abcdef0123456789abcdef-3405691582"},
	{"machined", "0::/machine.slice/machine-web.scope/payload/system.slice/nginx.service\n", "machine-web.scope", "web"},
	{"libvirt", "0::/machine.slice/machine-lxc\\x2d7\\x2dweb.scope/libvirt\n", "machine-lxc\\x2d7\\x2dweb.scope", "lxc-7-web"},
	{"not a machine", "0::/system.slice/machine-web.scope\n", "machine-web.scope", ""},
	{"nspawn", "0::/machine.slice/systemd-nspawn@web.service/payload\n", "systemd-nspawn@web.service", "web"},
	{"lxc", "1:name=systemd:/lxc/web1/system.slice/nginx.service\n", "", "web1"},
	{"lxc payload", "0::/lxc.payload.web1/system.slice/nginx.service\n", "", "web1"},
	{"lxc payload folder", "0::/lxc.payload/web1/init.scope\n", "", "web1"},
	{"lxc monitor", "0::/lxc.monitor.web1\n", "", ""},
	{"upper-case digits", "0::/docker/" + strings.ToUpper(idA) + "\n", "", ""},
	{"63 digits", "0::/docker/" + idA[1:] + "\n", "", ""},
	{"empty", "", "", ""},
	{"no path", "0:\n::\n\n:", "", ""},
}

func TestCgroups(t *testing.T) {
	for _, c := range cgroups {
		if u, id := parseCgroup([]byte(c.text)); u != c.unit || id != c.container {
			t.Errorf("%s: got unit %q container %q, want %q and %q", c.name, u, id, c.unit, c.container)
		}
	}
}

func TestStat(t *testing.T) {
	const tail = " R 7893 7893 5634 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 101070 3133440 418\n"
	for _, name := range []string{"cat", "", "a) S 1 2 3 (b", "x)", " "} {
		if n, ok := startTime([]byte("7933 (" + name + ")" + tail)); !ok || n != 101070 {
			t.Errorf("name %q: got %d %v, want 101070", name, n, ok)
		}
	}
	for _, bad := range []string{"", "1", "1 (cat)", "1 (cat) R 1 2 3", "1 (cat" + tail, "1 (cat)" + strings.Replace(tail, "101070", "-5", 1)} {
		if n, ok := startTime([]byte(bad)); ok {
			t.Errorf("%q: got %d, want a refusal", bad, n)
		}
	}
}

func TestStatus(t *testing.T) {
	const text = "Name:\tcat\\nTgid:\t1\nUmask:\t0022\nState:\tR (running)\nTgid:\t77\nNgid:\t0\nPid:\t78\nUid:\t1\t2\t3\t4\nGid:\t0\t0\t0\t0\n"
	if pid, uid, ok := groupAndUser([]byte(text)); !ok || pid != 77 || uid != 4 {
		t.Errorf("got %d %d %v, want 77 and 4", pid, uid, ok)
	}
	for _, bad := range []string{"", "Name:\tx\n", strings.Replace(text, "\t3\t4", "", 1), strings.Replace(text, "77", "0", 1),
		strings.Replace(text, "77", "99999999999", 1)} {
		if _, _, ok := groupAndUser([]byte(bad)); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzCgroup(f *testing.F) {
	for _, c := range cgroups {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		unit, container := parseCgroup(b)
		manager, own, two := strings.Cut(unit, "/")
		if unit != "" && !isUnit(manager) || two && (!isUnit(own) || !strings.HasPrefix(manager, "user@")) {
			t.Errorf("%q: unit %q", b, unit)
		}
		if len(unit) > len(b) || len(container) > len(b) {
			t.Errorf("%q: unit %q and container %q are longer than what they came from", b, unit, container)
		}
		if strings.ContainsAny(unit+container, "\n") && !strings.Contains(container, "\n") {
			t.Errorf("%q: unit %q holds a line end", b, unit)
		}
	})
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("7933 (cat) R 7893 7893 5634 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 101070 3133440 418\n"))
	f.Add([]byte("1 (a) b) R 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := startTime(b); !ok && n != 0 {
			t.Errorf("%q: %d although refused", b, n)
		}
	})
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte("Name:\tcat\nTgid:\t77\nUid:\t1\t2\t3\t4\n"))
	f.Add([]byte("\nTgid:\n\nUid:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pid, uid, ok := groupAndUser(b); ok != (pid != 0) || !ok && uid != 0 {
			t.Errorf("%q: %d %d %v", b, pid, uid, ok)
		}
	})
}
