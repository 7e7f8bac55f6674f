package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Ask hands a mount to the sender that listens on socket, and returns nil when it serves it, *Refusal when it does not
// want to. ErrEnded may be tried again with a new superblock. r's files stay the caller's.
func Ask(ctx context.Context, socket string, r Request) error {
	if err := ask(ctx, socket, r); err != nil {
		return fmt.Errorf("ask %s: %w", socket, err)
	}
	return nil
}

func ask(ctx context.Context, socket string, r Request) error {
	packet, err := json.Marshal(r)
	if err != nil {
		return err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unixpacket", socket)
	switch {
	case ctx.Err() != nil:
		return ErrNoAnswer
	case errors.Is(err, unix.EAGAIN): // more wait to be accepted than the socket has room for
		return fmt.Errorf("%w: %w", ErrEnded, unix.EAGAIN)
	case err != nil:
		return dialError(err)
	}
	conn := c.(*net.UnixConn)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	err = send(conn, packet, int(r.Fuse.Fd()), int(r.Below.Fd()))
	runtime.KeepAlive(r.Fuse)
	runtime.KeepAlive(r.Below)
	if err != nil {
		return answerError(err)
	}
	b := make([]byte, maxPacket)
	n, _, err := receive(conn, b, 0)
	if err != nil {
		return answerError(err)
	}
	refusal := &Refusal{}
	if err := json.Unmarshal(b[:n], refusal); err != nil {
		return fmt.Errorf("got no valid answer: %w", err)
	}
	if refusal.Text != "" {
		return refusal
	}
	return nil
}

func answerError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrNoAnswer
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return ErrEnded
	}
	return dialError(err)
}
