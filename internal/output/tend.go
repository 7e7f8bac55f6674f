package output

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/ledger"
	"ftfuse/internal/notice"
)

const tendEvery = time.Minute

// Run compresses and removes rotated files, rotates idle files by age and closes idle ones, until ctx ends. One call at
// a time; without it appends go on, but rotated files stay as they are.
func (o *Output) Run(ctx context.Context) error {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		if err := o.tend(ctx); err != nil && ctx.Err() == nil {
			o.stats.fail(err)
			o.log(slog.LevelWarn, "rotated files could not be tended", notice.RotationFailed, slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.wake:
		case <-tick.C:
			o.sweep()
		}
	}
}

// tend looks after every rotated file once: retention first, so that nothing is compressed only to be removed.
func (o *Output) tend(ctx context.Context) error {
	files, err := o.closedFiles()
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if o.expired(&c) {
			errs = append(errs, o.discard(&c.Closed))
		} else if o.wantsPacking(&c.Closed) {
			errs = append(errs, o.pack(ctx, &c.Closed))
		}
	}
	return errors.Join(errs...)
}

// rotatedFile is a closed file with the number of newer ones of the same path.
type rotatedFile struct {
	ledger.Closed
	newer int
}

// closedFiles lists the rotated files, those of one path together, the newest first.
func (o *Output) closedFiles() (all []rotatedFile, err error) {
	err = o.o.Book.Closed(func(c ledger.Closed) bool { all = append(all, rotatedFile{Closed: c}); return true })
	slices.SortFunc(all, func(a, b rotatedFile) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(b.At, a.At), cmp.Compare(b.Name, a.Name))
	})
	for i := 1; i < len(all); i++ {
		if all[i].Path == all[i-1].Path {
			all[i].newer = all[i-1].newer + 1
		}
	}
	return all, err
}

func (o *Output) expired(c *rotatedFile) bool {
	r := &o.o.Rotate
	return r.Keep > 0 && c.newer >= r.Keep || r.KeepAge > 0 && o.o.now().UnixNano()-c.At > int64(r.KeepAge)
}

// discard removes a rotated file in whatever state it is.
func (o *Output) discard(c *ledger.Closed) error {
	if err := o.removeTemporary(c); err != nil {
		return err
	}
	if err := o.base.remove(c.Name, c.Key); err != nil {
		return err
	}
	if c.Suffix != "" {
		if err := o.base.remove(c.Name+c.Suffix, c.Packed); err != nil {
			return err
		}
	}
	o.o.step("removed")
	if err := o.o.Book.DropClosed(c); err != nil {
		return err
	}
	o.stats.removed.Add(1)
	o.log(slog.LevelInfo, "removed a rotated file", slog.String("file", c.Name+c.Suffix))
	return nil
}

// temporary is the name that a rotated file is compressed under, always the same, so that what a crash leaves is found.
func temporary(c *ledger.Closed) string {
	dir, last := path.Split(c.Name)
	return dir + shorten(ownName+strings.Repeat("~", maxName)+last, len(ownName)+hashLen)
}

func (o *Output) removeTemporary(c *ledger.Closed) error {
	dirfd, last, err := o.base.parent(temporary(c), false)
	if err == unix.ENOENT {
		return nil
	} else if err != nil {
		return err
	}
	defer unix.Close(dirfd)
	if err := unix.Unlinkat(dirfd, last, 0); err != unix.ENOENT {
		return err
	}
	return nil
}

// cleanPacking removes what a crash left half compressed.
func (o *Output) cleanPacking() error {
	var open []ledger.Closed
	err := o.o.Book.Closed(func(c ledger.Closed) bool {
		if c.Suffix == "" && !c.Done {
			open = append(open, c)
		}
		return true
	})
	for i := range open {
		if err == nil {
			err = o.removeTemporary(&open[i])
		}
	}
	return err
}
