package mount

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Unlink removes a name. Open handles go on.
func (s *server) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return s.take(in, name, 0)
}

// Rmdir removes an empty directory.
func (s *server) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return s.take(in, name, unix.AT_REMOVEDIR)
}

// lost tells the capture stage when the last name of a file has been taken away.
func (m *Mount) lost(was *intent) {
	if key, last := was.gone(); last {
		m.files.removed(key)
	}
}

// take takes a name away.
func (s *server) take(in *fuse.InHeader, name string, flags int) fuse.Status {
	s.ns.RLock()
	defer s.ns.RUnlock()
	parent, d, code := s.parent(in.NodeId)
	if code != fuse.OK {
		return code
	}
	defer d.close()
	was := intent{}
	st, err := statAt(d.fd, name)
	if p := s.keeper.again(in.Unique); err == unix.ENOENT && p != nil && p.Intent != nil {
		was = *p.Intent // our predecessor has done it
	} else if err != nil {
		return status(err)
	} else {
		was = intent{Src: KeyOf(&st), Last: isRegular(&st) && st.Nlink <= 1}
		s.keeper.intend(in.Unique, was)
		if err := unix.Unlinkat(d.fd, name, flags); err != nil {
			return status(err)
		}
		at("done", in.Opcode)
	}
	s.tree.remove(in.Unique, parent, name)
	s.lost(&was)
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
	was, err := s.move(in, d1, oldName, d2, newName)
	if err != nil {
		return status(err)
	}
	at("done", in.Opcode)
	if was.Src == was.Dst {
		return fuse.OK // two names of one file: rename(2) leaves both
	}
	exchange := in.Flags&unix.RENAME_EXCHANGE != 0
	s.files.renamed(s.tree.rename(in.Unique, from, oldName, to, newName, exchange))
	s.lost(&was)
	return fuse.OK
}

// move renames below the mount, unless a predecessor has done so for the same request, and says what was there.
func (s *server) move(in *fuse.RenameIn, d1 dir, oldName string, d2 dir, newName string) (intent, error) {
	src, srcErr := statAt(d1.fd, oldName)
	dst, dstErr := statAt(d2.fd, newName)
	if p := s.keeper.again(in.Unique); p != nil && p.Intent != nil && dstErr == nil && KeyOf(&dst) == p.Intent.Src {
		if srcErr == unix.ENOENT || srcErr == nil && KeyOf(&src) != p.Intent.Src {
			return *p.Intent, nil
		}
	}
	if srcErr != nil {
		return intent{}, srcErr
	}
	was := intent{Src: KeyOf(&src)}
	if dstErr == nil {
		was.Dst = KeyOf(&dst)
		was.Last = isRegular(&dst) && dst.Nlink <= 1 && in.Flags&unix.RENAME_EXCHANGE == 0
	}
	s.keeper.intend(in.Unique, was)
	return was, unix.Renameat2(d1.fd, oldName, d2.fd, newName, uint(in.Flags))
}
