package mount

import (
	"errors"
	"sync"

	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// nodeOpen is what the open handles of one node share.
type nodeOpen struct {
	mu      sync.Mutex // held over an OPEN and over the end of a RELEASE: what the kernel is told must be in order
	count   int        // handles answered and not released
	backing int32      // backing id, 0 none; stays registered until count is 0
	pin     pinned     // a stored file's descriptor, for when its name is gone
}

func (o *nodeOpen) dup() (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pin.dup()
}

// Open answers open(2) of an existing file. O_TRUNC comes as a SETATTR of its own.
func (s *server) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n := s.tree.node(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	return status(s.open(in.Unique, n, in.Caller, in.Flags, out))
}

// open makes a handle of n for a request and answers it. Without Mount.ns.
func (m *Mount) open(unique uint64, n *node, who fuse.Caller, flags uint32, out *fuse.OpenOut) error {
	h := &handle{node: n, flags: flags, fd: -1}
	n.open.mu.Lock()
	defer n.open.mu.Unlock()
	var err error
	switch n.kind {
	case kindCaptured:
		err = m.openCaptured(h, who, out)
	case kindStored:
		err = m.openStored(h, out)
	default:
		err = unix.EINVAL // the kernel opens fifos and sockets itself, and directories by OPENDIR
	}
	if err != nil {
		return err
	}
	n.open.count++
	h.backing = n.open.backing
	if err := m.handles.put(unique, h); err != nil {
		m.end(h)
		return err
	}
	out.Fh = h.fh
	// Without it every close(2) would be a request, and would hang while nobody serves.
	out.OpenFlags |= fuse.FOPEN_NOFLUSH
	return nil
}

func (m *Mount) openCaptured(h *handle, who fuse.Caller, out *fuse.OpenOut) error {
	n := h.node
	h.policy = m.o.Decider.Decide(m.o.Name, n.path)
	// ENOENT: the name went after the caller's lookup. For the caller that was after its open.
	err := m.hold(n.file)
	if h.held = err == nil; !h.held && !errors.Is(err, unix.ENOENT) {
		return err
	}
	mode, why, err := m.capture(h, n.path, who)
	if err != nil {
		h.drop()
		return err
	}
	m.opens.add(mode, why)
	if mode == record.OpenMode {
		out.OpenFlags, out.BackingID = fuse.FOPEN_PASSTHROUGH, n.open.backing
		return nil
	}
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	if n.open.backing != 0 {
		// The kernel refuses an open of this inode that does not name its backing file (fs/fuse/iomode.c);
		// FOPEN_DIRECT_IO still sends reads and writes to us.
		out.OpenFlags |= fuse.FOPEN_PASSTHROUGH
		out.BackingID = n.open.backing
	}
	return nil
}

func (m *Mount) hold(f *file) error {
	m.ns.RLock()
	defer m.ns.RUnlock()
	return f.hold()
}

// capture opens the captured side of h. Called with the node's open.mu held.
func (m *Mount) capture(h *handle, path string, who fuse.Caller) (record.Mode, string, error) {
	mode, why := m.Choose(h.policy, h.flags)
	if h.flags&unix.O_ACCMODE == unix.O_RDONLY {
		return record.WriteMode, whyReader, nil
	}
	w := m.o.Identifier.Identify(record.Opener, who.Pid, who.Uid, who.Gid)
	h.opener, h.path = w, path
	if mode == record.OpenMode && h.node.open.count > 0 {
		mode, why = record.WriteMode, whyReopened
	}
	if mode == record.OpenMode {
		err := m.openSpool(h, path, w)
		if err == nil {
			return mode, why, nil
		}
		why = whySpool + err.Error()
	}
	var err error
	h.log, err = h.node.file.OpenLog(h.policy, path, w)
	return record.WriteMode, why, err
}

func (m *Mount) openSpool(h *handle, path string, w *record.Writer) error {
	sp, err := h.node.file.OpenSpool(h.policy, path, w)
	if err != nil {
		return err
	}
	id, err := m.pass.register(sp.Fd())
	if err != nil {
		sp.Release()
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) {
			m.pass.disable(err) // the next one would fail alike
		}
		return err
	}
	h.spool, h.node.open.backing = sp, id
	return nil
}

// storedFlags are the open(2) flags that mean something for a stored file's own descriptor. O_DIRECT does not: our
// buffers are not the application's, and the kernel applies it itself on passthrough.
const storedFlags = unix.O_ACCMODE | unix.O_APPEND | unix.O_SYNC | unix.O_DSYNC

// openStored opens a file that is not captured: the kernel reads and writes the file below by itself where it can,
// else through the page cache and us. Called with the node's open.mu held.
func (m *Mount) openStored(h *handle, out *fuse.OpenOut) error {
	n := h.node
	fd, err := m.reopen(n, int(h.flags)&storedFlags)
	if err != nil {
		return err
	}
	if err := n.open.pin.hold(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		_ = unix.Close(fd)
		return err
	}
	h.fd = fd
	m.opens.add(record.Stored, whyStored)
	if n.open.count == 0 && m.pass.off() == nil {
		if id, err := m.pass.register(fd); err == nil {
			n.open.backing = id
		}
	}
	if n.open.backing != 0 {
		out.OpenFlags, out.BackingID = fuse.FOPEN_PASSTHROUGH, n.open.backing
	}
	return nil
}

// reopen opens n's file below, by descriptor when its name is gone.
func (m *Mount) reopen(n *node, flags int) (int, error) {
	if fd, err := n.open.pin.dup(); err == nil {
		defer unix.Close(fd)
		return unix.Open(procFd(fd), flags|unix.O_CLOEXEC, 0)
	}
	m.ns.RLock()
	defer m.ns.RUnlock()
	return m.openEntry(n.at, flags)
}

// Release answers the last close of a handle, in every process that shares it.
func (s *server) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	if h := s.handles.take(in.Fh); h != nil {
		s.release(h)
	}
}

// release ends a handle that has left the table.
func (m *Mount) release(h *handle) {
	m.locks.release(h.node.at.key, h.fh)
	h.node.open.mu.Lock()
	defer h.node.open.mu.Unlock()
	m.end(h)
}

// end gives back what open took. Called with the node's open.mu held.
func (m *Mount) end(h *handle) {
	n := h.node
	if h.spool != nil {
		h.spool.Release()
	}
	if h.log != nil {
		h.log.Release()
	}
	if n.kind == kindStored && h.fd >= 0 { // not when a predecessor's open could not be opened again
		_ = unix.Close(h.fd)
		n.open.pin.drop()
	}
	if n.open.count--; n.open.count == 0 && n.open.backing != 0 {
		m.pass.unregister(n.open.backing)
		n.open.backing = 0
	}
	h.drop()
}

// drop gives the descriptor below back.
func (h *handle) drop() {
	if h.held {
		h.node.file.drop()
	}
}
