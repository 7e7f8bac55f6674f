package plugin

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// child is one process and our ends of its pipes.
type child struct {
	pid    int
	stdin  *os.File
	stdout *os.File // nil: discarded
	stderr *os.File
	acks   *os.File // nil: it has no descriptor 3

	started chan error      // holds one: nil when the program runs
	exited  chan struct{}   // closed when it has ended; it is a zombie until reap
	reap    chan struct{}   // closed by whoever has sent the last signal to its group
	reaped  chan struct{}   // closed at the end of watch
	status  unix.WaitStatus // valid after reaped
	theirs  [4]int          // the child's ends, closed after the start; -1: none
	files   []uintptr       // its descriptors
}

// newChild makes the pipes.
func newChild(o *Options) (*child, error) {
	c := &child{started: make(chan error, 1), exited: make(chan struct{}), reap: make(chan struct{}), reaped: make(chan struct{}),
		theirs: [4]int{-1, -1, -1, -1}}
	err := c.pipes(o)
	c.files = make([]uintptr, 0, len(c.theirs))
	for _, fd := range c.theirs {
		if fd >= 0 {
			c.files = append(c.files, uintptr(fd))
		}
	}
	if err != nil {
		c.closeTheirs()
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *child) pipes(o *Options) (err error) {
	if c.theirs[0], c.stdin, err = pipe(0); err != nil {
		return err
	}
	if o.Stdout == Discard {
		c.theirs[1], err = unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
		err = os.NewSyscallError("open /dev/null", err)
	} else {
		c.theirs[1], c.stdout, err = pipe(1)
	}
	if err != nil {
		return err
	}
	if c.theirs[2], c.stderr, err = pipe(1); err != nil {
		return err
	}
	if o.Ack {
		c.theirs[3], c.acks, err = pipe(1)
	}
	return err
}

// pipe makes a pipe whose end number theirs is the child's. Only our end does not block.
func pipe(theirs int) (int, *os.File, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, nil, os.NewSyscallError("pipe2", err)
	}
	ours := p[1-theirs]
	if err := unix.SetNonblock(ours, true); err != nil {
		_ = unix.Close(p[0])
		_ = unix.Close(p[1])
		return -1, nil, os.NewSyscallError("fcntl", err)
	}
	if theirs == 0 {
		// Where it is refused (fs.pipe-user-pages-soft) the pipe stays at 64 KiB, which is slower and no harm.
		_, _ = unix.FcntlInt(uintptr(ours), unix.F_SETPIPE_SZ, maxBatch)
	}
	return p[theirs], os.NewFile(uintptr(ours), "pipe of a plug-in"), nil
}

func (c *child) closeTheirs() {
	for i, fd := range c.theirs {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		c.theirs[i] = -1
	}
}

// close closes our ends.
func (c *child) close() {
	for _, f := range []*os.File{c.stdin, c.stdout, c.stderr, c.acks} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// watch starts the program, and returns when the process has ended and was reaped. It runs on a thread of its own, which
// ends with it: the kernel sends the parent-death signal when that thread ends (prctl(2), PR_SET_PDEATHSIG), and what it
// takes from the thread's capabilities is for good.
func (c *child) watch(o *Options) {
	runtime.LockOSThread()
	defer close(c.reaped)
	err := c.start(o)
	c.closeTheirs()
	c.started <- err
	if err != nil {
		close(c.exited)
		return
	}
	for waitid(c.pid) == unix.EINTR {
	}
	close(c.exited)
	<-c.reap
	for {
		if _, err := unix.Wait4(c.pid, &c.status, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// waitid waits for the end of a process and leaves it a zombie, so that nobody else gets its number.
func waitid(pid int) error {
	return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
}

func (c *child) start(o *Options) error {
	path, err := lookUp(o.Command[0], o.environ())
	if err != nil {
		return err
	}
	// Capabilities that this process was given are not for its children (capabilities(7), ambient set). EINVAL: a kernel without.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && err != unix.EINVAL {
		return os.NewSyscallError("clear ambient capabilities", err)
	}
	// Nor are descriptors that it was given by whoever started it. Its own close at an exec by themselves. ENOSYS: before Linux 5.9.
	if err := unix.CloseRange(uint(unix.Stderr)+1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil && err != unix.ENOSYS && err != unix.EINVAL {
		return os.NewSyscallError("close_range", err)
	}
	attr := &syscall.ProcAttr{Dir: o.Directory, Env: o.environ(), Files: c.files,
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}}
	if u := o.Credential; u != nil {
		attr.Sys.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	program, argv := o.limited(path, o.Command)
	c.pid, _, err = syscall.StartProcess(program, argv, attr)
	switch u := o.Credential; {
	case err == nil:
		return nil
	case u != nil && errors.Is(err, unix.EPERM):
		return fmt.Errorf("start %s in %s as user %d, group %d: %w: only root, or a service with CAP_SETUID and CAP_SETGID, can change the user", path, o.Directory, u.UID, u.GID, err)
	}
	return fmt.Errorf("start %s in %s: %w", path, o.Directory, unfit(path, err))
}

// lookUp finds a program as the child would: a path as it is, a name in its PATH.
func lookUp(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	for _, dir := range filepath.SplitList(path) {
		at := filepath.Join(dir, name)
		if !filepath.IsAbs(at) {
			continue
		}
		if i, err := os.Stat(at); err == nil && i.Mode().IsRegular() && i.Mode()&0o111 != 0 {
			return at, nil
		}
	}
	return "", fmt.Errorf("start %s: got no such program in PATH=%s: %w", name, path, os.ErrNotExist)
}

// signal sends to the child's process group. Called before reap is closed.
func (c *child) signal(s unix.Signal) { _ = unix.Kill(-c.pid, s) }

// describe says how a process ended, for people.
func describe(s unix.WaitStatus) string {
	switch {
	case s.Signaled() && s.CoreDump():
		return fmt.Sprintf("killed by %s, core dumped", unix.SignalName(s.Signal()))
	case s.Signaled():
		return "killed by " + unix.SignalName(s.Signal())
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}

// unread is how many bytes are in a pipe (ioctl FIONREAD, which is TIOCINQ); it may be asked at either end.
func unread(f *os.File) (int64, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	n, failed := 0, error(nil)
	err = raw.Control(func(fd uintptr) { n, failed = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return int64(n), errors.Join(err, failed)
}
