package mount

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
)

// child is another process, told by lines what to do, answering each: "ok", or the errno's name.
//
//	open PATH        lock READ|WRITE [WAIT]      unlock      flock SH|EX|UN [WAIT]      ofd      get      close      fork
func child(args []string) int {
	if args[0] == "storm" {
		return storm(args[1], args[2], args[3], args[4])
	}
	in := bufio.NewScanner(os.Stdin)
	fd := -1
	for in.Scan() {
		w := strings.Fields(in.Text())
		err := childDo(w, &fd)
		if err != nil {
			var no syscall.Errno
			no, _ = err.(syscall.Errno)
			fmt.Println(unix.ErrnoName(no))
			continue
		}
		fmt.Println("ok")
	}
	return 0
}

func childDo(w []string, fd *int) (err error) {
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	wait := arg(2) == "WAIT"
	switch w[0] {
	case "open":
		*fd, err = unix.Open(w[1], unix.O_RDWR|unix.O_CREAT|unix.O_APPEND, 0o600)
	case "close":
		err = unix.Close(*fd)
	case "flock":
		how := map[string]int{"SH": unix.LOCK_SH, "EX": unix.LOCK_EX, "UN": unix.LOCK_UN}[w[1]]
		if !wait {
			how |= unix.LOCK_NB
		}
		err = unix.Flock(*fd, how)
	case "lock", "unlock", "ofd":
		l := unix.Flock_t{Type: unix.F_WRLCK}
		if arg(1) == "READ" {
			l.Type = unix.F_RDLCK
		}
		if w[0] == "unlock" {
			l.Type = unix.F_UNLCK
		}
		if n, e := strconv.Atoi(arg(3)); e == nil { // one byte
			l.Start, l.Len = int64(n), 1
		}
		cmd := unix.F_SETLK
		switch {
		case w[0] == "ofd":
			cmd = unix.F_OFD_SETLK
		case wait:
			cmd = unix.F_SETLKW
		}
		err = unix.FcntlFlock(uintptr(*fd), cmd, &l)
	case "get":
		l := unix.Flock_t{Type: unix.F_WRLCK}
		err = unix.FcntlFlock(uintptr(*fd), unix.F_GETLK, &l)
		fmt.Printf("%d:%d:%d ", l.Type, l.Start, l.Pid)
	case "fork": // a process that keeps the descriptor
		c := exec.Command("sleep", "1000")
		c.ExtraFiles = []*os.File{os.NewFile(uintptr(*fd), "shared")}
		if err = c.Start(); err == nil {
			fmt.Printf("%d ", c.Process.Pid)
		}
	}
	return err
}

// locker is a child that runs.
type locker struct {
	r   *rig
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func (r *rig) locker() *locker {
	r.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "FTFUSE_TEST_CHILD=lock")
	in, err := c.StdinPipe()
	r.ok("pipe", err)
	out, err := c.StdoutPipe()
	r.ok("pipe", err)
	r.ok("start", c.Start())
	l := &locker{r, c, in, bufio.NewScanner(out)}
	r.Cleanup(func() { l.kill() })
	return l
}

func (l *locker) kill() {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
}

func (l *locker) start(what string) { fmt.Fprintln(l.in, what) }

// block starts what waits for a lock, and returns when it does.
func (l *locker) block(what string) {
	for len(l.r.waiting) > 0 { // who has waited before
		<-l.r.waiting
	}
	l.start(what)
	<-l.r.waiting
}

func (l *locker) answer() string {
	l.out.Scan()
	return l.out.Text()
}

func (l *locker) do(what string) string {
	l.start(what)
	return l.answer()
}

func (l *locker) want(what, answer string) {
	l.r.Helper()
	l.r.want(what, l.do(what), answer)
}

func twoLockers(t *testing.T, name string) (*rig, *locker, *locker) {
	r := newRig(t)
	a, b := r.locker(), r.locker()
	a.want("open "+r.path(name), "ok")
	b.want("open "+r.path(name), "ok")
	return r, a, b
}

func TestFlockExcludes(t *testing.T) {
	for _, name := range []string{"f", "f.stored"} {
		t.Run(name, func(t *testing.T) {
			r, a, b := twoLockers(t, name)
			a.want("flock EX", "ok")
			b.want("flock EX", "EAGAIN")
			b.want("flock SH", "EAGAIN")
			b.start("flock EX WAIT")
			a.want("flock UN", "ok")
			r.want("waited", b.answer(), "ok")
			a.start("flock SH WAIT")
			b.want("close", "ok")
			r.want("released by close", a.answer(), "ok")
			r.want("flock(1)", r.sh(`flock -n `+name+` echo no || echo busy; flock -sn `+name+` echo shared`), "busy\nshared\n")
			r.becomes("what is open beside a's, and may hold a lock still", func() string { return fmt.Sprint(r.m.Stats().Handles - 1) }, "0")
			b.want("open "+r.path(name), "ok")
			b.want("flock SH", "ok")
			b.want("flock EX", "EAGAIN")
			a.want("flock EX", "ok") // b lost its shared lock by its attempt
		})
	}
}

func TestFcntlExcludes(t *testing.T) {
	for _, name := range []string{"f", "f.stored"} {
		t.Run(name, func(t *testing.T) {
			r, a, b := twoLockers(t, name)
			a.want("lock WRITE", "ok")
			b.want("lock READ", "EAGAIN")
			b.want("get", fmt.Sprintf("%d:0:%d ok", unix.F_WRLCK, a.cmd.Process.Pid))
			b.start("lock WRITE WAIT")
			a.want("unlock", "ok")
			r.want("waited", b.answer(), "ok")
			a.start("lock READ WAIT")
			b.want("close", "ok")
			r.want("released by close", a.answer(), "ok")
			a.want("unlock", "ok")
			// Ranges.
			b.want("open "+r.path(name), "ok")
			a.want("lock WRITE NOW 3", "ok")
			b.want("lock WRITE NOW 4", "ok")
			b.want("lock WRITE NOW 3", "EAGAIN")
			a.want("lock WRITE NOW 4", "EAGAIN")
			// Two that wait for each other. Who only tries does not.
			b.block("lock WRITE WAIT 3")
			a.want("lock WRITE NOW 4", "EAGAIN")
			a.want("lock WRITE WAIT 4", "EDEADLK")
			a.want("unlock", "ok")
			r.want("waited", b.answer(), "ok")
		})
	}
}

// The kernel sends neither FLUSH nor RELEASE when a process that holds a fcntl lock ends while another keeps the open
// file: such a lock ends with its process, a lock of the open file (OFD) and a flock with the open file.
func TestLockOfEndedProcess(t *testing.T) {
	r, a, b := twoLockers(t, "f")
	keeper := func(kind string) (end func()) {
		c := r.locker()
		c.want("open "+r.path("f"), "ok")
		c.want(kind, "ok")
		pid, err := strconv.Atoi(strings.Fields(c.do("fork"))[0])
		r.ok("fork", err)
		c.kill()
		t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
		return func() { _ = unix.Kill(pid, unix.SIGKILL) }
	}
	end := keeper("lock WRITE")
	a.want("lock WRITE WAIT", "ok")
	a.want("unlock", "ok")
	end()
	end = keeper("ofd")
	a.want("lock WRITE", "EAGAIN")
	a.block("lock WRITE WAIT")
	end()
	r.want("OFD lock ends with the last close", a.answer(), "ok")
	end = keeper("flock EX")
	b.want("flock SH", "EAGAIN")
	b.block("flock SH WAIT")
	end()
	r.want("flock ends with the last close", b.answer(), "ok")
}

func TestLockInterrupted(t *testing.T) {
	r, a, b := twoLockers(t, "f")
	a.want("flock EX", "ok")
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGTERM} {
		c := r.locker()
		c.want("open "+r.path("f"), "ok")
		c.block("flock EX WAIT")
		_ = c.cmd.Process.Signal(sig)
		_ = c.cmd.Wait() // would not return while the wait goes on
	}
	a.want("flock UN", "ok")
	b.want("flock EX", "ok")
}

func TestLocksPython(t *testing.T) {
	r := newRig(t)
	r.sh(`/usr/bin/python3 - <<'E'
import fcntl, os, multiprocessing
def work(n):
    for i in range(50):
        with open("counter.stored", "a+") as l:
            fcntl.lockf(l, fcntl.LOCK_EX)
            l.seek(0)
            v = int(l.read() or 0)
            l.truncate(0); l.write(str(v+1)); l.flush()
p = [multiprocessing.Process(target=work, args=(i,)) for i in range(4)]
[x.start() for x in p]; [x.join() for x in p]
E`)
	r.want("counted under the lock", r.read("counter.stored"), "200")
	r.sh(`for i in 1 2 3 4; do (for j in $(seq 50); do flock lock bash -c 'read n < n.stored || n=0; echo $((n+1)) > n.stored'; done) & done; echo 0 > n.stored; wait`)
}

// A process that holds a lock ends at any moment while another asks for it.
func TestLockWhileItsProcessEnds(t *testing.T) {
	for range 40 {
		c := exec.Command("/bin/sleep", "1000")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		pid, l, key := uint32(c.Process.Pid), newLocks(), record.FileKey{Ino: 1}
		if err := l.set(key, &lock{write: true, end: 9, owner: 1, pid: pid, born: born(pid)}); err != nil {
			t.Fatal(err)
		}
		q, err := &lock{write: true, end: 9, owner: 2}, error(unix.EAGAIN)
		for n := 0; err == unix.EAGAIN; n++ {
			if _, err = l.await(key, q, n > 0); n == 10 {
				_ = c.Process.Kill()
			}
		}
		_ = c.Wait() // it was killed
		if err != nil || l.files[key].waiting != 0 || len(l.waitFor) != 0 {
			t.Fatalf("got %v, %d wait", err, l.files[key].waiting)
		}
	}
}
