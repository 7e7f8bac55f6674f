package mount

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// dirValid is how long the kernel may keep a directory's or symbolic link's name and attributes. Nothing that this
// mount does goes stale by it; what others do to the directory below shows that much later.
const dirValid = time.Second

// fill writes what stat(2) shows: the file below's attributes, for a captured file (f not nil) with its
// captured size and time, and the mount's owner and mode where they are set.
func (m *Mount) fill(a *fuse.Attr, st *unix.Statx_t, f *file) {
	a.Ino, a.Size, a.Blocks = st.Ino, st.Size, st.Blocks
	a.Atime, a.Atimensec = uint64(st.Atime.Sec), st.Atime.Nsec
	a.Mtime, a.Mtimensec = uint64(st.Mtime.Sec), st.Mtime.Nsec
	a.Ctime, a.Ctimensec = uint64(st.Ctime.Sec), st.Ctime.Nsec
	a.Mode, a.Nlink, a.Uid, a.Gid = uint32(st.Mode), st.Nlink, st.Uid, st.Gid
	a.Rdev = uint32(unix.Mkdev(st.Rdev_major, st.Rdev_minor))
	a.Blksize = st.Blksize
	if f != nil {
		m.fillCaptured(a, f)
	}
	m.override(a)
}

func (m *Mount) fillCaptured(a *fuse.Attr, f *file) {
	a.Size = uint64(f.Size())
	a.Blocks = (a.Size + 511) / 512
	t := f.ModTime()
	if t <= f.hide.Load() {
		return
	}
	if below := int64(a.Mtime)*1e9 + int64(a.Mtimensec); t > below {
		a.Mtime, a.Mtimensec = uint64(t/1e9), uint32(t%1e9)
	}
	if below := int64(a.Ctime)*1e9 + int64(a.Ctimensec); t > below {
		a.Ctime, a.Ctimensec = uint64(t/1e9), uint32(t%1e9)
	}
}

// override shows the mount's uid, gid and umask instead of the file's. Files get 0666 less the umask
// and keep the execute bits that the umask leaves, directories 0777 less the umask.
func (m *Mount) override(a *fuse.Attr) {
	if m.o.UID != nil {
		a.Uid = *m.o.UID
	}
	if m.o.GID != nil {
		a.Gid = *m.o.GID
	}
	if m.o.Umask == nil || a.Mode&unix.S_IFMT == unix.S_IFLNK {
		return
	}
	perm := 0o666 | a.Mode&0o111
	if a.Mode&unix.S_IFMT == unix.S_IFDIR {
		perm = 0o777
	}
	a.Mode = a.Mode&unix.S_IFMT | perm&^*m.o.Umask
}

// entryOut answers an operation that names n.
func (m *Mount) entryOut(n *node, st *unix.Statx_t, out *fuse.EntryOut) {
	out.NodeId = n.id
	m.fill(&out.Attr, st, n.file)
	if n.kind == kindDir || n.kind == kindOther {
		out.SetEntryTimeout(dirValid)
		out.SetAttrTimeout(dirValid)
	}
}

// openAttr returns an O_PATH or other descriptor of what n stands for, for the caller to close.
func (m *Mount) openAttr(n *node) (int, error) {
	if n.id == rootID {
		return unix.FcntlInt(uintptr(m.below), unix.F_DUPFD_CLOEXEC, 0)
	}
	if n.file != nil {
		if fd, err := n.file.dup(); err == nil {
			return fd, nil
		}
	}
	if fd, err := n.open.dup(); err == nil {
		return fd, nil
	}
	m.ns.RLock()
	defer m.ns.RUnlock()
	return m.openEntry(n.at, unix.O_PATH)
}

// GetAttr answers stat(2), fstat(2) and the look at the end of the file that lseek(SEEK_END) takes.
func (s *server) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n := s.tree.node(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	fd, err := s.openAttr(n)
	if err == unix.ENOENT && n.id != rootID { // its name is gone; the kernel asks before an OPEN, too
		st := n.st
		st.Nlink = 0
		s.attrOut(n, &st, out)
		return fuse.OK
	}
	if err != nil {
		return status(err)
	}
	defer unix.Close(fd)
	st, err := statFd(fd)
	if err != nil {
		return status(err)
	}
	s.attrOut(n, &st, out)
	return fuse.OK
}

func (m *Mount) attrOut(n *node, st *unix.Statx_t, out *fuse.AttrOut) {
	m.fill(&out.Attr, st, n.file)
	if n.kind == kindDir {
		out.SetTimeout(dirValid)
	}
}
