package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// service is the program as a service manager starts it: with sockets, and a socket to tell of its state.
type service struct {
	t      *testing.T
	cmd    *exec.Cmd
	mu     sync.Mutex // guards text
	text   bytes.Buffer
	notify *net.UnixConn
	heard  []string // by notify, and not yet waited for
}

func (s *service) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *service) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// startService starts the program. names are those of the sockets, with colons between them.
func startService(t *testing.T, config, role, names string, sockets ...net.Listener) *service {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(dir, "ftfuse"))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "conf.yaml"), []byte(config), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t}
	path := filepath.Join(dir, "notify")
	if s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.notify.Close() })
	s.cmd = exec.Command("/bin/sh", "-c", "LISTEN_PID=$$ exec ./ftfuse "+role+" -c conf.yaml")
	s.cmd.Dir = dir
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path, fmt.Sprint("LISTEN_FDS=", len(sockets)), "LISTEN_FDNAMES="+names)
	for _, l := range sockets {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s.cmd.ExtraFiles = append(s.cmd.ExtraFiles, f)
	}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// told waits for a message to the service manager that has want in it; others may come before it and after.
func (s *service) told(want string) {
	s.t.Helper()
	if err := s.notify.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 4096)
	for i := 0; ; i++ {
		if i == len(s.heard) {
			n, err := s.notify.Read(b)
			if err != nil {
				s.t.Fatalf("waiting for %q: %v, after %q: %s", want, err, s.heard, s.log())
			}
			s.heard = append(s.heard, string(b[:n]))
		}
		if strings.Contains(s.heard[i], want) {
			s.heard = slices.Delete(s.heard, i, i+1)
			return
		}
	}
}

func (s *service) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func listenOn(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A receiver serves on the sockets of its units instead of those of its configuration, and leaves them behind.
func TestActivatedReceiver(t *testing.T) {
	dir := t.TempDir()
	tcp := listenOn(t, "tcp", "127.0.0.1:0")
	local := listenOn(t, "unix", filepath.Join(dir, "senders.sock"))
	control := listenOn(t, "unix", filepath.Join(dir, "control.sock"))
	config := fmt.Sprintf(`state_dir: %[1]s/state
control: {socket: %[1]s/control.sock}
log: {format: text}
listen: ["127.0.0.1:1"]
outputs: [{name: in, base: %[1]s/in}]
`, dir)
	for range 2 { // the second life has the same sockets
		s := startService(t, config, "receiver", "ftfuse-receiver.socket:ftfuse-receiver.socket:control", tcp, local, control)
		s.told("READY=1")
		s.told("STATUS=0 senders connected; receives 0 B/s, writes 0 B/s to 1 output")
		c := exec.Command(s.cmd.Dir+"/ftfuse", "status", "-c", "conf.yaml")
		c.Dir = s.cmd.Dir
		out, err := c.CombinedOutput()
		if want := fmt.Sprintf("listening on %s, unix:%s", tcp.Addr(), local.Addr()); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("status: %v: got\n%swant %q", err, out, want)
		}
		for _, l := range []net.Listener{tcp, local} {
			if c, err := net.Dial(l.Addr().Network(), l.Addr().String()); err != nil {
				t.Error(err)
			} else {
				c.Close()
			}
		}
		s.signal(syscall.SIGHUP)
		s.told("RELOADING=1\nMONOTONIC_USEC=")
		s.told("READY=1")
		s.signal(syscall.SIGTERM)
		s.told("STOPPING=1")
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("got %v: %s", err, s.log())
		}
		if _, err := os.Lstat(filepath.Join(dir, "control.sock")); err != nil {
			t.Error("the service manager's socket was removed: ", err)
		}
	}
}

func TestActivationRefuses(t *testing.T) {
	dir := t.TempDir()
	a, b := listenOn(t, "unix", filepath.Join(dir, "a")), listenOn(t, "unix", filepath.Join(dir, "b"))
	packet := listenOn(t, "unixpacket", filepath.Join(dir, "p"))
	receiver := fmt.Sprintf("{state_dir: %[1]s/r, outputs: [{name: in, base: %[1]s/in}]}", dir)
	sender := fmt.Sprintf("{state_dir: %[1]s/s, mounts: [{name: log, path: %[1]s/mnt}], targets: [{name: default, address: 'localhost:1'}]}", dir)
	for _, c := range []struct {
		config, role, names, want string
		sockets                   []net.Listener
	}{
		{receiver, "receiver", "mount", `socket "mount" from the service manager: want ListenStream=`, []net.Listener{packet}},
		{receiver, "receiver", "control:control", "for control, want one unix socket", []net.Listener{a, b}},
		{receiver, "receiver", "control", "for control, want one unix socket", []net.Listener{listenOn(t, "tcp", "127.0.0.1:0")}},
		{sender, "sender", "x:x", "for control, want one unix socket", []net.Listener{a, b}},
		{sender, "sender", "x:x", "or one ListenSequentialPacket=", []net.Listener{packet, packet}},
	} {
		s := startService(t, c.config, c.role, c.names, c.sockets...)
		if err := s.cmd.Wait(); err == nil || !strings.Contains(s.log(), c.want) {
			t.Errorf("%s with %s: got %v: %s", c.role, c.names, err, s.log())
		}
	}
}
