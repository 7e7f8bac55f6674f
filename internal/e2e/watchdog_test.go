package e2e

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The service manager hears that a sender lives as long as it is idle or works, and nothing while one of its readers
// hangs: here in a file system below, whose process is stopped.
func TestWatchdogHearsOfProgress(t *testing.T) {
	below, s := newSite(t), newSite(t)
	below.rulesX = `  - {name: all, match: ["**"], send: false}`
	below.startSender()
	s.mnt = filepath.Join(below.mnt, "top")
	if err := os.Mkdir(s.mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	const limit = 800 * time.Millisecond
	e := s.listen()
	t.Setenv("NOTIFY_SOCKET", e.path)
	t.Setenv("WATCHDOG_USEC", "800000")
	s.startSender()
	s.until("it serves", 20*time.Second, s.sender.serves) // the file system below is one of FUSE too
	dir, err := os.Open(s.mnt)                            // by name it cannot be reached while the file system below hangs
	if err != nil {
		t.Fatal(err)
	}
	at := e.marked()
	for range 20 { // idle, for more than the limit
		at = e.hear(at, "WATCHDOG=1")
	}
	if err := s.sender.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	e.hear(e.hear(at, "RELOADING=1\nMONOTONIC_USEC="), "READY=1")
	s.until("the sender says that it has reloaded", 20*time.Second, func() bool { return s.sender.reloads() > 0 })

	before := hangs(s.sender) // a slow machine may have made it say so
	awake := below.sender.freeze(t)
	defer awake()
	listed := make(chan error, 1)
	go func() {
		_, err := dir.Readdirnames(-1)
		listed <- err
	}()
	s.until("the sender says what hangs", 10*time.Second, func() bool { return hangs(s.sender) > before })
	at = e.marked()
	time.Sleep(limit) // in which it would have to be heard
	if said := e.since(at); slices.Contains(said, "WATCHDOG=1") {
		t.Errorf("heard %q while a reader hangs", said)
	}
	awake()
	if err := <-listed; err != nil {
		t.Error(err)
	}
	e.hear(e.marked(), "WATCHDOG=1")
	dir.Close()
	s.sender.stop(t) // before the file system below it
}

// freeze stops a process, all threads of it, and returns what lets it go on. The signal alone is only on its way: another thread may
// serve a request before one takes it.
func (d *daemon) freeze(t *testing.T) (awake func()) {
	t.Helper()
	awake = func() { d.cmd.Process.Signal(syscall.SIGCONT) }
	err := d.cmd.Process.Signal(syscall.SIGSTOP)
	if err == nil {
		for err = unix.EINTR; err == unix.EINTR; {
			err = unix.Waitid(unix.P_PID, d.cmd.Process.Pid, nil, unix.WSTOPPED, nil)
		}
	}
	if err != nil {
		awake()
		t.Fatalf("stop %s: %v", d.name, err)
	}
	return awake
}

// hangs is how often a sender has said that a reader of its mount hangs.
func hangs(d *daemon) (n int) {
	for line := range strings.Lines(d.all()) {
		if strings.Contains(line, `msg="hangs: `) && strings.Contains(line, `workers="mount log"`) {
			n++
		}
	}
	return n
}

// ear hears all that is said to a service manager, at once: of what is not taken only ten messages wait, and then who has more
// to say.
type ear struct {
	s    *site
	path string

	mu   sync.Mutex
	said []string
}

func (s *site) listen() *ear {
	s.t.Helper()
	e := &ear{s: s, path: filepath.Join(s.dir, "notify")}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: e.path, Net: "unixgram"})
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1024)
		for n, err := c.Read(b); err == nil; n, err = c.Read(b) {
			e.mu.Lock()
			e.said = append(e.said, string(b[:n]))
			e.mu.Unlock()
		}
	}()
	s.t.Cleanup(func() { c.Close(); <-done })
	return e
}

// since returns what was said from a place on.
func (e *ear) since(at int) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.said[at:])
}

// hear waits for a message that begins so, from a place on, and returns the place behind it.
func (e *ear) hear(at int, want string) int {
	e.s.t.Helper()
	i := -1
	e.s.until("is said: "+want, 10*time.Second, func() bool {
		i = slices.IndexFunc(e.since(at), func(m string) bool { return strings.HasPrefix(m, want) })
		return i >= 0
	})
	return at + i + 1
}

// marked returns the place behind all that has been said so far.
func (e *ear) marked() int {
	e.s.t.Helper()
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: e.path, Net: "unixgram"})
	if err != nil {
		e.s.t.Fatal(err)
	}
	defer c.Close()
	at := len(e.since(0))
	if _, err := c.Write([]byte("MARK=1")); err != nil {
		e.s.t.Fatal(err)
	}
	return e.hear(at, "MARK=1")
}
