package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/attach"
	"ftfuse/internal/handover"

	"golang.org/x/sys/unix"
)

// manager does for the sender what the service manager does: it holds the sockets and the descriptors that are to outlive
// it (sd_notify(3), FDSTORE). A real one is in the tests of the packages; this one can have the sender killed hundreds of
// times a minute.
type manager struct {
	s       *site
	notify  *net.UnixConn
	control *os.File
	mounts  *os.File
	program string   // instead of ftfuse
	environ []string // more for it

	mu     sync.Mutex
	stored map[string]*os.File
	ready  int // READY=1 messages
	heard  int // MARK=1 messages: our own
}

// manage has the sender run under a manager.
func (s *site) manage() *manager {
	s.t.Helper()
	m := &manager{s: s, stored: map[string]*os.File{}}
	s.manager = m
	m.control = m.listen("unix", "sender.sock")
	m.mounts = m.listen("unixpacket", "mount.sock")
	var err error
	if m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path("notify"), Net: "unixgram"}); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); m.hear() }()
	s.t.Cleanup(func() {
		m.notify.Close()
		<-done
		m.control.Close()
		m.mounts.Close()
		m.forget()
	})
	return m
}

func (m *manager) path(name string) string { return filepath.Join(m.s.dir, name) }

func (m *manager) listen(network, name string) *os.File {
	m.s.t.Helper()
	l, err := net.ListenUnix(network, &net.UnixAddr{Name: m.path(name), Net: network})
	if err != nil {
		m.s.t.Fatal(err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	if err != nil {
		m.s.t.Fatal(err)
	}
	return f
}

// hear takes what the sender says until the socket is closed.
func (m *manager) hear() {
	b, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*16))
	for {
		n, on, _, _, err := m.notify.ReadMsgUnix(b, oob)
		if err != nil {
			return
		}
		var fds []int
		if msgs, err := unix.ParseSocketControlMessage(oob[:on]); err == nil && len(msgs) == 1 {
			fds, _ = unix.ParseUnixRights(&msgs[0])
		}
		m.said(strings.Split(string(b[:n]), "\n"), fds)
	}
}

func (m *manager) said(lines []string, fds []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, store := "", false
	for _, l := range lines {
		switch k, v, _ := strings.Cut(l, "="); k {
		case "FDNAME":
			name = v
		case "FDSTORE":
			store = true
		case "FDSTOREREMOVE":
			defer func() {
				if f := m.stored[name]; f != nil {
					f.Close()
					delete(m.stored, name)
				}
			}()
		case "READY":
			m.ready++
		case "MARK":
			m.heard++
		}
	}
	for _, fd := range fds {
		if store && m.stored[name] == nil {
			m.stored[name] = os.NewFile(uintptr(fd), name)
			continue
		}
		unix.Close(fd) // BARRIER=1 waits for it
	}
}

// forget drops the store, as `systemctl stop` does.
func (m *manager) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, f := range m.stored {
		f.Close()
		delete(m.stored, name)
	}
}

func (m *manager) count() (ready, stored int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ready, len(m.stored)
}

// command prepares the sender's process.
func (m *manager) command(program string, args ...string) *exec.Cmd {
	m.mu.Lock()
	defer m.mu.Unlock()
	// The process must know its own number before it begins.
	if m.program != "" {
		program = m.program
	}
	c := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, program}, args...)...)
	c.Dir = m.s.dir
	names := []string{"ftfuse-sender.socket", "ftfuse-sender.socket"}
	c.ExtraFiles = []*os.File{m.control, m.mounts}
	for name, f := range m.stored {
		names = append(names, name)
		c.ExtraFiles = append(c.ExtraFiles, f)
	}
	c.Env = append(m.environ[:len(m.environ):len(m.environ)], "NOTIFY_SOCKET="+m.path("notify"), fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	return c
}

// listened waits until all is heard that a sender which has ended has said.
func (m *manager) listened() {
	t := m.s.t
	t.Helper()
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	heard := func() int {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.heard
	}
	before := heard()
	if _, err := c.Write([]byte("MARK=1")); err != nil {
		t.Fatal(err)
	}
	m.s.until("the manager has listened", 10*time.Second, func() bool { return heard() > before })
}

// start starts the sender and waits until it is ready.
func (m *manager) start() {
	m.s.t.Helper()
	m.listened()
	before, _ := m.count()
	m.s.sender = m.s.start("sender", m.s.write("sender.yaml", m.s.senderConfig()))
	m.s.until("the sender is ready", 20*time.Second, func() bool {
		ready, _ := m.count()
		return ready > before || m.s.sender.ended()
	})
	if m.s.sender.ended() {
		m.s.t.Fatalf("sender ended: %s", m.s.sender.log())
	}
}

// mount does what the mount helper does.
func (m *manager) mount() {
	t := m.s.t
	t.Helper()
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fuse.Close()
	mnt, err := attach.Superblock(int(fuse.Fd()), "log", false)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(mnt)
	dir, fd, err := attach.Below(m.s.mnt)
	if err != nil {
		t.Fatal(err)
	}
	below := os.NewFile(uintptr(fd), dir)
	defer below.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := handover.Ask(ctx, m.path("mount.sock"), handover.Request{Name: "log", Dir: dir, Fuse: fuse, Below: below}); err != nil {
		t.Fatalf("hand over the mount: %v\nsender: %s", err, m.s.sender.log())
	}
	if _, err := attach.At(mnt, dir); err != nil {
		t.Fatal(err)
	}
}

// startManaged starts both sides, the sender under a manager, and mounts. The sender is another program if one is named.
func startManaged(t *testing.T, program string, environ ...string) (*site, *manager) {
	t.Helper()
	s := newSite(t)
	m := s.manage()
	m.program, m.environ = program, environ
	s.startReceiver()
	m.start()
	m.mount()
	return s, m
}
