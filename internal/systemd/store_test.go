package systemd

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// told is one datagram to the service manager.
type told struct {
	state string
	files []*os.File
}

// listenAsManager plays the service manager on a real socket and sends what it is told to the channel. It closes the descriptor
// of a barrier as the real one does, unless deaf.
func listenAsManager(t *testing.T, deaf bool) <-chan told {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	heard := make(chan told, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := hear(c)
			if err != nil {
				return
			}
			if m.state == "BARRIER=1" && len(m.files) == 1 && !deaf {
				m.files[0].Close()
			}
			heard <- m
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return heard
}

func hear(c *net.UnixConn) (told, error) {
	b, oob := make([]byte, 1024), make([]byte, 1024)
	n, oobn, _, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return told{}, err
	}
	m := told{state: string(b[:n])}
	controls, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return m, err
	}
	for _, control := range controls {
		fds, err := unix.ParseUnixRights(&control)
		if err != nil {
			return m, err
		}
		for _, fd := range fds {
			m.files = append(m.files, os.NewFile(uintptr(fd), "given"))
		}
	}
	return m, nil
}

func TestStore(t *testing.T) {
	heard := listenAsManager(t, false)
	name := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(name, []byte("the first request"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := Store("fuse-var-log.app_1", f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	m := <-heard
	if m.state != "FDSTORE=1\nFDNAME=fuse-var-log.app_1" || len(m.files) != 1 {
		t.Fatalf("got %+v", m)
	}
	text, err := io.ReadAll(m.files[0])
	if err != nil || string(text) != "the first request" {
		t.Errorf("the manager keeps %q, %v", text, err)
	}
	if m := <-heard; m.state != "BARRIER=1" || len(m.files) != 1 {
		t.Errorf("got %+v, want a barrier", m)
	}
	if err := Unstore("fuse-var-log.app_1"); err != nil {
		t.Fatal(err)
	}
	if m := <-heard; m.state != "FDSTOREREMOVE=1\nFDNAME=fuse-var-log.app_1" || len(m.files) != 0 {
		t.Errorf("got %+v", m)
	}
}

// The manager polls what it keeps, and would refuse a descriptor that cannot be.
func TestStorePathDescriptor(t *testing.T) {
	heard := listenAsManager(t, false)
	fd, err := unix.Open(t.TempDir(), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "dir")
	defer f.Close()
	if err := Store("below", f); err != nil {
		t.Fatal(err)
	}
	if m := <-heard; !strings.HasSuffix(m.state, "\nFDPOLL=0") {
		t.Errorf("got %q, want it not polled", m.state)
	}
}

func TestStoreRefuses(t *testing.T) {
	listenAsManager(t, false)
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "a:b", "a\nFDSTORE=1", "é", strings.Repeat("x", 256)} {
		if err := Store(name, f); err == nil || !strings.Contains(err.Error(), "want 1 to 255 letters") {
			t.Errorf("Store(%q) = %v, want it refused", name, err)
		}
		if err := Unstore(name); err == nil {
			t.Errorf("Unstore(%q): want it refused", name)
		}
	}
	f.Close()
	if err := Store("closed", f); err == nil {
		t.Error("a closed file was stored")
	}
}

// A manager that is gone or says nothing is an error after a while, none at all is not.
func TestStoreWithoutManager(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Store("a", f); err != nil {
		t.Errorf("Store = %v, want nil", err)
	}
	t.Setenv("NOTIFY_SOCKET", "/does/not/exist")
	if err := Store("a", f); err == nil {
		t.Error("Store to nobody: want an error")
	}
}

func TestBarrierIsBounded(t *testing.T) {
	listenAsManager(t, true)
	m, err := openManager(os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(m.fd)
	if err := m.barrier(time.Millisecond); err == nil || !strings.Contains(err.Error(), "has not answered") {
		t.Errorf("got %v, want that nobody answers", err)
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{{"", "", 0}, {"30000000", "", 30 * time.Second}, {"30000000", "1", 0}, {"x", "", 0}} {
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if c.pid == "" {
			os.Unsetenv("WATCHDOG_PID")
		}
		if got := WatchdogInterval(); got != c.want {
			t.Errorf("WATCHDOG_USEC=%q WATCHDOG_PID=%q: got %s, want %s", c.usec, c.pid, got, c.want)
		}
	}
}
