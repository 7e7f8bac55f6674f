package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"ftfuse/internal/mount"
	"ftfuse/internal/record"
)

// pickUpBelow walks the directory below a mount and hands over the files that rules send: what was written there
// while nothing was mounted. root is a descriptor of that directory. It runs beside the mount, and goes on
// past files that fail.
func (s *sender) pickUpBelow(ctx context.Context, m *mounted) error {
	first, err := s.firstTime(m.name)
	if err != nil {
		return err
	}
	skip := first && m.existing == "skip"
	var failed []error
	err = walk(ctx, m.root, ".", func(name string, key record.FileKey) {
		d := s.ruling.Load().matcher.Decide(m.name, name)
		if !d.Send {
			return
		}
		f, err := s.capture.FileBelow(key, name, sameFile(m.root, name, key))
		if err == nil {
			err = s.capture.PickUp(f, d, m.name, name, skip)
			f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	})
	if err := errors.Join(append(failed, err)...); err != nil {
		return fmt.Errorf("pick up below mount %s: %w", m.name, err)
	}
	return s.rememberMount(m.name)
}

// opener opens a file below the mount by its name there, without following links.
func opener(root int, name string) func(flags int) (*os.File, error) {
	return func(flags int) (*os.File, error) {
		how := unix.OpenHow{Flags: uint64(flags | unix.O_NOFOLLOW | unix.O_CLOEXEC),
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := unix.Openat2(root, name, &how)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// sameFile is opener for as long as the name is the file's.
func sameFile(root int, name string, key record.FileKey) func(flags int) (*os.File, error) {
	open := opener(root, name)
	return func(flags int) (*os.File, error) {
		f, err := open(flags)
		if err != nil {
			return nil, err
		}
		var st unix.Statx_t
		err = unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st)
		if err == nil && mount.KeyOf(&st) != key {
			err = unix.ENOENT
		}
		if err != nil {
			return nil, errors.Join(&os.PathError{Op: "open", Path: name, Err: err}, f.Close())
		}
		return f, nil
	}
}

// walk calls found for every regular file under dir.
func walk(ctx context.Context, root int, dir string, found func(name string, key record.FileKey)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d, err := opener(root, dir)(unix.O_RDONLY | unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	entries, err := d.ReadDir(-1)
	fd := int(d.Fd())
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		var st unix.Statx_t
		if unix.Statx(fd, e.Name(), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st) != nil {
			continue // gone since it was listed
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			err = errors.Join(err, walk(ctx, root, name, found))
		case unix.S_IFREG:
			found(name, mount.KeyOf(&st))
		}
	}
	return errors.Join(err, d.Close())
}
