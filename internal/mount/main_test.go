package mount

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain fails the run when a mount, a descriptor or a goroutine is left over.
func TestMain(m *testing.M) {
	if args := os.Getenv("FTFUSE_TEST_CHILD"); args != "" {
		os.Exit(child(strings.Split(args, "\x1f")))
	}
	before := descriptors()
	code := m.Run()
	if code == 0 {
		if b, _ := os.ReadFile("/proc/self/mountinfo"); bytes.Contains(b, []byte(scratch)) {
			fmt.Fprintf(os.Stderr, "mounts are left over:\n%s", b)
			code = 1
		}
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if after := descriptors(); len(after) > len(before) {
			fmt.Fprintf(os.Stderr, "descriptors are left over: %q, before the tests %q\n", after, before)
			code = 1
		}
	}
	os.Exit(code)
}

// scratch is part of the path of every mount of these tests.
var scratch = fmt.Sprintf("ftfuse-mount-test-%d-", os.Getpid())

func descriptors() []string {
	var l []string
	all, _ := os.ReadDir("/proc/self/fd")
	for _, e := range all {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:") && !strings.Contains(to, "/cgroup") {
			l = append(l, to)
		}
	}
	return l
}

// rig is a served mount.
type rig struct {
	*testing.T
	dir   string // the mount
	below string // the same directory, reached from below
	m     *Mount
	cap   *testCapture
	id    *testIdentity
	logs  *bytes.Buffer
	stop  func()
	ended chan error

	waiting chan struct{} // somebody waits for a lock
}

// needs skips where a mount cannot be made.
func needs(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount: run the tests as root")
	}
	if fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		t.Skipf("needs /dev/fuse: %v", err)
	} else {
		unix.Close(fd)
	}
}

func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", scratch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// newRig mounts over a new directory; set changes the options before.
func newRig(t *testing.T, set ...func(*Options)) *rig {
	t.Helper()
	needs(t)
	dir := tempDir(t)
	for _, d := range []string{"mnt", "spool"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{T: t, dir: filepath.Join(dir, "mnt"), cap: newTestCapture(filepath.Join(dir, "spool")), id: &testIdentity{}, logs: &bytes.Buffer{}}
	r.cap.blocked = make(chan struct{})
	r.mount(set...)
	t.Cleanup(r.end)
	return r
}

func (r *rig) mount(set ...func(*Options)) {
	r.Helper()
	ready := make(chan struct{})
	o := Options{Name: "test", Dir: r.dir, Capture: r.cap, Decider: testRules{}, Identifier: r.id,
		Ready: func() { close(ready) }, Logger: slog.New(slog.NewTextHandler(r.logs, nil))}
	for _, f := range set {
		f(&o)
	}
	m, err := Open(o)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.m, r.stop, r.ended = m, cancel, make(chan error, 1)
	r.waiting = make(chan struct{}, 1000)
	m.locks.joined = func() { r.waiting <- struct{}{} }
	r.below = fmt.Sprintf("/proc/self/fd/%d", m.Below())
	go func() { r.ended <- m.Serve(ctx) }()
	select {
	case <-ready:
	case err := <-r.ended:
		r.Fatal(err)
	}
	// The runtime polls files that it opens, in a call that holds its processor. After this one the kernel knows that
	// there is nothing to poll, so a test in the serving process cannot wait for itself.
	if out, err := exec.Command("/usr/bin/python3", "-c",
		"import os,select\nf=os.open('"+r.dir+"/poll.stored',os.O_RDONLY|os.O_CREAT)\np=select.poll();p.register(f);p.poll(0);os.unlink('"+r.dir+"/poll.stored')").CombinedOutput(); err != nil {
		r.Fatalf("%v: %s", err, out)
	}
}

// end unmounts and checks that all was given back.
func (r *rig) end() {
	r.Helper()
	if r.m == nil {
		return
	}
	m := r.m
	r.m = nil
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			r.Errorf("serve: %v", err)
		}
	case <-time.After(60 * time.Second):
		r.Error("the mount does not end")
		_ = unix.Unmount(r.dir, unix.MNT_FORCE|unix.MNT_DETACH)
		return
	}
	if s := m.Stats(); s.Handles != 0 || s.Nodes != 1 || s.Files != 0 {
		r.Errorf("left in the tables: %+v", s)
	}
	if err := m.Close(); err != nil {
		r.Error(err)
	}
	r.cap.close()
	if bytes.Contains(r.logs.Bytes(), []byte("level=ERROR")) || bytes.Contains(r.logs.Bytes(), []byte("level=WARN")) {
		r.Errorf("logged:\n%s", r.logs)
	}
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// sh runs a script in the mount and returns what it printed.
func (r *rig) sh(script string) string {
	r.Helper()
	c := exec.Command("bash", "-e", "-c", script)
	c.Dir = r.dir
	out, err := c.CombinedOutput()
	if err != nil {
		r.Fatalf("%s\n%v: %s", script, err, out)
	}
	return string(out)
}

func (r *rig) read(name string) string {
	r.Helper()
	b, err := os.ReadFile(r.path(name))
	if err != nil {
		r.Fatal(err)
	}
	return string(b)
}

func (r *rig) want(what string, got, want any) {
	r.Helper()
	if got != want {
		r.Errorf("%s: got %v, want %v", what, short(got), short(want))
	}
}

// becomes waits for what follows a FORGET or a RELEASE: the kernel sends them when it likes, also behind later requests.
func (r *rig) becomes(what string, get func() string, want string) {
	r.Helper()
	for end := time.Now().Add(60 * time.Second); get() != want && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	r.want(what, get(), want)
}

func short(v any) string {
	s := fmt.Sprintf("%q", fmt.Sprint(v))
	if len(s) > 300 {
		s = s[:300] + "..."
	}
	return s
}

// opens returns how many opens got mode for reason.
func (r *rig) opens(mode, reason string) (n int) {
	for _, o := range r.m.Stats().Opens {
		if o.Mode == mode && strings.HasPrefix(o.Reason, reason) {
			n += int(o.Count)
		}
	}
	return n
}
