package output

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// journalSocket is where journald takes entries (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). The service manager holds
// it open: what was sent waits there while journald is restarted.
const journalSocket = "/run/systemd/journal/socket"

// journalWait bounds one attempt to hand over an entry. journald that does not read lets its queue fill up, and
// then a datagram waits.
const journalWait = 5 * time.Second

// journalStep is how often somebody who waits looks whether the attempt was called off.
const journalStep = 100 * time.Millisecond

// maxDatagram is less than a socket's buffer holds by default, /proc/sys/net/core/wmem_default.
const maxDatagram = 128 << 10

// journalConn is a connection to journald. One user at a time.
type journalConn struct {
	path string
	wait time.Duration
	fd   int // -1: none
}

func (c *journalConn) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
		c.fd = -1
	}
}

// open connects. Only on a connected datagram socket does the kernel wait for a full queue to have room.
func (c *journalConn) open() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	step := unix.NsecToTimeval(min(journalStep, c.wait).Nanoseconds())
	err = os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &step))
	if err == nil {
		err = os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: c.path}))
	}
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	c.fd = fd
	return nil
}

// send hands one entry to journald. When it returns nil, journald has it or will read it.
func (c *journalConn) send(ctx context.Context, entry []byte) error {
	err := error(unix.EMSGSIZE)
	if len(entry) <= maxDatagram {
		err = c.try(ctx, entry, nil)
	}
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) { // larger than a datagram may be
		err = c.sendFile(ctx, entry)
	}
	if err != nil {
		return fmt.Errorf("hand an entry to journald at %s: %w", c.path, err)
	}
	return nil
}

// sendFile passes an entry in a sealed file in memory.
func (c *journalConn) sendFile(ctx context.Context, entry []byte) error {
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

// try sends, waiting for room. A connection to a journald whose socket was replaced is made anew, once.
func (c *journalConn) try(ctx context.Context, data, rights []byte) error {
	end := time.Now().Add(c.wait)
	fresh := false
	for {
		if c.fd < 0 {
			if err := c.open(); err != nil {
				return err
			}
			fresh = true
		}
		err := unix.Sendmsg(c.fd, data, rights, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
		case err == unix.EAGAIN && ctx.Err() != nil:
			return ctx.Err()
		case err == unix.EAGAIN && time.Now().After(end):
			return fmt.Errorf("it has read nothing for %s", c.wait)
		case err == unix.EAGAIN:
		case (err == unix.ECONNREFUSED || err == unix.ECONNRESET || err == unix.ENOTCONN || err == unix.EPIPE) && !fresh:
			c.close()
		default:
			if err != unix.EMSGSIZE && err != unix.ENOBUFS {
				c.close()
			}
			return os.NewSyscallError("sendmsg", err)
		}
	}
}
