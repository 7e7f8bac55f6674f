package output

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// base is a directory below which names are opened, made, renamed and removed. Nothing leads out of it: openat2(2)
// refuses symbolic links and dot-dot on the way, whoever made them. Needs Linux 5.6.
type base struct {
	fd       int
	dir      string
	fileMode uint32
	dirMode  uint32
	disk     bool // fsync a directory after a name in it was made or renamed
	// synced are the directories whose own names are known to be on the disk: made durable in this life, as a
	// life before may have been killed between making a name and that.
	synced map[string]bool
	mu     sync.Mutex // guards synced
}

// errOdd is a name that cannot be a file below the base: a directory or a symbolic link is in the way, or it is too long.
var errOdd = errors.New("name cannot be used")

func openBase(dir string, fileMode, dirMode os.FileMode, disk bool) (*base, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open base %s: %w", dir, err)
	}
	b := &base{fd: fd, dir: dir, fileMode: uint32(fileMode.Perm()), dirMode: uint32(dirMode.Perm()), disk: disk, synced: map[string]bool{}}
	probe, err := b.openat(fd, ".", unix.O_PATH, 0)
	if err != nil {
		b.close()
		return nil, fmt.Errorf("open base %s: openat2 (Linux 5.6 or newer is needed): %w", dir, err)
	}
	unix.Close(probe)
	return b, nil
}

func (b *base) close() error { return unix.Close(b.fd) }

func (b *base) openat(dirfd int, name string, flags, mode uint32) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW),
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for range 100 {
		fd, err := unix.Openat2(dirfd, name, &how)
		if err != unix.EINTR && err != unix.EAGAIN { // EAGAIN: something was renamed while the path was walked
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

// open opens name for appending. With make it creates it and the directories on the way.
func (b *base) open(name string, make bool) (int, error) {
	const flags = unix.O_RDWR | unix.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY
	for range 10 {
		fd, err := b.openat(b.fd, name, flags, 0)
		if err == nil && make {
			err = b.syncUp(fd, path.Dir(name))
		}
		if err != unix.ENOENT || !make {
			return fd, odd(name, err)
		}
		dirfd, last, err := b.parent(name, true)
		if err != nil {
			return -1, odd(name, err)
		}
		fd, err = b.openat(dirfd, last, flags|unix.O_CREAT|unix.O_EXCL, b.fileMode)
		if err == nil {
			if err = unix.Fchmod(fd, b.fileMode); err == nil && b.disk {
				err = unix.Fsync(dirfd)
			}
			if err != nil {
				unix.Close(fd)
			}
		}
		unix.Close(dirfd)
		if err != unix.EEXIST {
			return fd, odd(name, err)
		}
	}
	return -1, fmt.Errorf("open %s: it comes and goes", name)
}

// syncUp makes the names of dir and of all above it durable, once. On an error it closes fd.
func (b *base) syncUp(fd int, dir string) error {
	const most = 10000
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.synced) > most {
		clear(b.synced)
	}
	for ; b.disk && !b.synced[dir]; dir = path.Dir(dir) {
		d, err := b.openat(b.fd, dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err == nil {
			err = unix.Fsync(d)
			unix.Close(d)
		}
		if err != nil {
			unix.Close(fd)
			return err
		}
		b.synced[dir] = true
	}
	return nil
}

// odd marks the errors that another name would cure.
func odd(name string, err error) error {
	switch err {
	case nil:
		return nil
	case unix.ELOOP, unix.ENOTDIR, unix.EISDIR, unix.ENAMETOOLONG, unix.ENXIO, unix.EXDEV, unix.EINVAL:
		return fmt.Errorf("open %s: %w: %w", name, errOdd, err)
	}
	return fmt.Errorf("open %s: %w", name, err)
}

// parent opens the directory that name lies in; with make it makes what is missing.
func (b *base) parent(name string, make bool) (int, string, error) {
	dir, last := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	if dir == "" {
		dir = "."
	}
	fd, err := b.openat(b.fd, dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != unix.ENOENT || !make {
		return fd, last, err
	}
	cur, err := b.openat(b.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	for part := range strings.SplitSeq(dir, "/") {
		if err != nil {
			return -1, last, err
		}
		var next int
		next, err = b.mkdir(cur, part)
		unix.Close(cur)
		cur = next
	}
	return cur, last, err
}

// mkdir opens part below dirfd, making it when it is missing.
func (b *base) mkdir(dirfd int, part string) (int, error) {
	err := unix.Mkdirat(dirfd, part, b.dirMode)
	made := err == nil
	if err != nil && err != unix.EEXIST {
		return -1, err
	}
	fd, err := b.openat(dirfd, part, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil || !made {
		return fd, err
	}
	if err = unix.Fchmod(fd, b.dirMode); err == nil && b.disk { // whatever the umask is
		err = unix.Fsync(dirfd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// state is what a file is at one moment.
type state struct {
	key     record.FileKey
	size    int64
	links   uint32
	regular bool
}

// stat says what name leads to.
func (b *base) stat(name string) (state, error) {
	fd, err := b.openat(b.fd, name, unix.O_PATH, 0)
	if err != nil {
		return state{}, err
	}
	defer unix.Close(fd)
	return fdState(fd)
}

func fdState(fd int) (state, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st)
	if err != nil {
		return state{}, err
	}
	s := state{size: int64(st.Size), links: st.Nlink, regular: st.Mode&unix.S_IFMT == unix.S_IFREG}
	s.key = record.FileKey{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		s.key.Birth = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return s, nil
}

// rename gives from the name to in the same directory; it never replaces anything.
func (b *base) rename(from, to string) error {
	dirfd, last, err := b.parent(from, false)
	if err != nil {
		return err
	}
	defer unix.Close(dirfd)
	if err := unix.Renameat2(dirfd, last, dirfd, path.Base(to), unix.RENAME_NOREPLACE); err != nil {
		return err
	}
	if b.disk {
		return unix.Fsync(dirfd)
	}
	return nil
}

// remove removes name when it still is the file with that key; one that is gone already is no error.
func (b *base) remove(name string, key record.FileKey) error {
	dirfd, last, err := b.parent(name, false)
	if err == unix.ENOENT {
		return nil
	} else if err != nil {
		return err
	}
	defer unix.Close(dirfd)
	s, err := b.stat(name)
	if err == unix.ENOENT || err == nil && s.key != key {
		return nil
	} else if err != nil {
		return err
	}
	return unix.Unlinkat(dirfd, last, 0)
}

// find looks for a file by its identity among the names next to name.
func (b *base) find(name string, key record.FileKey) (string, bool) {
	const most = 10000 // names looked at: after a crash only
	dirfd, _, err := b.parent(name, false)
	if err != nil {
		return "", false
	}
	d := os.NewFile(uintptr(dirfd), name)
	defer d.Close()
	names, _ := d.Readdirnames(most)
	for _, n := range names {
		var st unix.Stat_t
		if unix.Fstatat(dirfd, n, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Ino != key.Ino {
			continue
		}
		full := path.Join(path.Dir(name), n)
		if s, err := b.stat(full); err == nil && s.key == key && s.regular {
			return full, true
		}
	}
	return "", false
}
