package attach

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A dead mount of an earlier life is replaced without a moment in which the directory below is to be seen: else
// programs that open a file just then would write below the mount. The directory is opened beneath the dead mount, the
// new mount is attached beneath it (Linux 6.5), and only then is the dead one taken away.

// Below finds the directory to mount on and opens it, also beneath a dead mount of ours, and refuses a live one.
// It returns the path without symbolic links and a descriptor of the directory.
func Below(path string) (string, int, error) {
	real, err := resolve(path)
	if err != nil {
		return "", -1, fmt.Errorf("mount on %s: %w", path, err)
	}
	for range 100 {
		all, err := mountsAt(real)
		if err != nil {
			return "", -1, err
		}
		n := len(all)
		if n == 0 || all[n-1].FSType != FSType {
			fd, err := openDirectory(unix.AT_FDCWD, real)
			return real, fd, err
		}
		if !Dead(real) {
			return "", -1, fmt.Errorf("mount on %s: it is an ftfuse mount already: stop the sender that serves it, or unmount it: %w", real, unix.EBUSY)
		}
		if n == 1 {
			if fd, err := openUnder(real); err == nil {
				return real, fd, nil
			}
		}
		if err := unix.Unmount(real, unix.MNT_DETACH); err != nil {
			return "", -1, fmt.Errorf("take away the dead mount at %s: %w", real, err)
		}
	}
	return "", -1, fmt.Errorf("mount on %s: too many dead mounts there: unmount them by hand", path)
}

// resolve returns an absolute path without symbolic links. It does not look at an ftfuse mount that lies there: nobody
// may answer.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for range maxLinks {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		if top, err := topMount(path); err != nil || top != nil && top.FSType == FSType {
			return path, err
		}
		to, err := os.Readlink(path)
		switch {
		case errors.Is(err, unix.EINVAL): // no link
			return path, nil
		case err != nil:
			return "", err
		case !filepath.IsAbs(to):
			to = filepath.Join(dir, to)
		}
		path = to
	}
	return "", unix.ELOOP
}

// maxLinks is how many symbolic links are followed, as by the kernel (path_resolution(7)).
const maxLinks = 40

// A mount that is silent for as long as looks of them take counts as one that is served, though badly.
const (
	lookEvery = 100 * time.Millisecond
	looks     = 20
)

// Dead reports whether nobody serves the mount at path any more. Statfs asks the connection; what stat(2) says may
// come from the kernel's cache. While a mount's server is silent, the one who asks stays behind until it answers or
// this process ends: nothing else takes him out of the call.
func Dead(path string) bool {
	answer := make(chan error, 1)
	go func() {
		var st unix.Statfs_t
		answer <- unix.Statfs(path, &st)
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	return dead(answer, tick.C)
}

// dead waits for statfs's answer, by looks and not by the clock: a process that was frozen, or got no processor, finds all its time over
// when it goes on, and has not asked yet.
func dead(answer <-chan error, tick <-chan time.Time) bool {
	for range looks {
		select {
		case err := <-answer:
			return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.ECONNREFUSED)
		case <-tick:
		}
	}
	return false
}

// openUnder opens the directory that the mount at path hides: in a copy of the mount that holds it, which comes
// without what is mounted on it.
func openUnder(path string) (int, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, filepath.Dir(path), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open the tree that holds %s: %w", path, err)
	}
	defer unix.Close(tree)
	return openDirectory(tree, filepath.Base(path))
}

func openDirectory(at int, path string) (int, error) {
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOTDIR {
		var st unix.Stat_t
		if unix.Fstatat(at, path, &st, 0) == nil {
			return -1, fmt.Errorf("mount on %s: it is not a directory (mode %o): %w", path, st.Mode, err)
		}
	}
	if err != nil {
		return -1, fmt.Errorf("mount on %s: %w", path, err)
	}
	return fd, nil
}

// moveMountBeneath is MOVE_MOUNT_BENEATH of linux/mount.h.
const moveMountBeneath = 0x200

// place attaches mnt at path, instead of a dead mount if there is one.
func place(mnt int, path string) error {
	top, err := topMount(path)
	if err != nil {
		return err
	}
	dead := top != nil && top.FSType == FSType && Dead(path)
	if dead {
		err := unix.MoveMount(mnt, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH|moveMountBeneath)
		if gone := unix.Unmount(path, unix.MNT_DETACH); gone != nil {
			return fmt.Errorf("take away the dead mount at %s: %w", path, gone)
		}
		if err == nil {
			return nil
		} // an older kernel: there is a moment without a mount
	}
	if err := unix.MoveMount(mnt, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach the mount at %s: %w", path, err)
	}
	return nil
}

// Copy makes what root names in the mount at from visible at to as well, with flags of its own: a bind mount, instead of
// a dead one that is there. The server of from must answer.
func Copy(from, root, to string, flags Flags) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, filepath.Join(from, root), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("copy the mount at %s: %w", from, err)
	}
	defer unix.Close(fd)
	if err := SetFlags(fd, flags); err != nil {
		return fmt.Errorf("copy the mount at %s: %w", from, err)
	}
	return place(fd, to)
}
