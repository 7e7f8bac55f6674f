package handover

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// send writes one packet with descriptors. fds stay the caller's.
func send(c *net.UnixConn, b []byte, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	_, _, err := c.WriteMsgUnix(b, rights, nil)
	return err
}

// receive reads one packet into b, with at most most descriptors, which are the caller's then. It returns io.EOF when
// the peer has left.
func receive(c *net.UnixConn, b []byte, most int) (n int, fds []int, err error) {
	oob := make([]byte, unix.CmsgSpace(4*max(most, 1)))
	n, rights, flags, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return 0, nil, err
	}
	fds, err = descriptors(oob[:rights])
	switch {
	case err != nil:
	case flags&unix.MSG_TRUNC != 0:
		err = fmt.Errorf("got a packet of more than %d bytes", len(b))
	case flags&unix.MSG_CTRUNC != 0, len(fds) > most:
		err = fmt.Errorf("got more than %d descriptors, or could not take them", most)
	default:
		return n, fds, nil
	}
	closeAll(fds)
	return 0, nil, err
}

// descriptors takes what came with a packet. The net package made it close-on-exec.
func descriptors(oob []byte) (all []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read control message: %w", err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("read control message: %w", err)
		}
		all = append(all, fds...)
	}
	return all, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// peer returns who connected (SO_PEERCRED of unix(7)).
func peer(c *net.UnixConn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	return cred, failed
}

// dialError names what a failed connect means.
func dialError(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return ErrNotRunning
	case errors.Is(err, unix.EPROTOTYPE):
		return fmt.Errorf("got another kind of socket, want SOCK_SEQPACKET: %w", unix.EPROTOTYPE)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrNoAnswer
	}
	var call *os.SyscallError
	if errors.As(err, &call) { // without the address, which the caller names
		return call.Err
	}
	return err
}

// isFuse says by an error why fd is no descriptor of /dev/fuse. It does not ask a server that may be silent.
func isFuse(fd int) error {
	st, err := look(fd)
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev_major != fuseMajor || st.Rdev_minor != fuseMinor:
		return fmt.Errorf("got a descriptor of mode %o, device %d:%d, want /dev/fuse (%d:%d)", st.Mode, st.Rdev_major, st.Rdev_minor, fuseMajor, fuseMinor)
	}
	return nil
}

// The device number of /dev/fuse (Documentation/admin-guide/devices.txt).
const (
	fuseMajor = 10
	fuseMinor = 229
)

// look returns what the kernel knows of a descriptor that is open for reading or writing.
func look(fd int) (*unix.Statx_t, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, fmt.Errorf("look at descriptor: %w", err)
	}
	if flags&unix.O_PATH != 0 {
		return nil, errors.New("got a descriptor opened with O_PATH, want one that is really open")
	}
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|unix.STATX_UID, &st); err != nil {
		return nil, fmt.Errorf("look at descriptor: %w", err)
	}
	return &st, nil
}
