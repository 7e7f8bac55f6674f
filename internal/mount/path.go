package mount

import (
	"strconv"
	"strings"
	"time"

	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
)

// beneath keeps every path below the directory: no "..", no symbolic link is followed (the kernel has resolved
// those of the mount by READLINK), no magic link. openat2(2), Linux 5.6.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// longest is the longest path handed to one openat2: PATH_MAX less room for the end.
const longest = unix.PathMax - 8

const statMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME

// dir is a directory below, open for *at system calls.
type dir struct {
	fd  int
	own bool // close must close fd
}

func (d dir) close() {
	if d.own {
		_ = unix.Close(d.fd)
	}
}

// openPath opens path, relative to the directory below, "" for itself. The caller closes the descriptor.
func (m *Mount) openPath(path string, flags int) (int, error) {
	at, own := m.below, false
	for len(path) > longest {
		i := strings.LastIndexByte(path[:longest], '/')
		if i <= 0 {
			break
		}
		fd, err := openBeneath(at, path[:i], unix.O_PATH|unix.O_DIRECTORY)
		dir{at, own}.close()
		if err != nil {
			return -1, err
		}
		at, own, path = fd, true, path[i+1:]
	}
	fd, err := openBeneath(at, path, flags)
	dir{at, own}.close()
	return fd, err
}

// openBeneath opens path below a directory. EAGAIN, but for O_PATH: another program has a lease on the file, which the kernel
// is taking back; see lease.go.
func openBeneath(at int, path string, flags int) (int, error) {
	if path == "" {
		path = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW), Resolve: beneath}
	if flags&unix.O_PATH == 0 {
		how.Flags |= unix.O_NOCTTY | unix.O_NONBLOCK // a fifo must not hold the daemon
	}
	for rest := time.Millisecond; ; {
		fd, err := unix.Openat2(at, path, &how)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN && rest <= longestRest:
			// A rename or mount went on somewhere meanwhile (openat2(2), RESOLVE_BENEATH), or somebody has a lease for a
			// moment, as our own follower does.
			time.Sleep(rest)
			rest *= 2
		default:
			return fd, err
		}
	}
}

// longestRest is the last rest between tries to open something that is about to be possible: Mount.ns may be held.
const longestRest = 4 * time.Millisecond

// openDir opens the directory that e stands for. Mount.ns is held, so that the path does not move.
func (m *Mount) openDir(e *entry) (dir, error) {
	if e.parent == nil {
		return dir{fd: m.below}, nil
	}
	path, live := m.tree.path(e)
	if !live {
		return dir{}, unix.ENOENT
	}
	fd, err := m.openPath(path, unix.O_PATH|unix.O_DIRECTORY)
	return dir{fd, true}, err
}

// procFd names an open descriptor as a path.
func procFd(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// openEntry opens e's file below and checks that it is still the one that was looked up: by its path, which
// may move meanwhile, hence the second try.
func (m *Mount) openEntry(e *entry, flags int) (int, error) {
	var err error
	for try := 0; try < 3; try++ {
		path, live := m.tree.path(e)
		if !live {
			return -1, unix.ENOENT
		}
		var fd int
		if fd, err = m.openPath(path, flags); err == unix.EAGAIN {
			return -1, err
		} else if err != nil {
			continue
		}
		var st unix.Statx_t
		if st, err = statFd(fd); err == nil && KeyOf(&st) == e.key {
			return fd, nil
		}
		_ = unix.Close(fd)
		if err == nil {
			err = unix.ENOENT
		}
	}
	return -1, err
}

func statFd(fd int) (unix.Statx_t, error) { return statAt(fd, "") }

// statAt stats name in the directory at fd, or fd itself for "".
func statAt(fd int, name string) (unix.Statx_t, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, name, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW, statMask, &st)
	return st, err
}

// KeyOf returns the key of a file whose statx asked for the basic fields and the birth time.
func KeyOf(st *unix.Statx_t) record.FileKey {
	k := record.FileKey{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		k.Birth = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return k
}

func isRegular(st *unix.Statx_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }
func isDir(st *unix.Statx_t) bool     { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// pinned is a descriptor that keeps an open file reachable after its name is gone, through dup.
type pinned struct {
	fd   int // -1: none
	uses int
}

func (p *pinned) dup() (int, error) {
	if p.uses == 0 {
		return -1, unix.ENOENT
	}
	return unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 0)
}

// hold counts one user; the first opens.
func (p *pinned) hold(open func() (int, error)) error {
	if p.uses == 0 {
		fd, err := open()
		if err != nil {
			return err
		}
		p.fd = fd
	}
	p.uses++
	return nil
}

func (p *pinned) drop() {
	if p.uses--; p.uses == 0 {
		_ = unix.Close(p.fd)
		p.fd = -1
	}
}
