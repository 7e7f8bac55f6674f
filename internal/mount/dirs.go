package mount

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// OpenDir opens the directory below for reading.
func (s *server) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n := s.tree.node(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	s.ns.RLock()
	fd, err := s.openEntryDir(n.at)
	s.ns.RUnlock()
	if err != nil {
		return status(err)
	}
	h := &handle{node: n, flags: in.Flags, fd: fd}
	if err := s.handles.put(in.Unique, h); err != nil {
		_ = unix.Close(fd)
		return status(err)
	}
	out.Fh = h.fh
	return fuse.OK
}

func (m *Mount) openEntryDir(e *entry) (int, error) {
	path, live := m.tree.path(e)
	if !live {
		return -1, unix.ENOENT
	}
	return m.openPath(path, unix.O_RDONLY|unix.O_DIRECTORY)
}

// ReadDir lists the directory below, "." and ".." included, with its own offsets, so that seekdir(3) works.
func (s *server) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	h := s.handles.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	h.dir.Lock()
	defer h.dir.Unlock()
	if pos := int64(in.Offset); pos != h.dirPos {
		if err := h.seek(pos); err != nil {
			return status(err)
		}
	}
	var buf [16 << 10]byte
	for added := false; ; {
		size, err := unix.Getdents(h.fd, buf[:])
		if err != nil {
			return status(err)
		}
		if size == 0 {
			return fuse.OK
		}
		for rest := buf[:size]; len(rest) > 0; {
			var e fuse.DirEntry
			rest = rest[e.Parse(rest):]
			if !out.AddDirEntry(e) {
				if !added {
					return fuse.EINVAL // the reader's buffer is smaller than one name, as getdents(2)
				}
				return status(h.seek(int64(out.Offset)))
			}
			added = true
			h.dirPos = int64(e.Off)
		}
	}
}

// seek sets where the next getdents64 starts. Called with h.dir held.
func (h *handle) seek(pos int64) error {
	if _, err := unix.Seek(h.fd, pos, unix.SEEK_SET); err != nil {
		return err
	}
	h.dirPos = pos
	return nil
}

// ReleaseDir ends what OpenDir began.
func (s *server) ReleaseDir(in *fuse.ReleaseIn) {
	if h := s.handles.take(in.Fh); h != nil {
		_ = unix.Close(h.fd)
	}
}

// FsyncDir puts the directory below on disk.
func (s *server) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := s.handles.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return status(unix.Fsync(h.fd))
}
