// Package attach makes FUSE superblocks and puts them where they are to be seen: at a directory, also instead of a dead
// mount, and away again.
package attach

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// FSType is what mount(8) and /proc/self/mountinfo show.
const FSType = "fuse.ftfuse"

// MaxRead is the largest READ that the kernel asks for, in bytes; who serves a mount has room for it.
const MaxRead = 1 << 20

// Attached is the superblock and the place where it is to be seen.
type Attached struct {
	path  string
	minor uint32 // of its device, which is also the connection's number in fusectl
}

// Superblock makes a FUSE superblock that fd serves and returns it as a mount that is nowhere attached. The INIT
// request waits in fd when it returns.
func Superblock(fd int, source string, ownerOnly bool) (int, error) {
	fs, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen fuse (Linux 5.2): %w", err)
	}
	defer unix.Close(fs)
	for _, kv := range [][2]string{
		{"source", source}, {"subtype", "ftfuse"}, {"fd", strconv.Itoa(fd)}, {"rootmode", "40000"},
		{"user_id", "0"}, {"group_id", "0"}, {"max_read", strconv.Itoa(MaxRead)},
	} {
		if err := unix.FsconfigSetString(fs, kv[0], kv[1]); err != nil {
			return -1, fmt.Errorf("fsconfig %s=%s: %w%s", kv[0], kv[1], err, kernelSays(fs))
		}
	}
	// allow_other alone would let everybody do everything: the kernel checks modes by default_permissions only.
	flags := []string{"default_permissions", "allow_other"}
	if ownerOnly {
		flags = flags[:1]
	}
	for _, flag := range flags {
		if err := unix.FsconfigSetFlag(fs, flag); err != nil {
			return -1, fmt.Errorf("fsconfig %s: %w%s", flag, err, kernelSays(fs))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("create the FUSE superblock: %w%s", err, kernelSays(fs))
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, fmt.Errorf("fsmount: %w%s", err, kernelSays(fs))
	}
	return mnt, nil
}

// Flags are the flags of a mount, MOUNT_ATTR_* of mount_setattr(2). Set and Clear together leave out what stays.
type Flags struct{ Set, Clear uint64 }

// SetFlags changes the flags of a mount that Superblock returned.
func SetFlags(mnt int, f Flags) error {
	return f.apply(mnt, "", unix.AT_EMPTY_PATH)
}

// Remount changes the flags of the ftfuse mount that is to be seen at path. It does not ask its server.
func Remount(path string, f Flags) error {
	real, err := resolve(path)
	if err != nil {
		return fmt.Errorf("remount %s: %w", path, err)
	}
	top, err := topMount(real)
	if err != nil {
		return err
	}
	if top == nil || top.FSType != FSType {
		return fmt.Errorf("remount %s: no ftfuse mount is to be seen there: %w", real, unix.EINVAL)
	}
	if err := f.apply(unix.AT_FDCWD, real, 0); err != nil {
		return fmt.Errorf("remount %s: %w", real, err)
	}
	return nil
}

func (f Flags) apply(at int, path string, how uint) error {
	if f == (Flags{}) {
		return nil
	}
	if err := unix.MountSetattr(at, path, how, &unix.MountAttr{Attr_set: f.Set, Attr_clr: f.Clear}); err != nil {
		return fmt.Errorf("set mount flags %#x, clear %#x (Linux 5.12): %w", f.Set, f.Clear, err)
	}
	return nil
}

// kernelSays returns the message that the kernel left in an fscontext, if any.
func kernelSays(fs int) string {
	var b [512]byte
	if n, err := unix.Read(fs, b[:]); err == nil && n > 0 {
		return " (" + strings.TrimSpace(string(b[:n])) + ")"
	}
	return ""
}

// At makes the mount visible at path, instead of a dead mount that is there. The caller keeps mnt, and closes it.
func At(mnt int, path string) (*Attached, error) {
	var st unix.Statx_t
	if err := unix.Statx(mnt, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		return nil, fmt.Errorf("stat the new mount: %w", err)
	}
	if err := place(mnt, path); err != nil {
		return nil, err
	}
	return &Attached{path, st.Dev_minor}, nil
}

// Found returns the ftfuse mount that is to be seen at path, as if At had just made it.
func Found(path string) (*Attached, error) {
	top, err := topMount(path)
	if err != nil {
		return nil, err
	}
	if top == nil || top.FSType != FSType {
		return nil, fmt.Errorf("find the mount at %s: no ftfuse mount is to be seen there: %w", path, unix.EINVAL)
	}
	return &Attached{path, top.minor}, nil
}

// Detach unmounts. While somebody has files open or stands in it, it tries again until wait is over, then takes
// the mount out of sight and ends the connection. It reports whether nobody was left.
func (a *Attached) Detach(wait time.Duration) (clean bool, err error) {
	deadline := time.Now().Add(wait)
	for {
		switch top, err := topMount(a.path); {
		case err != nil:
			return false, errors.Join(err, a.Abort())
		case top == nil || top.minor != a.minor:
			return false, a.Abort() // somebody else took it away, or mounted over it
		}
		err := unix.Unmount(a.path, unix.UMOUNT_NOFOLLOW)
		if err == nil {
			return true, nil
		}
		if err != unix.EBUSY || time.Now().After(deadline) {
			break
		}
		time.Sleep(20 * time.Millisecond) // the kernel does not tell when a mount is no longer busy
	}
	err = unix.Unmount(a.path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil {
		err = fmt.Errorf("unmount %s: %w", a.path, err)
	}
	return false, errors.Join(err, a.Abort())
}

// Abort ends the connection, wherever the mount is still seen: what waits for an answer fails with ECONNABORTED,
// open-capture handles go on writing. By a fusectl file system of our own, because /sys/fs/fuse/connections need
// not be mounted.
func (a *Attached) Abort() error {
	fs, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fsopen fusectl: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return fmt.Errorf("open fusectl: %w", err)
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("mount fusectl: %w", err)
	}
	defer unix.Close(mnt)
	fd, err := unix.Openat(mnt, fmt.Sprintf("%d/abort", a.minor), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil // the connection has ended
	}
	if err != nil {
		return fmt.Errorf("abort FUSE connection %d: %w", a.minor, err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("1"))
	return err
}
