package mount

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"ftfuse/internal/attach"
	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func TestOverNonEmpty(t *testing.T) {
	needs(t)
	r := newRig(t)
	r.end()
	r.ok("write", os.WriteFile(r.path("old"), []byte("was here\n"), 0o644))
	r.ok("mkdir", os.Mkdir(r.path("d"), 0o755))
	r.cap = newTestCapture(r.cap.dir)
	r.mount()
	r.sh(`echo new >> old; echo x >> d/f`)
	r.want("content", r.read("old"), "was here\nnew\n")
	b, err := os.ReadFile(r.below + "/old")
	r.ok("read below", err)
	r.want("below", string(b), "was here\n")
	r.want("in mount(8)", r.sh(`findmnt -no SOURCE,FSTYPE,OPTIONS . | grep -o 'test *fuse.ftfuse.*nosuid,nodev'`) != "", true)
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	o := Options{Name: "again", Dir: r.dir, Capture: r.cap, Decider: testRules{}, Identifier: r.id}
	_, err := Open(o)
	r.fails("a live mount", err, unix.EBUSY)
	o.Dir = "/etc/hostname"
	_, err = Open(o)
	r.fails("a file", err, unix.ENOTDIR)
	o.Dir = filepath.Join(r.dir, "../none")
	_, err = Open(o)
	r.fails("nothing there", err, unix.ENOENT)
	if r.m.Close() == nil {
		t.Error("closed while served")
	}
	r.fails("served twice", r.m.Serve(context.Background()), record.ErrClosed)
}

// A sender that was killed leaves a mount that answers ENOTCONN. The next one takes it away.
func TestDeadMount(t *testing.T) {
	needs(t)
	dir := tempDir(t)
	at := filepath.Join(dir, "with space")
	r := newRig(t)
	r.ok("mkdir", os.Mkdir(at, 0o755))
	for range 2 {
		fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
		r.ok("open", err)
		mnt, err := attach.Superblock(fd, "dead", false)
		r.ok("superblock", err)
		r.ok("attach", unix.MoveMount(mnt, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH))
		unix.Close(mnt)
		unix.Close(fd)
	}
	r.fails("dead", unix.Access(at, 0), unix.ENOTCONN)
	seen := watchPath(at)
	served := make(chan struct{})
	m, err := Open(Options{Name: "new", Dir: at, Capture: r.cap, Decider: testRules{}, Identifier: r.id, Ready: func() { close(served) }})
	r.ok("open over a dead mount", err)
	r.want("dir", m.Dir(), at)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx) }()
	select {
	case <-served:
	case err := <-ended:
		t.Fatal("serve over a dead mount: ", err)
	}
	for _, s := range seen() {
		t.Errorf("while the dead mount was replaced the path showed %s", s)
	}
	all, err := attach.List()
	r.ok("mountinfo", err)
	all = slices.DeleteFunc(all, func(m attach.Mount) bool { return m.Path != at })
	r.want("mounts", len(all), 1)
	if out, err := exec.Command("sh", "-c", `echo x > "$0"`, filepath.Join(at, "f")).CombinedOutput(); err != nil { // not by this process: see mount
		t.Errorf("write: %v: %s", err, out)
	}
	cancel()
	r.ok("serve", <-ended)
	r.ok("close", m.Close())
	st, err := os.Stat(filepath.Join(at, "f"))
	r.ok("the directory below has the file", err)
	r.want("size below", st.Size(), int64(0))
}

// watchPath looks at a path until the result is called, which says what was there besides a FUSE file system, dead or alive.
func watchPath(path string) (stop func() []string) {
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
			if err := unix.Statfs(path, &st); err != nil && err != unix.ENOTCONN || err == nil && st.Type != unix.FUSE_SUPER_MAGIC {
				other = append(other, fmt.Sprintf("type %x, error %v", st.Type, err))
			}
		}
	}()
	return func() []string { close(quit); <-done; return other }
}

// Serve ends when somebody unmounts.
func TestUnmountedFromOutside(t *testing.T) {
	r := newRig(t)
	r.sh(`echo x >> f`)
	r.ok("umount", unix.Unmount(r.dir, 0))
	r.ok("serve", <-r.ended)
	r.ended <- nil
	r.want("the directory shows again", len(r.sh(`stat -c %s f`)) > 0, true)
	r.end()
}

// Serve's end with a busy mount: bounded, open-capture writers never fail.
func TestBusyAtEnd(t *testing.T) {
	r := newRig(t, func(o *Options) { o.UnmountWait = 50 * time.Millisecond })
	fd := r.fd("f", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
	w := r.fd("write", unix.O_WRONLY|unix.O_CREAT, 0o600)
	r.write(fd, "before\n")
	open := r.m.Passthrough() == nil
	r.end()
	if open {
		r.write(fd, "after\n")
		b, err := os.ReadFile(filepath.Join(r.cap.dir, "spool-1"))
		r.ok("read", err)
		r.want("in the spool", string(b), "before\nafter\n")
		r.want("released", r.cap.open.Load(), int64(1))
	}
	_, err := unix.Write(w, []byte("x"))
	if err == nil || !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
		t.Errorf("write after the end: got %v, want ENOTCONN", err)
	}
	r.ok("close without a server", unix.Close(fd))
}

// Writes that wait do not hold up others, and are bounded.
func TestWaitingWrites(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxWaiting = 3000 })
	waits := r.fd("block-a", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
	done := make(chan error, 1)
	go func() {
		_, err := unix.Write(waits, append([]byte("WAIT"), make([]byte, 1000)...))
		done <- err
	}()
	<-r.cap.waits
	for range 20 {
		r.sh(`echo x >> block-b; echo y >> write; cat write > /dev/null; mkdir d; rmdir d`)
	}
	_, err := unix.Write(r.fd("block-c", unix.O_WRONLY|unix.O_CREAT, 0o600), make([]byte, 3000))
	r.fails("more than may wait", err, unix.ENOSPC)
	select {
	case err := <-done:
		t.Errorf("did not wait: %v", err)
	default:
	}
	close(r.cap.blocked)
	r.ok("write", <-done)
}

// A write that waits for room holds up no end: nobody waits for its answer any more.
func TestWaitingWriteAtEnd(t *testing.T) {
	r := newRig(t, func(o *Options) { o.UnmountWait = 50 * time.Millisecond })
	waits := r.fd("block", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
	done := make(chan error, 1)
	go func() {
		_, err := unix.Write(waits, []byte("WAIT"))
		done <- err
	}()
	for r.m.Stats().Writes == 0 {
		time.Sleep(time.Millisecond)
	}
	r.end()
	if err := <-done; err == nil {
		t.Error("a write without room was answered well")
	}
}

func TestIdentityIsCached(t *testing.T) {
	r := newRig(t)
	fd := r.fd("write", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
	before := r.id.calls.Load()
	for range 1000 {
		r.write(fd, "x")
	}
	if n := r.id.calls.Load() - before; n > 500 {
		t.Errorf("1000 writes were identified %d times", n)
	}
	r.want("kind", r.cap.writer("write").Kind, record.Thread)
}

func TestShortRequests(t *testing.T) {
	r := newRig(t)
	s := &server{Mount: r.m, fd: -1}
	rd := &reader{server: s, out: make([]byte, 128)}
	rd.handle(nil)
	rd.handle(make([]byte, 10))
	if got := strings.Count(r.logs.String(), "short request"); got != 2 {
		t.Errorf("short requests logged: got %d, want 2", got)
	}
	r.logs.Reset()
}

func TestStatsNameReasons(t *testing.T) {
	o := opens{n: map[[2]string]uint64{}}
	for i := range 1000 {
		o.add(record.WriteMode, fmt.Sprintf("%serror %d", whySpool, i))
	}
	if n := len(o.list()); n > maxReasons+1 {
		t.Errorf("got %d reasons, want at most %d", n, maxReasons+1)
	}
	var sum uint64
	for _, c := range o.list() {
		sum += c.Count
	}
	if sum != 1000 {
		t.Errorf("got %d opens, want 1000", sum)
	}
}

type nullLog struct{ n int }

func (l *nullLog) Write(p []byte, _ int64, _, _ bool, _ *record.Writer, _ uint64) (int, error) {
	l.n += len(p)
	return len(p), nil
}
func (*nullLog) ID() uint64                 { return 1 }
func (*nullLog) Written(uint64) (int, bool) { return 0, false }
func (*nullLog) Answered(uint64)            {}
func (*nullLog) Sync() error                { return nil }
func (*nullLog) Release()                   {}
func (*nullLog) Leave()                     {}

// The path of a captured write allocates nothing: with a reader that is told, the garbage collector would be the cost.
func TestWriteAllocatesNothing(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	l := &nullLog{}
	h := &handle{log: l, fd: -1, node: &node{}}
	h.who.Store(&seen{until: time.Now().Add(time.Hour)})
	m := &Mount{log: slog.New(slog.DiscardHandler)}
	m.o.Identifier = &testIdentity{}
	if err := m.handles.put(0, h); err != nil {
		t.Fatal(err)
	}
	r := &reader{server: &server{Mount: m, fd: null}, out: make([]byte, 4096)}
	b := make([]byte, writeInSize+100)
	in := (*fuse.WriteIn)(unsafe.Pointer(&b[0]))
	in.Opcode, in.Fh, in.Size = opWrite, h.fh, 100
	if n := testing.AllocsPerRun(1000, func() { r.handle(b) }); n != 0 {
		t.Errorf("a write allocates %v times", n)
	}
	if l.n != 100*1001 {
		t.Errorf("got %d bytes", l.n)
	}
}

// With OwnerOnly another user does not even see what is there.
func TestOwnerOnly(t *testing.T) {
	for _, only := range []bool{false, true} {
		r := newRig(t, func(o *Options) { o.OwnerOnly = only })
		c := exec.Command("ls", r.dir)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		r.ok("the way there is open", os.Chmod(filepath.Dir(r.dir), 0o755))
		_, err := c.CombinedOutput()
		r.want("refused", err != nil, only)
		r.end()
	}
}
