package appliance

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// disk is what a new machine finds.
type disk struct {
	lower string // below its overlay: a folder, or several with colons between
	vars  string // the folder that is copied to be its /var
}

// fresh returns the disk of a release as it is set up.
func fresh(t *testing.T, kind string) disk {
	t.Helper()
	if here == nil {
		t.Skip(lacking)
	}
	root, err := here.roots[kind]()
	if err != nil {
		t.Fatal(err)
	}
	return disk{lower: root, vars: root + "/var"}
}

// installed is the disk of a release with the package, once a machine has installed it.
type installed struct {
	mu   sync.Mutex // held while that machine runs
	disk disk
}

// withPackage returns the disk of a machine that has installed the older package and was switched off: most tests begin
// behind that, and to install it takes longer than to boot.
func withPackage(t *testing.T, release string) disk {
	t.Helper()
	below := fresh(t, release)
	d := here.ready[release]
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.disk.lower == "" {
		m := bootOn(t, below, "first")
		m.install(older)
		m.poweroff()
		d.disk = m.leave(below)
	}
	return d.disk
}

// leave keeps the disk of a machine that is switched off for other machines, but for what tells who it was and what it did.
func (m *machine) leave(below disk) disk {
	m.t.Helper()
	kept := filepath.Join(here.dir, "root", "of-"+filepath.Base(m.dir))
	d := disk{lower: kept + "/upper:" + below.lower, vars: kept + "/var"}
	if err := unix.Unmount(m.dir+"/disk", 0); err != nil {
		m.t.Fatalf("%s: unmount its disk: %v", m.name, err)
	}
	if err := os.Mkdir(kept, 0o755); err != nil {
		m.t.Fatal(err)
	}
	for _, part := range []string{"upper", "var"} {
		if err := os.Rename(filepath.Join(m.dir, part), filepath.Join(kept, part)); err != nil {
			m.t.Fatal(err)
		}
	}
	for _, pattern := range []string{"/var/log/journal/*", "/var/tmp/*", "/upper/etc/machine-id"} {
		found, err := filepath.Glob(kept + pattern)
		if err != nil || len(found) == 0 {
			m.t.Fatalf("%s: nothing at %s (%v)", m.name, pattern, err)
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	return d
}
