package e2e

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
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
	path := filepath.Join(s.dir, "notify")
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "800000")
	s.startSender()
	s.until("the sender serves", 20*time.Second, func() bool { return strings.Contains(s.sender.log(), "msg=serving") })
	dir, err := os.Open(s.mnt) // by name it cannot be reached while the file system below hangs
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // idle, for more than the limit
		hear(t, heard, "WATCHDOG=1")
	}
	if err := s.sender.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	hear(t, heard, "RELOADING=1\nMONOTONIC_USEC=")
	hear(t, heard, "READY=1")
	s.until("the sender says that it has reloaded", 20*time.Second, func() bool { return strings.Contains(s.sender.log(), "msg=reloaded") })

	if err := below.sender.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awake := func() { below.sender.cmd.Process.Signal(syscall.SIGCONT) }
	defer awake()
	listed := make(chan error, 1)
	go func() {
		_, err := dir.Readdirnames(-1)
		listed <- err
	}()
	s.until("the sender says what hangs", 10*time.Second, func() bool {
		return strings.Contains(s.sender.log(), `msg="hangs: `) && strings.Contains(s.sender.log(), `workers="mount log"`)
	})
	drain(t, heard)
	if err := heard.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1024)
	if n, err := heard.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("heard %q, %v, while a reader hangs", b[:n], err)
	}
	awake()
	if err := <-listed; err != nil {
		t.Error(err)
	}
	hear(t, heard, "WATCHDOG=1")
	dir.Close()
	s.sender.stop(t) // before the file system below it
}

// hear waits for a message to the service manager that begins so.
func hear(t *testing.T, c *net.UnixConn, want string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1024)
	for {
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("waiting for %s: %v", want, err)
		}
		if strings.HasPrefix(string(b[:n]), want) {
			return
		}
	}
}

// drain takes what was said already. A deadline would do it only if it were not over before the first look.
func drain(t *testing.T, c *net.UnixConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1024)
	if cerr := raw.Control(func(fd uintptr) {
		for err == nil {
			_, _, err = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
		}
	}); cerr != nil || err != unix.EAGAIN {
		t.Fatalf("take what was said: %v, %v", cerr, err)
	}
}
