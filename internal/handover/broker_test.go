package handover

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const someUser = 65534

// brokerAt serves a broker for someUser.
func brokerAt(t *testing.T, path string, log *slog.Logger) (stop func()) {
	t.Helper()
	l := listen(t, path)
	return run(t, func(ctx context.Context) error { return ServeBroker(ctx, l, someUser, log) })
}

// connection is a FUSE connection that does passthrough.
func connection(t *testing.T) int {
	t.Helper()
	fuse, _ := superblock(t)
	ok(t, answerInit(fuse))
	return fuse
}

// file opens a new file of a user.
func file(t *testing.T, uid, flags int) int {
	t.Helper()
	path := tempDir(t) + "/f"
	ok(t, os.WriteFile(path, nil, 0o644))
	ok(t, os.Chown(path, uid, uid))
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	ok(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestBrokerRegisters(t *testing.T) {
	path, fuse := socketPath(t), connection(t)
	brokerAt(t, path, quiet)
	b := &Broker{Socket: path}
	defer b.Close()
	mine := file(t, someUser, unix.O_RDONLY)
	asUser(t, someUser, func() {
		id, err := b.Register(fuse, mine)
		if err != nil || id <= 0 {
			t.Errorf("register: got %d, %v", id, err)
		}
		second, err := b.Register(fuse, mine)
		if err != nil || second == id {
			t.Errorf("register again: got %d, %v, want another id than %d", second, err, id)
		}
		for _, id := range []int32{id, second} {
			if err := b.Unregister(fuse, id); err != nil {
				t.Errorf("unregister: %v", err)
			}
		}
		if err := b.Unregister(fuse, id); !errors.Is(err, unix.ENOENT) {
			t.Errorf("unregister twice: got %v, want ENOENT", err)
		}
	})
}

// Several goroutines share a Broker.
func TestBrokerIsShared(t *testing.T) {
	path, fuse := socketPath(t), connection(t)
	brokerAt(t, path, quiet)
	b := &Broker{Socket: path}
	defer b.Close()
	var seen sync.Map
	var all sync.WaitGroup
	for range 4 {
		fd := file(t, 0, unix.O_RDONLY)
		all.Go(func() {
			for range 50 {
				id, err := b.Register(fuse, fd)
				if err != nil {
					t.Error(err)
					return
				}
				if _, twice := seen.LoadOrStore(id, true); twice {
					t.Errorf("id %d was given twice", id)
				}
			}
		})
	}
	all.Wait()
}

// The broker gives no more than the peer has.
func TestBrokerRefuses(t *testing.T) {
	path, fuse := socketPath(t), connection(t)
	brokerAt(t, path, quiet)
	b := &Broker{Socket: path}
	defer b.Close()
	dir, err := unix.Open("/tmp", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	ok(t, err)
	defer unix.Close(dir)
	try := func(what string, fuse, fd int, no unix.Errno, parts ...string) {
		t.Helper()
		_, err := b.Register(fuse, fd)
		if no == 0 && err != nil || no != 0 && !errors.Is(err, no) {
			t.Errorf("%s: got %v, want errno %d", what, err, no)
		}
		contains(t, what, err, parts...)
	}
	mine := file(t, someUser, unix.O_RDONLY)
	asUser(t, someUser, func() { try("one's own", fuse, mine, 0) }) // this connection is someUser's from here on
	try("another's, to read", fuse, file(t, 0, unix.O_RDONLY), unix.EACCES, path, "got a file of user 0 that is open for reading alone")
	try("another's, to append", fuse, file(t, 0, unix.O_WRONLY|unix.O_APPEND), 0)
	try("another's, to read and write", fuse, file(t, 1, unix.O_RDWR), 0)
	try("by O_PATH", fuse, file(t, someUser, unix.O_PATH), unix.EINVAL, "O_PATH")
	try("a directory", fuse, dir, unix.EINVAL, "want a regular one")
	try("a device", fuse, fuse, unix.EINVAL, "want a regular one")
	try("not FUSE", dir, file(t, someUser, unix.O_RDONLY), unix.EINVAL, "want /dev/fuse")
	idle, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	ok(t, err)
	defer unix.Close(idle)
	try("FUSE without a mount", idle, file(t, someUser, unix.O_RDONLY), unix.EPERM)
	for _, flag := range []int{0x10, 0x20} { // FS_IMMUTABLE_FL, FS_APPEND_FL
		fd := file(t, someUser, unix.O_RDWR)
		ok(t, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flag))
		try("immutable", fuse, fd, unix.EACCES, "immutable")
		ok(t, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, 0))
	}
	try("a file that never was", fuse, 1<<20, unix.EBADF)
	try("after all that", fuse, file(t, someUser, unix.O_RDWR), 0)
}

func TestBrokerAnswersNonsense(t *testing.T) {
	path, fuse := socketPath(t), connection(t)
	brokerAt(t, path, quiet)
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	ok(t, err)
	defer c.Close()
	mine := file(t, someUser, unix.O_RDONLY)
	for _, r := range []struct {
		packet []byte
		fds    []int
		want   string
	}{
		{encode(3, 0), []int{fuse}, "got operation 3 with 1 descriptors"},
		{encode(opOpen, 0), []int{fuse}, "got operation 1 with 1"},
		{encode(opClose, 0), []int{fuse, mine}, "got operation 2 with 2"},
		{encode(opOpen, 0), nil, "0 descriptors"},
		{[]byte("x"), []int{fuse}, "got 1 bytes"},
	} {
		ok(t, send(c, r.packet, r.fds...))
		b := make([]byte, 1000)
		n, _, err := receive(c, b, 0)
		ok(t, err)
		if no, _ := decode(b[:n]); no != int32(unix.EINVAL) || !strings.Contains(string(b[:n]), r.want) {
			t.Errorf("got %q, want %q", b[:n], r.want)
		}
	}
	ok(t, send(c, make([]byte, 100), fuse))
	if _, _, err := receive(c, make([]byte, 100), 0); !errors.Is(err, io.EOF) {
		t.Errorf("after a packet that is too long: got %v, want the end", err)
	}
}

func TestBrokerServesItsUser(t *testing.T) {
	var logs bytes.Buffer
	path, fuse := socketPath(t), connection(t)
	stop := brokerAt(t, path, slog.New(slog.NewTextHandler(&logs, nil)))
	b := &Broker{Socket: path}
	fd := file(t, 1234, unix.O_RDWR)
	asUser(t, 1234, func() {
		_, err := b.Register(fuse, fd)
		contains(t, "another user", err, path, "the broker ended the connection", "journalctl")
	})
	stop()
	if !strings.Contains(logs.String(), "got user id 1234, want 65534") {
		t.Errorf("logged: %s", &logs)
	}
	_, err := b.Register(fuse, fd)
	contains(t, "no broker", err, path, "nobody answers there", "systemctl start ftfuse-broker.socket")
}

func TestBrokerRestarts(t *testing.T) {
	path, fuse := socketPath(t), connection(t)
	b := &Broker{Socket: path}
	defer b.Close()
	fd := file(t, 0, unix.O_RDONLY)
	for range 3 {
		stop := brokerAt(t, path, quiet)
		id, err := b.Register(fuse, fd)
		ok(t, err)
		ok(t, b.Unregister(fuse, id))
		stop()
	}
}

// A broker that is silent holds up one caller; those that come soon after do not ask.
func TestBrokerIsSilent(t *testing.T) {
	path := socketPath(t)
	l := listen(t, path)
	var asked atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			defer c.Close()
		}
	}()
	b := &Broker{Socket: path}
	null, err := os.Open(os.DevNull)
	ok(t, err)
	defer null.Close()
	for range 10 {
		_, err := b.Register(int(null.Fd()), int(null.Fd()))
		if !errors.Is(err, ErrNoAnswer) {
			t.Errorf("got %v, want ErrNoAnswer", err)
		}
		if b.quiet.After(time.Now()) {
			b.quiet = b.quiet.Add(time.Hour) // soon, however slow this machine is
		}
	}
	l.Close()
	<-done
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestTooManySenders(t *testing.T) {
	path := socketPath(t)
	brokerAt(t, path, quiet)
	var all []*net.UnixConn
	for i := range maxBrokered + 1 {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
		ok(t, err)
		all = append(all, c)
		err = send(c, encode(9, 9))
		if err == nil {
			_, _, err = receive(c, make([]byte, 1000), 0)
		}
		if refused := err != nil; refused != (i == maxBrokered) {
			t.Errorf("connection %d: got %v", i+1, err)
		}
	}
	for _, c := range all {
		c.Close()
	}
}
