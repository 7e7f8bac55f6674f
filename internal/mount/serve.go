package mount

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ftfuse/internal/attach"
	"ftfuse/internal/notice"
	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Serve mounts, serves until the mount is gone or ctx ends, and unmounts. When files are still open after
// UnmountWait it ends the connection under them: their writers see ENOTCONN, those of open capture nothing. A given
// connection is neither mounted nor unmounted: when ctx ends it is left as it is, for the next process, and this one
// must end. Serve is called once.
func (m *Mount) Serve(ctx context.Context) (err error) {
	m.mu.Lock()
	if m.serving || m.closed {
		m.mu.Unlock()
		return fmt.Errorf("serve %s: %w", m.dir, record.ErrClosed)
	}
	m.serving = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.serving = false
		m.mu.Unlock()
	}()

	if m.srv != nil {
		return m.srv.serveGiven(ctx)
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/fuse: %w", err)
	}
	defer unix.Close(fd)
	s := m.newServer(fd)
	mnt, err := attach.Superblock(fd, m.o.Name, m.o.OwnerOnly)
	if err != nil {
		return fmt.Errorf("mount on %s: %w", m.dir, err)
	}
	if _, _, err = s.greet(); err != nil {
		_ = unix.Close(mnt)
		return fmt.Errorf("mount on %s: %w", m.dir, err)
	}
	return s.serve(ctx, mnt)
}

func (m *Mount) newServer(fd int) *server {
	s := &server{RawFileSystem: fuse.NewDefaultRawFileSystem(), Mount: m, fd: fd}
	s.waits.limit, s.waits.locks = m.o.MaxWaiting, map[uint64]chan struct{}{}
	m.pass.fd = fd
	s.proto = fuse.NewProtocolServer(s, &fuse.MountOptions{
		MaxWrite:           maxWrite,
		MaxBackground:      64,
		DisableXAttrs:      true, // else every write asks for security.capability first
		EnableLocks:        true,
		DisableReadDirPlus: true, // with timeout 0 the kernel would look every name up again
		ExtraCapabilities:  fuse.CAP_HAS_RESEND,
		Logger:             slog.NewLogLogger(m.log.Handler(), slog.LevelWarn),
		PanicHandler: func(v any) fuse.Status {
			panic(v) // recovered counts, logs and answers
		},
	})
	return s
}

// greet answers INIT, which waits in a new connection, and finds out about passthrough.
func (s *server) greet() (request, answer []byte, err error) {
	in := make([]byte, inSize)
	n, err := unix.Read(s.fd, in)
	if err != nil {
		return nil, nil, fmt.Errorf("read INIT: %w", err)
	}
	out := make([]byte, 4096)
	size, code := s.proto.HandleRequest([][]byte{in[:n]}, [][]byte{out})
	if code != fuse.OK || size == 0 {
		return nil, nil, fmt.Errorf("answer INIT: %w", unix.Errno(code))
	}
	if _, err := unix.Write(s.fd, out[:size]); err != nil {
		return nil, nil, fmt.Errorf("answer INIT: %w", err)
	}
	s.pass.probe(initIn(in[:n]), !s.o.NoPassthrough)
	if why := s.pass.off(); why != nil {
		s.log.Info("no open capture", notice.OpenCaptureOff, "why", why)
	}
	return in[:n:n], out[:size:size], nil
}

// serve starts the readers, attaches the mount, and ends all in reverse. It takes over mnt.
func (s *server) serve(ctx context.Context, mnt int) error {
	if err := s.start(false); err != nil {
		_ = unix.Close(mnt)
		return err
	}
	ended := make(chan struct{})
	var readErr error
	go func() { readErr = s.group.Wait(); close(ended) }()

	at, err := attach.At(mnt, s.dir)
	_ = unix.Close(mnt) // if it was not attached, the connection ends with it
	if err != nil {
		<-ended
		return err
	}
	if s.o.Ready != nil {
		s.o.Ready()
	}
	clean := false // after a forced umount by somebody else, writers of open capture may be left
	select {
	case <-ended:
	case <-ctx.Done():
		clean, err = at.Detach(s.o.UnmountWait)
		clean = clean && s.lastUsers(at, ended)
		<-ended
	}
	s.close(clean)
	return errors.Join(readErr, err)
}

// lastUsers waits a moment for the connection of an unmounted file system to end: a copy of the mount in another
// namespace keeps it. It reports whether there was none.
func (s *server) lastUsers(at *attach.Attached, ended <-chan struct{}) bool {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-ended:
		return true
	case <-t.C:
	}
	if err := at.Abort(); err != nil {
		s.log.Error("end the connection", "error", err)
	}
	return false
}

// close ends what the kernel has not: it drops RELEASE and FORGET requests that are unread when a mount goes. clean says
// that no writer is left; else spools that may be held are left to their lease.
func (s *server) close(clean bool) {
	s.waits.close()
	s.handles.leave()
	<-s.async.none()
	for _, h := range s.handles.all() {
		if h = s.handles.take(h.fh); h == nil {
			continue
		}
		if h.node.kind == kindDir {
			_ = unix.Close(h.fd)
			continue
		}
		if !clean && h.spool != nil {
			h.spool.Leave()
			h.spool = nil
		}
		s.release(h)
	}
	for _, n := range s.tree.clear() {
		if n.file != nil {
			s.files.unref(n.file)
		}
	}
	s.files.clear()
}
