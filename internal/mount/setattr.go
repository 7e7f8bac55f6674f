package mount

import (
	"fmt"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// SetAttr answers chmod, chown, truncate and utimens. The kernel has checked that the caller may (default_permissions).
func (s *server) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n := s.tree.node(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	fd, err := s.openAttr(n)
	if size, ok := in.GetSize(); ok && err == unix.ENOENT && n.file != nil {
		if err := n.file.Truncate(int64(size)); err != nil {
			return status(err)
		}
		s.attrOut(n, &n.st, out)
		return fuse.OK
	}
	if err != nil {
		return status(err)
	}
	defer unix.Close(fd)
	if err := s.change(n, fd, in); err != nil {
		return status(err)
	}
	st, err := statFd(fd)
	if err != nil {
		return status(err)
	}
	s.attrOut(n, &st, out)
	return fuse.OK
}

// change applies what in asks for to n, whose file below is open at fd, perhaps O_PATH. Owner before mode: chown
// clears the set-id bits.
func (m *Mount) change(n *node, fd int, in *fuse.SetAttrIn) error {
	uid, hasUID := in.GetUID()
	gid, hasGID := in.GetGID()
	if hasUID || hasGID {
		u, g := -1, -1
		if hasUID {
			u = int(uid)
		}
		if hasGID {
			g = int(gid)
		}
		if err := unix.Fchownat(fd, "", u, g, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("chown: %w", err)
		}
	}
	if mode, ok := in.GetMode(); ok {
		if err := unix.Chmod(procFd(fd), mode); err != nil { // fchmod(2) refuses O_PATH
			return fmt.Errorf("chmod: %w", err)
		}
	}
	if size, ok := in.GetSize(); ok {
		if err := m.truncate(n, fd, in, int64(size)); err != nil {
			return err
		}
	}
	return m.utimens(n, fd, in)
}

func (m *Mount) truncate(n *node, fd int, in *fuse.SetAttrIn, size int64) error {
	if n.file == nil {
		if h := m.handle(in.GetFh()); h != nil && h.fd >= 0 && h.flags&unix.O_ACCMODE != unix.O_RDONLY {
			return unix.Ftruncate(h.fd, size)
		}
		return unix.Truncate(procFd(fd), size)
	}
	if err := n.file.Truncate(size); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	return setTimes(fd, unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Nsec: unix.UTIME_NOW})
}

func (m *Mount) handle(fh uint64, ok bool) *handle {
	if !ok {
		return nil
	}
	return m.handles.get(fh)
}

func (m *Mount) utimens(n *node, fd int, in *fuse.SetAttrIn) error {
	at := stamp(in.Valid, fuse.FATTR_ATIME, fuse.FATTR_ATIME_NOW, in.Atime, in.Atimensec)
	mt := stamp(in.Valid, fuse.FATTR_MTIME, fuse.FATTR_MTIME_NOW, in.Mtime, in.Mtimensec)
	if at.Nsec == unix.UTIME_OMIT && mt.Nsec == unix.UTIME_OMIT {
		return nil
	}
	if n.file != nil && mt.Nsec != unix.UTIME_OMIT {
		n.file.Size() // makes the capture stage look at what the kernel has appended
		n.file.hide.Store(n.file.ModTime())
	}
	return setTimes(fd, at, mt)
}

func stamp(valid, set, now uint32, sec uint64, nsec uint32) unix.Timespec {
	switch {
	case valid&set == 0:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	case valid&now != 0:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	}
	return unix.Timespec{Sec: int64(sec), Nsec: int64(nsec)}
}

func setTimes(fd int, at, mt unix.Timespec) error {
	// AT_EMPTY_PATH is understood since Linux 5.8.
	if err := unix.UtimesNanoAt(fd, "", []unix.Timespec{at, mt}, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("utimens: %w", err)
	}
	return nil
}
