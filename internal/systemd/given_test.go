package systemd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary play the service that a manager starts with descriptors.
func TestMain(m *testing.M) {
	if os.Getenv("FTFUSE_TEST_SERVICE") != "" {
		if err := os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid())); err == nil { // the manager knows it before exec
			service()
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// service prints what it was given.
func service() {
	g, err := Take()
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	again, err := Take()
	fmt.Println("again:", len(again.Sockets()), len(again.Stored()), err)
	for _, s := range g.Sockets() {
		l, err := net.FileListener(s.File)
		fmt.Println("socket:", s.Name, s.Type == unix.SOCK_STREAM, s.Type == unix.SOCK_SEQPACKET, s.Listening, err, l.Addr())
	}
	var names []string
	for name, f := range g.Stored() {
		b := make([]byte, 100)
		n, err := f.ReadAt(b, 0)
		flags, _ := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		names = append(names, fmt.Sprintf("stored: %s %s %v %v", name, b[:n], err, flags&unix.FD_CLOEXEC != 0))
	}
	slices.Sort(names)
	fmt.Println(strings.Join(names, "\n"))
	fmt.Println("env:", os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"))
	g.Close()
}

func runService(t *testing.T, fds, names string, files ...*os.File) string {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), "FTFUSE_TEST_SERVICE=1", "LISTEN_FDS="+fds, "LISTEN_FDNAMES="+names)
	c.ExtraFiles = files
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestTake(t *testing.T) {
	dir := t.TempDir()
	stream, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	packet, err := net.Listen("unixpacket", filepath.Join(dir, "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer packet.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	var files []*os.File
	for _, l := range []net.Listener{stream, packet, tcp} {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	for _, text := range []string{"newer", "older", "other"} {
		name := filepath.Join(dir, text)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	got := runService(t, "6", "control:mount:ftfuse-receiver.socket:fuse-app:fuse-app:first.app", files...)
	want := "again: 0 0 <nil>\n" +
		"socket: control true false true <nil> " + stream.Addr().String() + "\n" +
		"socket: mount false true true <nil> " + packet.Addr().String() + "\n" +
		"socket: ftfuse-receiver.socket true false true <nil> " + tcp.Addr().String() + "\n" +
		"stored: first.app other EOF true\nstored: fuse-app newer EOF true\nenv:  \n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTakeRefuses(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct{ fds, names, want string }{
		{"x", "", `got LISTEN_FDS="x", want a number`},
		{"-1", "", `got LISTEN_FDS="-1"`},
		{"1", "a:b", "got 2 LISTEN_FDNAMES, want 1"},
		{"100", "", "take descriptor "},
	} {
		if got := runService(t, c.fds, c.names, f); !strings.Contains(got, "error: take descriptor") || !strings.Contains(got, c.want) {
			t.Errorf("LISTEN_FDS=%s LISTEN_FDNAMES=%s: got %s, want %q", c.fds, c.names, got, c.want)
		}
	}
}

// Descriptors for another process are left alone.
func TestTakeForAnotherProcess(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	g, err := Take()
	if err != nil || len(g.Sockets())+len(g.Stored()) != 0 {
		t.Errorf("got %+v, %v, want nothing", g, err)
	}
}
