package mount

import (
	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Holder may be implemented by a Capture: it reports whether it holds content of the file with that key. Then the file
// is read through it even where the rules only store, as a log that was rotated to a stored name is.
type Holder interface{ Holds(key record.FileKey) bool }

// Lookup answers with a fresh inode for a captured file and with the one inode of everything else.
func (s *server) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	s.ns.RLock()
	defer s.ns.RUnlock()
	parent, d, code := s.parent(in.NodeId)
	if code != fuse.OK {
		return code
	}
	defer d.close()
	st, err := statAt(d.fd, name)
	if err != nil {
		return status(err)
	}
	n, err := s.named(in.Unique, parent, name, &st)
	if err != nil {
		return status(err)
	}
	s.entryOut(n, &st, out)
	return fuse.OK
}

// parent returns a directory's entry and opens it below. Called with Mount.ns held.
func (m *Mount) parent(id uint64) (*entry, dir, fuse.Status) {
	n := m.tree.node(id)
	if n == nil {
		return nil, dir{}, fuse.ENOENT
	}
	d, err := m.openDir(n.at)
	return n.at, d, status(err)
}

// named returns a node for what name in parent was found to be, with one lookup more for a request. Called with
// Mount.ns held.
func (m *Mount) named(unique uint64, parent *entry, name string, st *unix.Statx_t) (*node, error) {
	e := m.tree.bind(parent, name, KeyOf(st))
	switch {
	case isDir(st):
		return m.tree.share(unique, e, kindDir, st), nil
	case !isRegular(st):
		return m.tree.share(unique, e, kindOther, st), nil
	}
	path, _ := m.tree.path(e)
	if !m.captured(e.key, path) {
		return m.tree.share(unique, e, kindStored, st), nil
	}
	f, err := m.files.acquire(m, e, path)
	if err != nil {
		m.tree.release(e)
		return nil, err
	}
	return m.tree.fresh(unique, e, f, path, st), nil
}

// captured reports whether the content of a regular file is the capture stage's: the rules send it, or it holds some.
func (m *Mount) captured(key record.FileKey, path string) bool {
	if m.o.Decider.Decide(m.o.Name, path).Send || m.files.holds(key) {
		return true
	}
	h, ok := m.o.Capture.(Holder)
	return ok && h.Holds(key)
}

// Forget takes lookups back when the kernel drops an inode.
func (s *server) Forget(id, count uint64) {
	n := s.tree.forget(id, count)
	if n != nil && n.file != nil {
		s.files.unref(n.file)
	}
}

// Readlink returns a symbolic link's target, which the kernel resolves.
func (s *server) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	n := s.tree.node(in.NodeId)
	if n == nil {
		return nil, fuse.ENOENT
	}
	fd, err := s.openAttr(n)
	if err != nil {
		return nil, status(err)
	}
	defer unix.Close(fd)
	buf := make([]byte, unix.PathMax)
	size, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return nil, status(err)
	}
	return buf[:size], fuse.OK
}

// StatFs shows the file system below.
func (s *server) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	var st unix.Statfs_t
	if err := unix.Fstatfs(s.below, &st); err != nil {
		return status(err)
	}
	out.Blocks, out.Bfree, out.Bavail = st.Blocks, st.Bfree, st.Bavail
	out.Files, out.Ffree = st.Files, st.Ffree
	out.Bsize, out.Frsize, out.NameLen = uint32(st.Bsize), uint32(st.Frsize), uint32(st.Namelen)
	return fuse.OK
}
