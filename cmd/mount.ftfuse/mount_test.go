package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ftfuse/internal/handover"

	"golang.org/x/sys/unix"
)

func TestMount(t *testing.T) {
	s, app := newSender(t)
	s.answers(func(_ context.Context, r handover.Request) error {
		if len(mountsAt(t, app)) > 0 {
			t.Error("the mount is to be seen before it is served")
		}
		var a, b unix.Stat_t
		must(t, unix.Fstat(int(r.Below.Fd()), &a))
		must(t, unix.Stat(app, &b))
		if a.Ino != b.Ino {
			t.Error("the directory below is another one")
		}
		return nil
	})
	s.mount(app, "_netdev", "noexec", "noatime", "x-systemd.requires=a", "nofail", "comment=b")
	all := mountsAt(t, app)
	if len(all) != 1 || all[0].Source != "app" || !slices.Contains(all[0].Super, "default_permissions") || !slices.Contains(all[0].Super, "allow_other") {
		t.Fatalf("got %+v", all)
	}
	if got := strings.Join(all[0].Options, ","); got != "rw,nosuid,nodev,noexec,noatime" {
		t.Errorf("got flags %s", got)
	}
	r := s.requests()[0]
	if got := strings.Join(r.Options, ","); r.Name != "app" || r.Dir != app || got != "rw,socket="+s.socket+",noexec,noatime" {
		t.Errorf("the sender was asked %+v", r)
	}
	s.helper("-v", "app", app, "-o", "remount,ro,suid,strictatime").want(exitOK)
	if got := strings.Join(mountsAt(t, app)[0].Options, ","); got != "ro,nodev,noexec" { // strictatime is not shown
		t.Errorf("after the remount: got flags %s", got)
	}
	s.helper("app", app, "-osocket="+s.socket).want(exitFailed, "mount.ftfuse: error: mount on "+app+": it is an ftfuse mount already", "\nhint: `umount "+app)
	must(t, unix.Unmount(app, 0))
	s.settle()
	s.answers(nil)
	s.mount(app, "suid", "dev", "owner_only")
	all = mountsAt(t, app)
	if got := strings.Join(all[0].Options, ","); got != "rw,relatime" || slices.Contains(all[0].Super, "allow_other") || !s.requests()[1].OwnerOnly {
		t.Errorf("got flags %s of %v", got, all[0].Super)
	}
}

// mount(8) finds the helper for both names of the type, and hands on what it says. A file with the mount's name in the
// working directory changes nothing.
func TestMountProgram(t *testing.T) {
	s, app := newSender(t)
	dir := filepath.Dir(app)
	exe, err := os.Executable()
	must(t, err)
	for _, name := range []string{"mount.ftfuse", "mount.fuse.ftfuse"} {
		must(t, os.MkdirAll(dir+"/sbin", 0o755))
		must(t, os.Symlink(exe, dir+"/sbin/"+name))
	}
	sbin, err := filepath.EvalSymlinks("/sbin")
	must(t, err)
	plain, err := os.MkdirTemp("", "ftfuse-sbin") // overlayfs takes no blanks here
	must(t, err)
	defer os.RemoveAll(plain)
	must(t, os.Symlink(dir+"/sbin", plain+"/link"))
	must(t, unix.Mount("overlay", sbin, "overlay", 0, "lowerdir="+plain+"/link:"+sbin))
	defer unix.Unmount(sbin, unix.MNT_DETACH)
	must(t, os.WriteFile(dir+"/file", nil, 0o644))
	s.change(func() { s.places["file"] = s.places["app"] })
	mount := func(args ...string) result {
		p := start(t, "env", append([]string{"-C", dir, "mount"}, args...)...)
		return p.wait()
	}
	for _, fstype := range []string{"ftfuse", "fuse.ftfuse"} {
		for _, name := range []string{"app", "file"} {
			mount("-t", fstype, name, app, "-o", "noexec,_netdev,x-systemd.automount,socket="+s.socket).want(exitOK)
			all := mountsAt(t, app)
			if len(all) != 1 || all[0].Source != name || !slices.Contains(all[0].Options, "noexec") {
				t.Errorf("got %+v", all)
			}
			must(t, unix.Unmount(app, 0))
			s.settle()
		}
		mount("-t", fstype, "none", app, "-o", "socket="+s.socket).want(exitFailed, `sender.yaml has no mount "none", it has app, file`, "hint: add `- {name: none, path: ")
		mount("-t", fstype, "app", app, "-o", "sokcet=/x").want(exitUsage, `got an unknown option "sokcet=/x"`, "hint: the options are ro, rw, nosuid")
		mount("-s", "-t", fstype, "app", app, "-o", "sokcet=/x,socket="+s.socket).want(exitOK)
		mount(app, "-o", "remount,nosymfollow").want(exitOK)
		mount("-t", fstype, "app", app, "-o", "remount,noexec").want(exitOK)
		must(t, unix.Unmount(app, 0))
		s.settle()
	}
}

// What was refused is said, and nothing is mounted.
func TestRefusals(t *testing.T) {
	s, app := newSender(t)
	dir := filepath.Dir(app)
	must(t, os.Mkdir(dir+"/other", 0o755))
	must(t, os.WriteFile(dir+"/file", nil, 0o644))
	s.change(func() { s.places["closed"] = handover.Place{Dir: dir + "/other", OwnerOnly: true} })
	socket := "socket=" + s.socket
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"nobody", app, "-o", socket}, exitFailed, []string{`mount.ftfuse: error: sender.yaml has no mount "nobody", it has app, closed`, "\nhint: add `- {name: nobody"}},
		{[]string{"app", dir + "/other", "-o", socket}, exitFailed, []string{"error: mount app belongs on " + app + " by sender.yaml, not on " + dir + "/other", "hint: mount it on " + app}},
		{[]string{"closed", dir + "/other", "-o", socket}, exitFailed, []string{"not for all users", "hint: add the mount option owner_only"}},
		{[]string{"app", dir + "/file", "-o", socket}, exitFailed, []string{"it is not a directory", "hint: name a directory"}},
		{[]string{"app", dir + "/none", "-o", socket}, exitFailed, []string{"no such file or directory", "hint: create it with `mkdir -p " + dir + "/none`"}},
		{[]string{"app", app, "-o", "socket=" + dir + "/none.sock"}, exitFailed, []string{"nobody answers there", "hint: start it with `systemctl start ftfuse-sender.socket`"}},
		{[]string{"app", app, "-o", "socket=" + dir + "/file"}, exitFailed, []string{"nobody answers there"}},
		{[]string{"app", app, "-o", "socket=x"}, exitUsage, []string{`option socket: got "x", want an absolute path`}},
		{[]string{"app", app, "-o", "timeout=0"}, exitUsage, []string{`option timeout: got "0", want more than 0`}},
		{[]string{"app", app, "-o", "timeout=soon"}, exitUsage, []string{`option timeout: got "soon"`}},
		{[]string{"app", app, "-o", "ro=1"}, exitUsage, []string{`option ro: got value "1", want none`}},
		{[]string{"app", app, "-o", "remount,owner_only"}, exitUsage, []string{"option owner_only"}},
		{[]string{"app", app, "-o", "remount"}, exitFailed, []string{"no ftfuse mount is to be seen there"}},
		{[]string{"app", app, "-o", "bind"}, exitUsage, []string{`got an unknown option "bind"`}},
		{[]string{"app", app, "-o"}, exitUsage, []string{"got -o without a value"}},
		{[]string{"app", app, "-N", "/proc/1/ns/mnt"}, exitUsage, []string{"got -N", "nsenter(1) --mount=/proc/1/ns/mnt"}},
		{[]string{"app", app, "-x"}, exitUsage, []string{"got an unknown argument -x", "hint: see `mount.ftfuse --help`"}},
		{[]string{"app"}, exitUsage, []string{"got 1 names, want WHAT"}},
		{[]string{"--repair", "app"}, exitUsage, []string{"got [\"app\"] with --repair"}},
	} {
		r := s.helper(c.args...)
		r.want(c.code, c.want...)
		if lines := strings.Count(r.err, "\n"); lines > 2 || !strings.HasPrefix(r.err, "mount.ftfuse: error: ") || r.out != "" {
			t.Errorf("%q: got %q, want one error and one hint", c.args, r.err)
		}
		if len(mountsAt(t, app)) > 0 {
			t.Fatalf("%q: mounted", c.args)
		}
	}
	s.helper("-sfnv", "app", app, "-t", "fuse.ftfuse", "-o", socket+",sloppy").want(exitOK)
	if len(mountsAt(t, app)) > 0 || len(s.requests()) != 3 {
		t.Errorf("-f mounts, or asks")
	}
}

func TestNotRoot(t *testing.T) {
	// The program lies where only root comes to: it is handed on as a descriptor.
	start(t, "sh", "-c", `exec 9< /proc/$PPID/exe; exec setpriv --reuid=65534 --regid=65534 --clear-groups /proc/self/fd/9 app /tmp`).wait().want(exitUsage, "only root may mount")
}

// A mount that cannot be attached after the sender has agreed ends.
func TestAttachFails(t *testing.T) {
	s, app := newSender(t)
	s.answers(func(context.Context, handover.Request) error { return os.Remove(app) })
	s.helper("app", app, "-o", "socket="+s.socket).want(exitFailed, "attach the mount at "+app, "no such file or directory")
	s.settle() // its connection has ended
}

// So does one whose helper is killed.
func TestHelperKilled(t *testing.T) {
	s, app := newSender(t)
	asked := make(chan struct{})
	s.answers(func(ctx context.Context, _ handover.Request) error {
		close(asked)
		<-ctx.Done()
		return nil // go on as if nothing had been noticed
	})
	p := start(t, "/proc/self/exe", "app", app, "-o", "socket="+s.socket)
	<-asked
	must(t, p.cmd.Process.Signal(syscall.SIGKILL))
	p.wait()
	s.stop()
	s.settle()
	if len(mountsAt(t, app)) > 0 {
		t.Error("mounted")
	}
}

func TestNoAnswerInTime(t *testing.T) {
	s, app := newSender(t)
	s.answers(func(ctx context.Context, _ handover.Request) error {
		<-ctx.Done()
		return ctx.Err()
	})
	s.helper("app", app, "-o", "timeout=1s,socket="+s.socket).want(exitFailed, "no answer in time", "hint: `systemctl status ftfuse-sender`")
}

// Of helpers that come at once one mounts, and the others see it.
func TestHelpersAtOnce(t *testing.T) {
	s, app := newSender(t)
	var all []*process
	for range 6 {
		all = append(all, start(t, "/proc/self/exe", "app", app, "-o", "socket="+s.socket))
	}
	served := 0
	for _, p := range all {
		r := p.wait()
		if r.code == exitOK {
			served++
			continue
		}
		r.want(exitFailed, "it is an ftfuse mount already")
	}
	if n := len(mountsAt(t, app)); served != 1 || n != 1 {
		t.Errorf("%d helpers mounted, %d mounts are there, want one", served, n)
	}
	lock, err := os.Open(filepath.Dir(app))
	must(t, err)
	defer lock.Close()
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	s.helper("app", filepath.Dir(app), "-o", "timeout=50ms,socket="+s.socket).want(exitFailed, "another mount.ftfuse has been at it since")
}

// A sender that is killed while it takes the mount is asked again.
func TestSenderRestarts(t *testing.T) {
	s, app := newSender(t)
	s.stop()
	l := listenPacket(t, s.socket)
	lost := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Read(make([]byte, 1000))
			s.startOn(l)
			c.Close()
		}
		lost <- err
	}()
	s.mount(app)
	must(t, <-lost)
}

func TestSenderEnds(t *testing.T) {
	s, app := newSender(t)
	s.stop()
	l := listenPacket(t, s.socket)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	s.helper("app", app, "-o", "socket="+s.socket).want(exitFailed, "the sender ended before it answered", "hint: `journalctl -u ftfuse-sender` says why")
	l.Close()
	<-done
}
