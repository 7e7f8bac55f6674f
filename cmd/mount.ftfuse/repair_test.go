package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ftfuse/internal/handover"

	"golang.org/x/sys/unix"
)

// A dead mount is replaced by the next one, with no moment in which the directory below is to be seen.
func TestMountOverDead(t *testing.T) {
	s, app := newSender(t)
	for range 3 {
		s.mount(app)
		s.kill(app)
	}
	seen := watch(app)
	s.mount(app)
	if other := seen(); len(other) > 0 {
		t.Errorf("the path showed %q", other)
	}
	if n := len(mountsAt(t, app)); n != 1 {
		t.Errorf("%d mounts lie there, want one", n)
	}
}

func TestRepair(t *testing.T) {
	s, app := newSender(t)
	dir := filepath.Dir(app)
	repair := func() result { return s.helper("--repair", "-o", "socket="+s.socket) }
	repair().want(exitOK)
	s.mount(app, "noexec", "owner_only")
	for _, d := range []string{"copy", "part", "alive"} {
		must(t, os.Mkdir(dir+"/"+d, 0o755))
	}
	s.change(func() { s.places["alive"] = handover.Place{Dir: dir + "/alive"} })
	must(t, unix.Mount(app, dir+"/copy", "", unix.MS_BIND, ""))
	must(t, unix.Mount(app+"/d", dir+"/part", "", unix.MS_BIND, ""))
	must(t, unix.Mount("none", dir+"/copy", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID, ""))
	s.kill(app)
	s.helper("alive", dir+"/alive", "-o", "socket="+s.socket).want(exitOK)
	asked := len(s.requests())

	seen := watch(app)
	r := repair()
	if other := seen(); len(other) > 0 {
		t.Errorf("the path showed %q", other)
	}
	r.want(exitOK)
	for _, want := range []string{"the mount app at " + app + " was dead: replaced", "bind mount at " + dir + "/copy", "bind mount at " + dir + "/part"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("said %q, want %q in it", r.out, want)
		}
	}
	for path, flags := range map[string]string{app: "rw,nosuid,nodev,noexec,relatime", dir + "/copy": "ro,nosuid,relatime", dir + "/part": "rw,nosuid,nodev,noexec,relatime"} {
		all := mountsAt(t, path)
		if len(all) != 1 || strings.Join(all[0].Options, ",") != flags || slices.Contains(all[0].Super, "allow_other") {
			t.Errorf("%s: got %+v, want flags %s", path, all, flags)
		}
	}
	for _, path := range []string{app + "/d/hello", dir + "/copy/d/hello", dir + "/part/hello"} {
		s.reads(path)
	}
	if n := len(s.requests()) - asked; n > 2 || n < 1 {
		t.Errorf("the sender was asked %d times", n)
	}
	if again := repair(); again.code != exitOK || again.out != "" {
		t.Errorf("with nothing dead: got %+v", again)
	}
}

// What cannot be repaired is named, and stays as it is; the rest is repaired.
func TestRepairFails(t *testing.T) {
	s, app := newSender(t)
	dir := filepath.Dir(app)
	must(t, os.Mkdir(dir+"/gone", 0o755))
	must(t, os.Mkdir(dir+"/part", 0o755))
	s.change(func() { s.places["gone"] = handover.Place{Dir: dir + "/gone"} })
	s.mount(app)
	s.helper("gone", dir+"/gone", "-o", "socket="+s.socket).want(exitOK)
	must(t, unix.Mount(dir+"/gone/d", dir+"/part", "", unix.MS_BIND, ""))
	s.kill(app, dir+"/gone")
	s.change(func() { delete(s.places, "gone") })
	r := s.helper("--repair", "-osocket="+s.socket)
	r.want(exitFailed, "mount.ftfuse: error: repair the dead mount gone at "+dir+"/gone: ", `sender.yaml has no mount "gone", it has app`, "hint: add `- {name: gone")
	if !strings.Contains(r.out, "the mount app at "+app) || strings.Contains(r.out, "gone") {
		t.Errorf("said %q", r.out)
	}
	must(t, unix.Unmount(dir+"/gone", unix.MNT_DETACH))
	s.helper("--repair", "-osocket="+s.socket).want(exitFailed, "dead mount gone at "+dir+"/part", "it is a bind mount of a part", "hint: unmount it with `umount -l "+dir+"/part`")
	s.stop()
	s.helper("--repair", "-osocket="+s.socket).want(exitFailed, dir+"/part")
}

// watch looks at a path until the result is called, which says what was there besides a FUSE file system, dead or alive.
func watch(path string) (stop func() []string) {
	var other []string
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			default:
			}
			var st unix.Statfs_t
			err := unix.Statfs(path, &st)
			if err != nil && err != unix.ENOTCONN || err == nil && st.Type != unix.FUSE_SUPER_MAGIC {
				other = append(other, fmt.Sprintf("type %x, error %v", st.Type, err))
			}
		}
	}()
	return func() []string { close(quit); <-done; return other }
}
