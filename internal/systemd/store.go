package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// storeLimit bounds how long Store and Unstore wait for the service manager.
const storeLimit = 5 * time.Second

// Store leaves a copy of f with the service manager, which hands it to the next life of the service under that name
// (Given.Stored), whatever ends this one. Names are of letters, digits, dot, underscore and minus. It returns when the manager
// has dealt with it; that it kept it cannot be seen: it does as long as there are fewer than FileDescriptorStoreMax=.
// The manager drops a descriptor by itself when it hangs up: a FUSE connection that ended, for instance.
// Without a service manager it does nothing, as does Unstore.
func Store(name string, f *os.File) error {
	state := "FDSTORE=1\nFDNAME=" + name
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("store descriptor %s: %w", name, err)
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err == nil && flags&unix.O_PATH != 0 {
			state += "\nFDPOLL=0" // epoll refuses it, and the manager with it
		}
		sent = tellNamed(name, state, int(fd))
	})
	if err := errors.Join(err, sent); err != nil {
		return fmt.Errorf("store descriptor %s: %w", name, err)
	}
	return nil
}

// Unstore makes the service manager close all that it keeps under name.
func Unstore(name string) error {
	if err := tellNamed(name, "FDSTOREREMOVE=1\nFDNAME="+name); err != nil {
		return fmt.Errorf("remove stored descriptor %s: %w", name, err)
	}
	return nil
}

// tellNamed sends state and waits until the manager has dealt with it.
func tellNamed(name, state string, fds ...int) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if name == "" || len(name) > 255 || strings.Trim(name, allowed) != "" {
		return fmt.Errorf("got name %q, want 1 to 255 letters, digits, dots, underscores and minuses", name)
	}
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	m, err := openManager(path)
	if err != nil {
		return err
	}
	defer unix.Close(m.fd)
	if err := m.tell(state, fds...); err != nil {
		return err
	}
	return m.barrier(storeLimit)
}

// manager is the service manager's socket. go-systemd's SdNotify carries no descriptors.
type manager struct {
	fd int
	to *unix.SockaddrUnix // an abstract one begins with @ in both worlds
}

func openManager(path string) (*manager, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	most := unix.NsecToTimeval(storeLimit.Nanoseconds()) // a manager that reads nothing: its queue is short
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &most); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &manager{fd, &unix.SockaddrUnix{Name: path}}, nil
}

func (m *manager) tell(state string, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(m.fd, []byte(state), rights, m.to, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// barrier waits until the manager has read everything sent so far: it closes the pipe that it gets behind that
// (sd_notify_barrier(3)).
func (m *manager) barrier(limit time.Duration) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = m.tell("BARRIER=1", int(w.Fd()))
	w.Close()
	if err != nil {
		return err
	}
	if err := r.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the service manager has not answered within %s", limit)
	}
	return nil
}
