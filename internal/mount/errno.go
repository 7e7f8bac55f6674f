package mount

import (
	"errors"
	"syscall"

	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// kinds is the one place where an error kind becomes what the application sees.
var kinds = []struct {
	err    error
	status fuse.Status
}{
	{record.ErrFull, fuse.Status(syscall.ENOSPC)},
	{record.ErrGone, fuse.EIO},
	{record.ErrCorrupt, fuse.EIO},
	{record.ErrRefused, fuse.EPERM},
	{record.ErrClosed, fuse.EIO},
}

// status returns the errno that err stands for: its kind's, or the one it wraps, else EIO.
func status(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.status
		}
	}
	var no syscall.Errno
	if errors.As(err, &no) && no != 0 {
		return fuse.Status(no)
	}
	return fuse.EIO
}
