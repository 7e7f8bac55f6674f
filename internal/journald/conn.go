// Package journald hands entries to the journal of this machine, in its native protocol.
package journald

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is where journald takes entries (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). The service manager holds
// it open: what was sent waits there while journald is restarted.
const Socket = "/run/systemd/journal/socket"

// ErrBusy says that journald has not read for as long as Wait said: its queue is full.
var ErrBusy = errors.New("journald does not read")

// step is how often somebody who waits looks whether the attempt was called off.
const step = 20 * time.Millisecond

// maxDatagram is less than a socket's buffer holds by default, /proc/sys/net/core/wmem_default.
const maxDatagram = 128 << 10

// Conn is a connection to journald, made when there is something to send. One user at a time.
type Conn struct {
	Path string        // of journald's socket; "": Socket
	Wait time.Duration // how long one Send may wait for room in journald's queue; may change between two

	sock *os.File // nil: not connected
}

// Close ends the connection; Send makes another.
func (c *Conn) Close() {
	if c.sock != nil {
		_ = c.sock.Close()
		c.sock = nil
	}
}

func (c *Conn) path() string {
	if c.Path == "" {
		return Socket
	}
	return c.Path
}

// open connects. Only on a connected datagram socket does the kernel wait for a full queue to have room.
func (c *Conn) open() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	each := unix.NsecToTimeval(step.Nanoseconds())
	err = os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &each))
	if err == nil {
		err = os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: c.path()}))
	}
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	c.sock = os.NewFile(uintptr(fd), c.path())
	return nil
}

// Send hands one entry, made of Fields, to journald. When it returns nil, journald has it or will read it; else it has
// nothing of it. It returns early when ctx ends.
func (c *Conn) Send(ctx context.Context, entry []byte) error {
	err := error(unix.EMSGSIZE)
	if len(entry) <= maxDatagram {
		err = c.try(ctx, entry, nil)
	}
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) { // larger than a datagram may be
		err = c.sendFile(ctx, entry)
	}
	if err != nil {
		return fmt.Errorf("hand an entry to journald at %s: %w", c.path(), err)
	}
	return nil
}

// sendFile passes an entry in a sealed file in memory.
func (c *Conn) sendFile(ctx context.Context, entry []byte) error {
	fd, err := unix.MemfdCreate("ftfuse-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "ftfuse-entry")
	defer f.Close()
	if _, err := f.Write(entry); err != nil {
		return err
	}
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return os.NewSyscallError("seal", err)
	}
	return c.try(ctx, nil, unix.UnixRights(fd))
}

func (c *Conn) flags() int {
	if c.Wait == 0 {
		return unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
	}
	return unix.MSG_NOSIGNAL
}

// try sends, waiting for room. A connection to a journald whose socket was replaced is made anew, once.
func (c *Conn) try(ctx context.Context, data, rights []byte) error {
	end := time.Now().Add(c.Wait)
	fresh := false
	for {
		if c.sock == nil {
			if err := c.open(); err != nil {
				return err
			}
			fresh = true
		}
		err := unix.Sendmsg(int(c.sock.Fd()), data, rights, nil, c.flags())
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
		case err == unix.EAGAIN && ctx.Err() != nil:
			return ctx.Err()
		case err == unix.EAGAIN && time.Now().After(end):
			return fmt.Errorf("%w: for %s its queue was full", ErrBusy, c.Wait)
		case err == unix.EAGAIN:
		case (err == unix.ECONNREFUSED || err == unix.ECONNRESET || err == unix.ENOTCONN || err == unix.EPIPE) && !fresh:
			c.Close()
		default:
			if err != unix.EMSGSIZE && err != unix.ENOBUFS {
				c.Close()
			}
			return os.NewSyscallError("sendmsg", err)
		}
	}
}
