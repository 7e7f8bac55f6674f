package identify

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// child is a shell that runs what it is told and is known to have run it.
type child struct {
	cmd *exec.Cmd
	in  interface{ WriteString(string) (int, error) }
	out *bufio.Reader
}

// start runs sh, or a copy of it under another name.
func start(t *testing.T, sh string) *child {
	t.Helper()
	cmd := exec.Command(sh)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() {
		w.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &child{cmd, w, bufio.NewReader(out)}
}

// run sends a command that must answer with a line of its own, and returns that line.
func (c *child) run(t *testing.T, command string) string {
	t.Helper()
	if _, err := c.in.WriteString(command + "\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

func (c *child) pid() uint32 { return uint32(c.cmd.Process.Pid) }

func reader(t *testing.T, o Options) *Reader {
	r := New(o)
	t.Cleanup(r.Close)
	return r
}

func ids() (uint32, uint32) { return uint32(os.Getuid()), uint32(os.Getgid()) }

func TestIdentifiesAProcess(t *testing.T) {
	c := start(t, "/bin/sh")
	c.run(t, "echo up")
	r := reader(t, Options{})
	uid, gid := ids()
	w := r.Identify(record.Opener, c.pid(), uid, gid)
	exe, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if w.Kind != record.Opener || w.PID != c.pid() || w.TID != c.pid() || w.UID != uid || w.GID != gid {
		t.Errorf("writer %+v: want opener %d of %d:%d", *w, c.pid(), uid, gid)
	}
	if w.Comm != "sh" || w.Exe != exe || w.Start == 0 {
		t.Errorf("writer %+v: want sh, %s and a start time", *w, exe)
	}
	if again := r.Identify(record.Opener, c.pid(), uid, gid); again != w {
		t.Error("the second answer is another pointer")
	}
	if s := r.Stats(); s != (Stats{Hits: 1, Misses: 1}) {
		t.Errorf("stats %+v: want one hit, one miss", s)
	}
	if other := r.Identify(record.Thread, c.pid(), uid, gid); other == w || other.Kind != record.Thread {
		t.Errorf("another kind gave %+v", *other)
	}
}

func TestThreadHasTheNamesOfItsGroup(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	tids := make(chan int)
	go func() {
		runtime.LockOSThread() // ends with the goroutine: the name dies with it
		name := append([]byte("odd name"), 0)
		if err := unix.Prctl(unix.PR_SET_NAME, uintptr(ptr(name)), 0, 0, 0); err != nil {
			t.Error(err)
		}
		tids <- unix.Gettid()
		<-done
	}()
	tid := uint32(<-tids)
	defer close(done)
	r := reader(t, Options{})
	uid, gid := ids()
	w := r.Identify(record.Thread, tid, uid, gid)
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	if w.PID != uint32(os.Getpid()) || w.TID != tid || w.Comm+"\n" != string(comm) {
		t.Errorf("writer %+v: want process %d, comm %q", *w, os.Getpid(), comm)
	}
	if r.Identify(record.Thread, tid, uid, gid) != w || r.Stats().Hits != 1 {
		t.Error("the thread was not remembered")
	}
}

// TestRefreshSeesAnExec is `prog >> file`: the opener is the shell before exec.
func TestRefreshSeesAnExec(t *testing.T) {
	c := start(t, "/bin/sh")
	c.run(t, "echo up")
	r := reader(t, Options{})
	uid, gid := ids()
	before := r.Identify(record.Opener, c.pid(), uid, gid)
	if r.Refresh(before) != before {
		t.Error("refresh without an exec gave another pointer")
	}
	c.run(t, "echo ready; exec cat") // the shell has read all it will ever read
	c.run(t, "hello")
	after := r.Refresh(before)
	if after.Comm != "cat" || filepath.Base(after.Exe) != "cat" || after.Start != before.Start || after.Kind != record.Opener {
		t.Errorf("after exec: %+v", *after)
	}
	if before.Comm != "sh" {
		t.Errorf("the old writer was changed: %+v", *before)
	}
	if w := r.Identify(record.Opener, c.pid(), uid, gid); w != after {
		t.Errorf("identify after refresh: %+v, want the same pointer as refresh gave", *w)
	}
}

// TestRefreshOfAnEndingProcess has a process that nobody has waited for: its comm is there, its program is not.
func TestRefreshOfAnEndingProcess(t *testing.T) {
	for _, c := range []struct {
		name, command, comm string
		same                bool
	}{{"same program", "echo ready", "sh", true}, {"after an exec", "echo ready; exec cat", "cat", false}} {
		p := start(t, "/bin/sh")
		p.run(t, "echo up")
		r := reader(t, Options{})
		uid, gid := ids()
		before := r.Identify(record.Opener, p.pid(), uid, gid)
		p.run(t, c.command)
		if !c.same {
			p.run(t, "hello")
		}
		p.cmd.Process.Kill()
		if err := unix.Waitid(unix.P_PID, int(p.pid()), nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		after := r.Refresh(before)
		if (after == before) != c.same || after.Comm != c.comm || after.Unit != before.Unit {
			t.Errorf("%s: got %+v, want comm %s and the unit of %+v", c.name, *after, c.comm, *before)
		}
	}
}

func TestIdentifySeesAnExecByItself(t *testing.T) {
	c := start(t, "/bin/sh")
	c.run(t, "echo up")
	r := reader(t, Options{})
	uid, gid := ids()
	r.Identify(record.Thread, c.pid(), uid, gid)
	c.run(t, "echo ready; exec cat") // the shell has read all it will ever read
	c.run(t, "hello")
	if w := r.Identify(record.Thread, c.pid(), uid, gid); w.Comm != "cat" {
		t.Errorf("after exec: %+v", *w)
	}
}

// TestNamesOfAnyBytes has a program whose name and path hold what breaks parsers of /proc.
func TestNamesOfAnyBytes(t *testing.T) {
	for _, name := range []string{"a) R 1 (b", "new\nline\n", "\xff\xfe bad", "Tgid:\t7", `back\slash`} {
		path := filepath.Join(t.TempDir(), name)
		sh, err := os.ReadFile("/bin/sh")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, sh, 0o755); err != nil {
			t.Fatal(err)
		}
		c := start(t, path)
		c.run(t, "echo up")
		uid, gid := ids()
		w := reader(t, Options{}).Identify(record.Thread, c.pid(), uid, gid)
		if w.Comm != name || w.Exe != path || w.PID != c.pid() {
			t.Errorf("writer %+v: want comm %q, exe %q, pid %d", *w, name, path, c.pid())
		}
	}
}

func TestUnknown(t *testing.T) {
	c := exec.Command("/bin/true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	r := reader(t, Options{})
	gone := uint32(c.Process.Pid)
	for name, tid := range map[string]uint32{"other namespace": 0, "ended": gone, "no such id": 1 << 31} {
		w := r.Identify(record.Thread, tid, 12, 34)
		if *w != (record.Writer{Kind: record.Unknown, UID: 12, GID: 34}) {
			t.Errorf("%s: %+v", name, *w)
		}
		if r.Identify(record.Thread, tid, 12, 34) != w {
			t.Errorf("%s: a second pointer for the same unknown", name)
		}
	}
	if w := r.Identify(record.Thread, uint32(os.Getpid()), uint32(os.Getuid())+77, 5); w.Kind != record.Unknown {
		t.Errorf("a thread of another user was believed: %+v", *w)
	}
	for uid := range uint32(3 * maxUnknown) {
		r.Identify(record.Thread, 0, uid, 0)
	}
	if len(r.unknown) > maxUnknown {
		t.Errorf("unknown writers: %d remembered, want at most %d", len(r.unknown), maxUnknown)
	}
}

// TestNumberGivenAgain makes the kernel give a dead process's number to another program, at once. It does so in a process
// namespace of its own: no other program is faster, nor gets a number that somebody else still believes to be another's.
func TestNumberGivenAgain(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("steering process numbers needs root")
	}
	if os.Getenv("FTFUSE_TEST_ALONE") == "" {
		c := exec.Command("/proc/self/exe", "-test.run=^TestNumberGivenAgain$", "-test.v")
		c.Env = append(os.Environ(), "FTFUSE_TEST_ALONE=1")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		out, err := c.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("given again at attempt")) {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	for _, err := range []error{unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, "")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r := reader(t, Options{})
	uid, gid := ids()
	for attempt := range 200 {
		old := start(t, "/bin/sh")
		old.run(t, "echo up")
		first := r.Identify(record.Thread, old.pid(), uid, gid)
		old.cmd.Process.Kill()
		old.cmd.Wait()
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", fmt.Append(nil, old.pid()-1), 0); err != nil {
			t.Fatal(err)
		}
		next := start(t, "/bin/cat")
		next.run(t, "up")
		if next.pid() != old.pid() {
			continue // a thread of this process was faster
		}
		w := r.Identify(record.Thread, next.pid(), uid, gid)
		if w == first || w.Comm != "cat" || first.Comm != "sh" {
			t.Fatalf("a new process got the identity %+v, the one that had its number before %+v", *w, *first)
		}
		if back := r.Refresh(first); back != first && first.Start != w.Start {
			t.Fatalf("refresh of a dead thread gave %+v", *back)
		}
		t.Logf("number %d given again at attempt %d, start %d and %d", w.PID, attempt+1, first.Start, w.Start)
		return
	}
	t.Fatal("the number was never given again")
}

func TestCacheIsBounded(t *testing.T) {
	const size = 16
	r := reader(t, Options{Size: size})
	before := openFiles(t)
	uid, gid := ids()
	var all []*child
	for range 3 * size {
		c := start(t, "/bin/cat")
		all = append(all, c)
	}
	own := openFiles(t) - before
	for range 2 {
		for _, c := range all {
			if w := r.Identify(record.Thread, c.pid(), uid, gid); w.PID != c.pid() {
				t.Fatalf("writer %+v: want process %d", *w, c.pid())
			}
		}
	}
	if n := openFiles(t) - before - own; n > size {
		t.Errorf("%d descriptors for a cache of %d", n, size)
	}
	r.Close()
	if n := openFiles(t) - before - own; n != 0 {
		t.Errorf("%d descriptors left after Close", n)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestConcurrentUse(t *testing.T) {
	r := reader(t, Options{Size: 16})
	uid, gid := ids()
	var all []*child
	for range 40 {
		all = append(all, start(t, "/bin/cat"))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				c := all[(i*7+g)%len(all)]
				w := r.Identify(record.Thread, c.pid(), uid, gid)
				if w.PID != c.pid() {
					t.Errorf("writer %+v: want process %d", *w, c.pid())
				}
				if i%50 == 0 {
					r.Refresh(w)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkHit(b *testing.B) {
	r := New(Options{})
	defer r.Close()
	uid, gid := ids()
	pid := uint32(os.Getpid())
	b.ReportAllocs()
	for b.Loop() {
		r.Identify(record.Thread, pid, uid, gid)
	}
}

func BenchmarkMiss(b *testing.B) {
	r := New(Options{})
	defer r.Close()
	uid, gid := ids()
	pid := uint32(os.Getpid())
	b.ReportAllocs()
	for b.Loop() {
		r.Identify(record.Thread, pid, uid, gid)
		r.Close()
	}
}
