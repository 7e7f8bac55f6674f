package attach

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newPlace makes a directory to mount on. What is mounted in it goes with the test.
func newPlace(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ftfuse-attach-test")
	must(t, err)
	at := filepath.Join(dir, "with space")
	must(t, os.Mkdir(at, 0o755))
	t.Cleanup(func() {
		all, err := List()
		must(t, err)
		for _, m := range slices.Backward(all) {
			if strings.HasPrefix(m.Path, dir) {
				must(t, unix.Unmount(m.Path, unix.MNT_DETACH))
			}
		}
		must(t, os.RemoveAll(dir))
	})
	return at
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mount attaches a file system whose INIT nobody has answered. end closes its descriptor: it is dead then.
func mount(t *testing.T, path string) (a *Attached, end func()) {
	t.Helper()
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	mnt, err := Superblock(fuse, "the name", false)
	must(t, err)
	defer unix.Close(mnt)
	must(t, SetFlags(mnt, Flags{Set: unix.MOUNT_ATTR_NOEXEC, Clear: unix.MOUNT_ATTR_NODEV}))
	a, err = At(mnt, path)
	must(t, err)
	closed := false
	end = func() {
		if !closed {
			closed = true
			must(t, unix.Close(fuse))
		}
	}
	t.Cleanup(end)
	return a, end
}

func options(t *testing.T, path string) string {
	t.Helper()
	top, err := topMount(path)
	must(t, err)
	if top == nil {
		return "nothing"
	}
	return top.Source + " " + strings.Join(top.Options, ",")
}

func TestFlagsAndEnd(t *testing.T) {
	at := newPlace(t)
	mount(t, at)
	if got, want := options(t, at), "the name rw,nosuid,noexec,relatime"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	must(t, os.Symlink(at, at+"-link"))
	must(t, Remount(at+"-link", Flags{Set: unix.MOUNT_ATTR_RDONLY, Clear: unix.MOUNT_ATTR_NOEXEC}))
	must(t, Remount(at, Flags{}))
	if got, want := options(t, at), "the name ro,nosuid,relatime"; got != want {
		t.Errorf("after the remount: got %s, want %s", got, want)
	}
	a, err := Found(at)
	must(t, err)
	if clean, err := a.Detach(time.Minute); !clean || err != nil {
		t.Errorf("detach: got %v, %v", clean, err)
	}
	if err := Remount(at, Flags{}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("remount of nothing: got %v, want EINVAL", err)
	}
	if _, err := Found(at); !errors.Is(err, unix.EINVAL) {
		t.Errorf("nothing is found: got %v, want EINVAL", err)
	}
	if clean, err := a.Detach(time.Second); clean || err != nil {
		t.Errorf("detach again: got %v, %v", clean, err)
	}
}

// A dead mount is seen, and what lies beneath it is opened, also when several lie on each other.
func TestBeneathDeadMounts(t *testing.T) {
	at := newPlace(t)
	var before, below unix.Stat_t
	must(t, unix.Stat(at, &before))
	for range 3 {
		_, end := mount(t, at)
		end()
		if !Dead(at) {
			t.Fatal("not dead")
		}
	}
	must(t, os.Symlink(at, at+"-link"))
	dir, fd, err := Below(at + "-link")
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Fstat(fd, &below))
	if dir != at || below.Ino != before.Ino {
		t.Errorf("got %s, inode %d, want %s, %d", dir, below.Ino, at, before.Ino)
	}
	if !Dead(at) {
		t.Error("the dead mount is gone before another is there")
	}
	mount(t, at)
	all, err := mountsAt(at)
	must(t, err)
	if len(all) != 1 {
		t.Errorf("got %d mounts, want the new one", len(all))
	}
}

// A mount whose server is silent holds nobody up, and is not taken for dead.
func TestSilentMount(t *testing.T) {
	at := newPlace(t)
	a, _ := mount(t, at)
	if _, _, err := Below(at); !errors.Is(err, unix.EBUSY) {
		t.Errorf("got %v, want EBUSY", err)
	}
	must(t, a.Abort()) // ends the question that stayed behind
	if !Dead(at) {
		t.Error("aborted, and not dead")
	}
}

func TestNoPlace(t *testing.T) {
	at := newPlace(t)
	must(t, os.WriteFile(at+"/file", nil, 0o600))
	must(t, os.Symlink("nowhere", at+"/dangling"))
	must(t, os.Symlink("loop", at+"/loop"))
	for name, want := range map[string]error{"loop": unix.ELOOP, "file": unix.ENOTDIR, "none": unix.ENOENT, "none/x": unix.ENOENT, "dangling": unix.ENOENT, "file/x": unix.ENOTDIR} {
		if _, fd, err := Below(at + "/" + name); !errors.Is(err, want) || fd != -1 {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
}

// A dead mount is one also for who was frozen while he asked: when he goes on, the time has passed and the answer is still to come.
func TestDeadThoughFrozen(t *testing.T) {
	answer, tick := make(chan error), make(chan time.Time)
	got := make(chan bool, 1)
	go func() { got <- dead(answer, tick) }()
	tick <- time.Now() // all ticks of that time are one
	select {
	case answer <- unix.ENOTCONN:
	case <-got:
		t.Fatal("silent at the first look after all the time is over: want time to be asked")
	}
	if !<-got {
		t.Error("ENOTCONN does not count as dead")
	}
	go func() { got <- dead(answer, tick) }()
	for range looks {
		tick <- time.Now()
	}
	if <-got {
		t.Error("a mount that is silent counts as dead")
	}
}
