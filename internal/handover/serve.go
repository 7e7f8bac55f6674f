package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/notice"
)

// Serve takes mounts from helpers on l until ctx ends; it closes l. handle returns nil once the mount is served, and has
// taken over the request's files then; else they are closed, and the error goes to the helper, with a hint if it is a
// *Refusal. Its context ends with ctx and when the helper leaves. Peers that are not root are refused. It waits for
// what it has begun.
func Serve(ctx context.Context, l *net.UnixListener, handle func(context.Context, Request) error, log *slog.Logger) error {
	room := make(chan struct{}, maxHelpers)
	return accept(ctx, l, func(c *net.UnixConn) (func(), bool) {
		select { // a helper more waits in the socket's own queue
		case room <- struct{}{}:
		case <-ctx.Done():
			return nil, false
		}
		return func() {
			defer func() { <-room }()
			serveHelper(ctx, c, handle, log)
		}, true
	})
}

// accept calls serve with each connection, and what it returns in a goroutine of its own; it closes the connection
// afterwards, or at once. It closes l, and returns when ctx ends and all goroutines are done.
func accept(ctx context.Context, l *net.UnixListener, serve func(*net.UnixConn) (func(), bool)) error {
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOBUFS):
			select { // what lacks comes back when others are done
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		case err != nil:
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		f, ok := serve(c)
		if !ok {
			c.Close()
			continue
		}
		all.Go(func() {
			defer c.Close()
			f()
		})
	}
}

func serveHelper(ctx context.Context, c *net.UnixConn, handle func(context.Context, Request) error, log *slog.Logger) {
	defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })()
	r, err := readRequest(c)
	if err == nil {
		if err = handleWhileThere(ctx, c, r, handle); err != nil {
			r.Fuse.Close()
			r.Below.Close()
		}
	}
	log = log.With("mount", r.Name, "dir", r.Dir)
	var answer Refusal
	if err != nil {
		log.Warn("mount refused", notice.MountRefused, "reason", err)
		if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
			answer.Hint = refusal.Hint
		}
		answer.Text = err.Error()
	}
	b, err := json.Marshal(answer)
	if err == nil {
		_ = c.SetWriteDeadline(time.Now().Add(packetTime))
		err = send(c, b)
	}
	if err != nil { // its superblock ends, and with it the mount
		log.Warn("the mount helper left before the answer", "error", err)
	}
}

// handleWhileThere calls handle with a context that ends when the helper leaves.
func handleWhileThere(ctx context.Context, c *net.UnixConn, r Request, handle func(context.Context, Request) error) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	_ = c.SetReadDeadline(time.Time{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer leave()
		_, fds, _ := receive(c, make([]byte, 1), 0) // nothing comes any more but the end
		closeAll(fds)
	}()
	err := handle(ctx, r)
	_ = c.SetReadDeadline(time.Unix(1, 0))
	<-gone
	return err
}

// readRequest reads and checks what a helper wants. Without an error the caller owns the request's files.
func readRequest(c *net.UnixConn) (r Request, err error) {
	cred, err := peer(c)
	if err != nil {
		return r, fmt.Errorf("ask who the mount helper is: %w", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(packetTime))
	b := make([]byte, maxPacket)
	n, fds, err := receive(c, b, 2)
	if err != nil {
		return r, fmt.Errorf("read the mount helper's request: %w", err)
	}
	if cred.Uid != 0 { // not before the packet is read: else the peer would get ECONNRESET instead of the answer
		closeAll(fds)
		return r, &Refusal{fmt.Sprintf("hand over a mount: got user id %d, want root", cred.Uid), "run mount(8) as root"}
	}
	if err := checkRequest(&r, b[:n], fds); err != nil {
		closeAll(fds)
		return r, fmt.Errorf("read the mount helper's request: %w", err)
	}
	r.Fuse, r.Below = os.NewFile(uintptr(fds[0]), "/dev/fuse"), os.NewFile(uintptr(fds[1]), r.Dir)
	return r, nil
}

func checkRequest(r *Request, b []byte, fds []int) error {
	if err := json.Unmarshal(b, r); err != nil {
		return err
	}
	if r.Name == "" || !filepath.IsAbs(r.Dir) || filepath.Clean(r.Dir) != r.Dir {
		return fmt.Errorf("got name %q and directory %q, want a name and a clean absolute path", r.Name, r.Dir)
	}
	if len(fds) != 2 {
		return fmt.Errorf("got %d descriptors, want /dev/fuse and the directory below", len(fds))
	}
	if err := isFuse(fds[0]); err != nil {
		return err
	}
	st, err := look(fds[1])
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("got a descriptor of mode %o, want the directory below", st.Mode)
	}
	return nil
}
