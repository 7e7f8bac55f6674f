package mount

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Unlink removes a name. Open handles go on.
func (s *server) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
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
	if err := unix.Unlinkat(d.fd, name, 0); err != nil {
		return status(err)
	}
	s.tree.remove(parent, name)
	s.lost(&st)
	return fuse.OK
}

// lost tells the capture stage when the name that st was read from was the last one.
func (m *Mount) lost(st *unix.Statx_t) {
	if isRegular(st) && st.Nlink <= 1 {
		m.files.removed(KeyOf(st))
	}
}

// Rmdir removes an empty directory.
func (s *server) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	s.ns.RLock()
	defer s.ns.RUnlock()
	parent, d, code := s.parent(in.NodeId)
	if code != fuse.OK {
		return code
	}
	defer d.close()
	if err := unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR); err != nil {
		return status(err)
	}
	s.tree.remove(parent, name)
	return fuse.OK
}

// Rename moves a name, over an existing one unless RENAME_NOREPLACE, or exchanges two (RENAME_EXCHANGE). What is
// captured through handles that are open stays with the path that they were opened by.
func (s *server) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if in.Flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return fuse.EINVAL
	}
	s.ns.Lock()
	defer s.ns.Unlock()
	from, d1, code := s.parent(in.NodeId)
	if code != fuse.OK {
		return code
	}
	defer d1.close()
	to, d2, code := s.parent(in.Newdir)
	if code != fuse.OK {
		return code
	}
	defer d2.close()
	src, err := statAt(d1.fd, oldName)
	if err != nil {
		return status(err)
	}
	dst, dstErr := statAt(d2.fd, newName)
	if err := unix.Renameat2(d1.fd, oldName, d2.fd, newName, uint(in.Flags)); err != nil {
		return status(err)
	}
	if dstErr == nil && KeyOf(&src) == KeyOf(&dst) {
		return fuse.OK // two names of one file: rename(2) leaves both
	}
	exchange := in.Flags&unix.RENAME_EXCHANGE != 0
	s.files.renamed(s.tree.rename(from, oldName, to, newName, exchange))
	if dstErr == nil && !exchange {
		s.lost(&dst)
	}
	return fuse.OK
}
