package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process answers on the socket.
var ErrInUse = errors.New("another process answers on it")

// Socket says where to listen and who may connect.
type Socket struct {
	Path string
	Mode os.FileMode
	GID  int // -1: the group of the process
}

// Listen makes the socket. One that a dead process left behind is replaced; one that answers is left alone
// (ErrInUse). The folder is made if need be.
func Listen(s Socket) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) { return nil, fmt.Errorf("listen on %s: %w", s.Path, err) }
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o755); err != nil {
		return fail(err)
	}
	if err := clearStale(s.Path); err != nil {
		return fail(err)
	}
	// unix(7): the socket file gets the mode of the socket's own inode, so nobody else connects before chown.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var inner error
		err := c.Control(func(fd uintptr) { inner = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, inner)
	}}
	l, err := private.Listen(context.Background(), "unix", s.Path)
	if err != nil {
		return fail(err)
	}
	if s.GID >= 0 {
		err = os.Chown(s.Path, -1, s.GID)
	}
	if err == nil {
		err = os.Chmod(s.Path, s.Mode)
	}
	if err != nil {
		l.Close()
		return fail(err)
	}
	return l, nil
}

func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("got %s, want a socket or nothing", kind(info.Mode()))
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return ErrInUse
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m.IsRegular():
		return "a file"
	case m.Type() == fs.ModeSymlink:
		return "a symbolic link"
	}
	return "something else"
}
