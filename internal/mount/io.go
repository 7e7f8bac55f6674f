package mount

import (
	"errors"
	"io"

	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Blocker may be implemented by a Log: it reports whether a Write would wait now. Without it every write under a
// rule with when_full: block is taken off the read loop.
type Blocker interface{ Blocked() bool }

// read fills p from off; less than len(p) is the end of the file.
func (m *Mount) read(fh uint64, p []byte, off int64) (int, fuse.Status) {
	h := m.handles.get(fh)
	switch {
	case h == nil:
		return 0, fuse.EBADF
	case h.node.file != nil:
		n, err := h.node.file.ReadAt(p, off)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return n, status(err)
	}
	n, err := preadAll(h.fd, p, off)
	return n, status(err)
}

func preadAll(fd int, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(fd, p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// write hands data of one WRITE on. It is the path of every captured write(2) and allocates nothing itself.
func (m *Mount) write(h *handle, in *fuse.WriteIn, data []byte) (int, fuse.Status) {
	m.counters.writes.Add(1)
	switch {
	case h.log != nil:
		if in.Unique&resendBit != 0 {
			if n, ok := h.log.Written(in.Unique &^ resendBit); ok {
				if !isSync(in) {
					return n, fuse.OK
				}
				return n, status(h.log.Sync())
			}
		}
		w := h.writer(m.o.Identifier, in.Pid, in.Uid, in.Gid)
		n, err := h.log.Write(data, int64(in.Offset), in.Flags&unix.O_APPEND != 0, isSync(in), w, in.Unique&^resendBit)
		if err != nil && n == 0 {
			return 0, status(err)
		}
		m.counters.written.Add(uint64(n))
		return n, fuse.OK
	case h.node.kind == kindStored:
		n, err := pwriteAll(h.fd, data, int64(in.Offset))
		if n == 0 {
			return 0, status(err)
		}
		return n, fuse.OK
	}
	return 0, fuse.EBADF
}

func isSync(in *fuse.WriteIn) bool { return in.Flags&(unix.O_SYNC|unix.O_DSYNC) != 0 }

func pwriteAll(fd int, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pwrite(fd, p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// mayWait reports whether a write can take long: to sync, or by the rule's policy for a full queue.
func (h *handle) mayWait(in *fuse.WriteIn) bool {
	if h.log == nil {
		return false
	}
	if isSync(in) {
		return true
	}
	if h.policy.WhenFull != record.Block {
		return false
	}
	b, ok := h.log.(Blocker)
	return !ok || b.Blocked()
}

// Fsync puts on disk what was captured through the handle, and through others of the file.
func (s *server) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := s.handles.get(in.Fh)
	switch {
	case h == nil:
		return fuse.EBADF
	case h.node.file == nil:
		return status(unix.Fsync(h.fd))
	case h.spool != nil:
		if err := h.spool.Sync(); err != nil {
			return status(err)
		}
	case h.log != nil:
		if err := h.log.Sync(); err != nil {
			return status(err)
		}
	}
	return status(h.node.file.Sync())
}

// Fallocate succeeds without effect on captured files: refused, glibc's posix_fallocate writes NULs into the log.
// What would change content (punching, collapsing) is refused.
func (s *server) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h := s.handles.get(in.Fh)
	switch {
	case h == nil:
		return fuse.EBADF
	case h.node.file == nil:
		return status(unix.Fallocate(h.fd, in.Mode, int64(in.Offset), int64(in.Length)))
	case in.Mode&^unix.FALLOC_FL_KEEP_SIZE != 0:
		return fuse.ENOTSUP
	}
	return fuse.OK
}

// Ioctl has none to offer; programs ask whether a file is a terminal.
func (s *server) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(unix.ENOTTY)
}

// Flush comes for handles that were answered without FOPEN_NOFLUSH, which there are none of.
func (s *server) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	if h := s.handles.get(in.Fh); h != nil {
		s.locks.flush(h.node.at.key, in.LockOwner)
	}
	return fuse.OK
}
