package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ftfuse/internal/attach"
	"ftfuse/internal/handover"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// TestMain runs the program itself when asked to, and the tests in a mount namespace of their own: --repair looks at all
// mounts that it sees. What other tests have mounted is taken out of it.
func TestMain(m *testing.M) {
	const asMain, inside = "FTFUSE_TEST_MAIN", "FTFUSE_TEST_NAMESPACE"
	switch {
	case os.Getenv(asMain) != "":
		main()
	case os.Getenv(inside) == "":
		c := exec.Command("/proc/self/exe", os.Args[1:]...)
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		c.Env = append(os.Environ(), inside+"=1")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		if err := c.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "tests in a mount namespace (as root): ", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := leaveOthers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv(asMain, "1")
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0") // else each program waits a second before it ends
	os.Exit(m.Run())
}

func leaveOthers() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	all, err := attach.List()
	for _, m := range all {
		if gone := unix.Unmount(m.Path, unix.MNT_DETACH); gone != nil && gone != unix.EINVAL {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// sender is what the helper speaks to. It serves what it is given by go-fuse: a directory d with a file hello.
type sender struct {
	*testing.T
	socket string
	places map[string]handover.Place
	before func(ctx context.Context, r handover.Request) error // called first, if not nil
	stop   func()

	mu      sync.Mutex
	asked   []handover.Request
	servers []*fuse.Server
	serving sync.WaitGroup
}

// newSender listens on a socket in a directory that holds one directory to mount on, app.
func newSender(t *testing.T) (*sender, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "mount.ftfuse test") // with a blank
	must(t, err)
	app := filepath.Join(dir, "app")
	must(t, os.Mkdir(app, 0o755))
	s := &sender{T: t, socket: filepath.Join(dir, "mount.sock"), places: map[string]handover.Place{"app": {Dir: app}}}
	t.Cleanup(func() {
		all, err := attach.List()
		must(t, err)
		for _, m := range slices.Backward(all) {
			if strings.HasPrefix(m.Path, dir) {
				_ = unix.Unmount(m.Path, unix.MNT_DETACH)
			}
		}
		s.stop()
		s.settle()
		os.RemoveAll(dir)
	})
	s.start()
	return s, app
}

func listenPacket(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	must(t, err)
	return l
}

func (s *sender) start() {
	s.startOn(listenPacket(s.T, s.socket))
}

func (s *sender) startOn(l *net.UnixListener) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- handover.Serve(ctx, l, s.take, slog.New(slog.DiscardHandler)) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
		s.stop = func() {}
	}
}

func (s *sender) take(ctx context.Context, r handover.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r)
	if s.before != nil {
		if err := s.before(ctx, r); err != nil {
			return err
		}
	}
	if err := handover.Match(r, s.places, "sender.yaml"); err != nil {
		return err
	}
	fd, err := unix.FcntlInt(r.Fuse.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	root := &tree{}
	server, err := fuse.NewServer(fs.NewNodeFS(root, &fs.Options{}), fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{})
	if err != nil {
		return err
	}
	r.Fuse.Close()
	r.Below.Close()
	s.servers = append(s.servers, server)
	s.serving.Go(server.Serve)
	return nil
}

type tree struct{ fs.Inode }

func (t *tree) OnAdd(ctx context.Context) {
	d := t.NewPersistentInode(ctx, &fs.Inode{}, fs.StableAttr{Mode: syscall.S_IFDIR})
	t.AddChild("d", d, false)
	hello := &fs.MemRegularFile{Data: []byte("hello"), Attr: fuse.Attr{Mode: 0o644}}
	d.AddChild("hello", t.NewPersistentInode(ctx, hello, fs.StableAttr{}), false)
}

// requests returns how often the sender was asked.
func (s *sender) requests() []handover.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// change changes what the sender does with the next request.
func (s *sender) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// answers sets what is called first.
func (s *sender) answers(f func(context.Context, handover.Request) error) {
	s.change(func() { s.before = f })
}

// settle waits until every connection has ended.
func (s *sender) settle() {
	s.change(func() {}) // what was taken before is among those that are waited for
	s.serving.Wait()
	s.change(func() {}) // and what is taken from here on is not
}

// helper runs the program.
func (s *sender) helper(args ...string) result {
	s.Helper()
	return start(s.T, "/proc/self/exe", args...).wait()
}

// mount runs the program as a .mount unit does, and wants it to be served.
func (s *sender) mount(where string, options ...string) {
	s.Helper()
	r := s.helper("app", where, "-o", strings.Join(append([]string{"rw", "socket=" + s.socket}, options...), ","))
	r.want(exitOK)
	s.reads(where + "/d/hello")
}

// reads reads a file by another program: the runtime polls files that it opens, in a call that holds its processor, and
// the answer would have to come from this process.
func (s *sender) reads(path string) {
	s.Helper()
	if b, err := exec.Command("cat", path).CombinedOutput(); err != nil || string(b) != "hello" {
		s.Errorf("read %s: got %q, %v", path, b, err)
	}
}

// kill ends the connections as a crash does, and leaves dead mounts.
func (s *sender) kill(where ...string) {
	s.Helper()
	for _, path := range where {
		a, err := attach.Found(path)
		must(s.T, err)
		must(s.T, a.Abort())
	}
	s.settle()
	for _, path := range where {
		if !attach.Dead(path) {
			s.Fatalf("the mount at %s is not dead", path)
		}
	}
}

type process struct {
	*testing.T
	cmd      *exec.Cmd
	out, err bytes.Buffer
}

func start(t *testing.T, program string, args ...string) *process {
	t.Helper()
	p := &process{T: t, cmd: exec.Command(program, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	must(t, p.cmd.Start())
	return p
}

func (p *process) wait() result {
	err := p.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.Fatal(err)
	}
	return result{p.T, p.cmd.ProcessState.ExitCode(), p.out.String(), p.err.String()}
}

type result struct {
	*testing.T
	code     int
	out, err string
}

// want wants an exit code, and parts of what was said on standard error, or nothing there.
func (r result) want(code int, parts ...string) {
	r.Helper()
	if r.code != code {
		r.Errorf("got exit code %d, want %d: %s", r.code, code, r.err)
	}
	if len(parts) == 0 && r.err != "" {
		r.Errorf("got %q on standard error, want nothing", r.err)
	}
	for _, p := range parts {
		if !strings.Contains(r.err, p) {
			r.Errorf("got %q on standard error, want %q in it", r.err, p)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mountsAt returns the ftfuse mounts on a path.
func mountsAt(t *testing.T, path string) []attach.Mount {
	t.Helper()
	all, err := attach.List()
	must(t, err)
	return slices.DeleteFunc(all, func(m attach.Mount) bool { return m.Path != path })
}
