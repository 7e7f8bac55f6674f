package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ftfuse/internal/config"
	"ftfuse/internal/systemd"
)

var oddPaths = []string{"/srv/plain", "/srv/my-app", "/srv/two words", "/srv/größe/日志", "/srv/100%n", `/srv/back\slash`, `/srv/it's "so"`,
	"/srv/#1", "/srv/a@b"}

// TestMountUnitJudged lets systemd and mount(8) read what is printed for paths that are hard to write down.
func TestMountUnitJudged(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "etc/systemd/system")
	copyUnits(t, dir)
	for _, path := range oddPaths {
		m := &config.Mount{Name: "app", Path: path, AllowOther: true}
		unit, err := systemd.MountUnit(path)
		if err != nil {
			t.Fatal(err)
		}
		// A wrong Where= does not fit the unit's name, which systemd says.
		write(t, filepath.Join(dir, unit), mountUnit(m, unit, dir))
		if out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--root="+root, unit).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: systemd says %s (%v)", path, out, err)
		}

		tab := filepath.Join(t.TempDir(), "fstab")
		write(t, tab, fstabLine(m))
		if got, want := readFstab(t, tab), [3]string{"app", path, "fuse.ftfuse"}; got != want {
			t.Errorf("findmnt reads %q, want %q", got, want)
		}
	}
}

// TestMountUnitAdvice lets systemd read the RequiresMountsFor= that the unit's comment advises.
func TestMountUnitAdvice(t *testing.T) {
	for _, path := range oddPaths {
		unit, err := systemd.MountUnit(path)
		if err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		dir := filepath.Join(root, "etc/systemd/system")
		copyUnits(t, dir)
		text := mountUnit(&config.Mount{Name: "app", Path: path, AllowOther: true}, unit, dir)
		_, advice, _ := strings.Cut(text, "should say ")
		advice, _, ok := strings.Cut(advice, ".\n")
		if !ok {
			t.Fatalf("no advice in %s", text)
		}
		write(t, filepath.Join(dir, "writer.service"), "[Unit]\nDescription=Writer\n"+advice+"\n[Service]\nExecStart=/bin/true\n")
		write(t, filepath.Join(dir, unit), "[Mount]\nWhat=app\nWhere=/wrong\n") // which systemd says only if it reads this unit
		out, _ := exec.Command("systemd-analyze", "verify", "--man=no", "--root="+root, "writer.service").CombinedOutput()
		if !strings.Contains(string(out), "Where= setting doesn't match unit name") {
			t.Errorf("%s does not lead to %s; systemd says %q", advice, unit, out)
		}
	}
}

// copyUnits makes a root with the units that are installed, and what they are started with.
func copyUnits(t *testing.T, dir string) {
	t.Helper()
	root := filepath.Join(dir, "../../..")
	for _, d := range []string{dir, filepath.Join(root, "bin"), filepath.Join(root, "usr/bin")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ours, err := filepath.Glob("../../systemd/*.s[oe]*") // sockets and services
	if err != nil || len(ours) < 5 {
		t.Fatalf("got %d units (%v), want those of systemd/", len(ours), err)
	}
	args := append(append([]string{"-r", "/usr/lib/systemd/system/."}, ours...), dir)
	if out, err := exec.Command("cp", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, program := range []string{"bin/true", "bin/sh", "usr/bin/ftfuse"} {
		if err := os.WriteFile(filepath.Join(root, program), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// readFstab returns source, target and type of the one line of a table.
func readFstab(t *testing.T, tab string) [3]string {
	t.Helper()
	out, err := exec.Command("findmnt", "--tab-file", tab, "--json", "--output", "SOURCE,TARGET,FSTYPE").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Filesystems []struct{ Source, Target, Fstype string }
	}
	if err := json.Unmarshal(out, &list); err != nil || len(list.Filesystems) != 1 {
		t.Fatalf("got %s (%v), want one file system", out, err)
	}
	f := list.Filesystems[0]
	return [3]string{f.Source, f.Target, f.Fstype}
}

// TestShippedMountUnit compares the unit in the package with the one for the shipped configuration.
func TestShippedMountUnit(t *testing.T) {
	cfg := config.DefaultSender()
	m := &cfg.Mounts[0]
	unit, err := systemd.MountUnit(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile(filepath.Join("../../systemd", unit))
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(string(shipped), "[Unit]")
	if _, want, _ := strings.Cut(mountUnit(m, unit, ""), "[Unit]"); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
