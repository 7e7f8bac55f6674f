package handover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ServeBroker does FUSE_DEV_IOC_BACKING_OPEN and CLOSE for the sender, which runs as user uid, and for root, on l until
// ctx ends; it closes l.
//
// What the kernel writes to a backing file it writes with the broker's rights, however the descriptor was opened. So that
// the broker gives no more than the peer has, the file must be a regular one that belongs to the peer, or be open for
// writing in the peer's hands; one that is immutable or only appended to is refused. Nothing else is done for anybody.
func ServeBroker(ctx context.Context, l *net.UnixListener, uid uint32, log *slog.Logger) error {
	var serving atomic.Int32
	return accept(ctx, l, func(c *net.UnixConn) (func(), bool) {
		cred, err := peer(c)
		switch {
		case err != nil:
			log.Warn("connection refused", "reason", err)
			return nil, false
		case cred.Uid != uid && cred.Uid != 0:
			log.Warn("connection refused", "reason", fmt.Sprintf("got user id %d, want %d (the sender's) or root", cred.Uid, uid), "pid", cred.Pid)
			return nil, false
		case serving.Load() >= maxBrokered:
			log.Warn("connection refused", "reason", fmt.Sprintf("%d are served already", maxBrokered), "pid", cred.Pid)
			return nil, false
		}
		serving.Add(1)
		return func() {
			defer serving.Add(-1)
			if err := brokerConn(ctx, c, cred.Uid); err != nil {
				log.Warn("connection ended", "reason", err, "pid", cred.Pid)
			}
		}, true
	})
}

// brokerConn serves one connection until the peer leaves.
func brokerConn(ctx context.Context, c *net.UnixConn, uid uint32) error {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	request := make([]byte, answerSize)
	for {
		n, fds, err := receive(c, request, 2)
		switch {
		case ctx.Err() != nil, err != nil && isGone(err):
			closeAll(fds)
			return nil
		case err != nil:
			return fmt.Errorf("read request: %w", err)
		}
		id, err := broker(request[:n], fds, uid)
		closeAll(fds)
		if err := c.SetWriteDeadline(time.Now().Add(packetTime)); err != nil {
			return err
		}
		if err := send(c, brokerAnswer(id, err)); err != nil && ctx.Err() == nil && !isGone(err) {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

func brokerAnswer(id int32, err error) []byte {
	if err == nil {
		return encode(0, id)
	}
	no, refused := unix.EINVAL, (*brokerError)(nil)
	text := err.Error()
	if errors.As(err, &refused) {
		no, text = refused.no, refused.reason
	} else if errors.As(err, &no) {
		text = ""
	}
	return append(encode(int32(no), 0), text[:min(len(text), maxReason)]...)
}

// broker does one request.
func broker(request []byte, fds []int, uid uint32) (int32, error) {
	if len(request) != answerSize || len(fds) == 0 {
		return 0, fmt.Errorf("got %d bytes and %d descriptors, want %d and at least one", len(request), len(fds), answerSize)
	}
	op, id := decode(request)
	if err := isFuse(fds[0]); err != nil {
		return 0, err
	}
	switch {
	case op == opOpen && len(fds) == 2:
		if err := mayBack(fds[1], uid); err != nil {
			return 0, err
		}
		return Kernel{}.Register(fds[0], fds[1])
	case op == opClose && len(fds) == 1:
		return 0, Kernel{}.Unregister(fds[0], id)
	}
	return 0, fmt.Errorf("got operation %d with %d descriptors, want %d with 2 or %d with 1", op, len(fds), opOpen, opClose)
}

// mayBack says by an error why the user may not have fd's file written to.
func mayBack(fd int, uid uint32) error {
	st, err := look(fd)
	if err != nil {
		return err
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return &brokerError{unix.EINVAL, fmt.Sprintf("got a file of mode %o, want a regular one", st.Mode)}
	case st.Attributes&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0:
		return &brokerError{unix.EACCES, "the file is immutable, or only to be appended to"}
	case st.Uid != uid && flags&unix.O_ACCMODE == unix.O_RDONLY:
		return &brokerError{unix.EACCES, fmt.Sprintf("got a file of user %d that is open for reading alone, want one of user %d or one open for writing", st.Uid, uid)}
	}
	return nil
}
