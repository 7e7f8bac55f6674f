package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/attach"
	"ftfuse/internal/handover"
)

// mount does what the command line says and tells what it did.
func (c *command) mount(ctx context.Context) (said string, err error) {
	if c.options.remount {
		if c.options.ownerOnly {
			return "", usageError{errors.New("option owner_only: a mount that is there cannot become root's alone"), "unmount it and mount it again"}
		}
		if c.checkOnly {
			return "checked only", nil
		}
		return "flags changed", attach.Remount(c.where, c.options.flags)
	}
	if c.checkOnly {
		_, below, err := open(c.where)
		if err != nil {
			return "", err
		}
		return "checked only", below.Close()
	}
	dir, err := handOver(ctx, c.what, c.where, &c.options)
	return c.what + " is served at " + dir, err
}

// open opens the directory that a mount will hide.
func open(where string) (dir string, below *os.File, err error) {
	dir, fd, err := attach.Below(where)
	if err != nil {
		return "", nil, noPlace{err, where}
	}
	return dir, os.NewFile(uintptr(fd), dir), nil
}

// openLocked opens it for one helper at a time: two that both saw no mount would attach one on top of the other. The
// lock ends when it is closed.
func openLocked(ctx context.Context, where string) (dir string, below, lock *os.File, err error) {
	dir, lock, err = open(where)
	if err != nil {
		return "", nil, nil, err
	}
	for {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK {
			break
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			lock.Close()
			return "", nil, nil, fmt.Errorf("mount on %s: another mount.ftfuse has been at it since: %w", dir, handover.ErrNoAnswer)
		}
	}
	if err == nil { // what the one before has mounted is seen by this
		dir, below, err = open(where)
	}
	if err != nil {
		lock.Close()
		return "", nil, nil, err
	}
	return dir, below, lock, nil
}

// lockPause is how often a helper looks whether the one before it has ended.
const lockPause = 20 * time.Millisecond

// attempts is how often a sender is asked that ends meanwhile, and pause how long it gets to come back.
const (
	attempts = 5
	pause    = 300 * time.Millisecond
)

// handOver has a new mount served by the sender and attaches it. It returns the directory without symbolic links.
func handOver(ctx context.Context, name, where string, o *mountOptions) (dir string, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	dir, below, lock, err := openLocked(ctx, where)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	defer below.Close()
	for n := 1; ; n++ {
		err := handOverOnce(ctx, name, dir, below, o)
		if !errors.Is(err, handover.ErrEnded) || n == attempts {
			return dir, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return dir, err
		}
	}
}

// handOverOnce makes a superblock, and attaches it when the sender serves it. In any other case the superblock ends when
// its last descriptor is closed here, and with it what the sender may have begun to serve.
func handOverOnce(ctx context.Context, name, dir string, below *os.File, o *mountOptions) error {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/fuse: %w", err)
	}
	fuse := os.NewFile(uintptr(fd), "/dev/fuse")
	defer fuse.Close()
	mnt, err := attach.Superblock(fd, name, o.ownerOnly)
	if err != nil {
		return fmt.Errorf("mount on %s: %w", dir, err)
	}
	defer unix.Close(mnt)
	if err := attach.SetFlags(mnt, o.flags); err != nil {
		return fmt.Errorf("mount on %s: %w", dir, err)
	}
	r := handover.Request{Name: name, Dir: dir, Options: o.words, OwnerOnly: o.ownerOnly, Fuse: fuse, Below: below}
	if err := handover.Ask(ctx, o.socket, r); err != nil {
		return err
	}
	fuse.Close() // the sender has it: were it to end now, the connection must end too
	_, err = attach.At(mnt, dir)
	return err
}

// optionsOf reads what the flags of a mount were, for another one in its place.
func optionsOf(m *attach.Mount, o mountOptions) mountOptions {
	old, _ := parseOptions(m.Options, true) // all that mountinfo shows and that we do not know is not ours to set
	o.flags, o.words = old.flags, old.words
	for _, f := range flags { // what is not shown is not set, also what is set by default
		o.flags.Clear |= f.bits &^ o.flags.Set
	}
	o.flags.Clear |= unix.MOUNT_ATTR__ATIME
	o.ownerOnly = !slices.Contains(m.Super, "allow_other")
	return o
}
