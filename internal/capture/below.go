package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// pickup is what is known of the bytes in the file below the mount. Guarded by File.mu.
type pickup struct {
	Size  int64 `json:"size"`  // bytes that readers of the mount see already
	Taken int64 `json:"taken"` // bytes that are in the log, or were told to be left
}

// PickUp takes the lines that lie in the file below the mount: written while nothing was mounted, or by programs
// that opened it before. The file is followed for as long as such a program holds it open. skip leaves what is
// there now where it is. path and d are the file's at this moment.
func (c *Capture) PickUp(f *File, d record.Decision, mount, path string, skip bool) error {
	f.mu.Lock()
	f.readback = max(f.readback, d.Readback)
	f.pickMeta = &meta{Key: f.key, File: record.File{Mount: mount, Path: path, Rule: d.Rule, Unit: d.Unit},
		BootID: c.o.Source.BootID, MaxRecord: d.MaxRecord, MaxAge: int64(d.MaxAge), Readback: d.Readback, Below: true}
	if skip && f.pick.Taken == 0 {
		f.pick.Taken = f.pick.Size
	}
	f.mu.Unlock()
	if err := c.pickUp(f, false); err != nil {
		return err
	}
	f.mu.Lock()
	c.noteFollow(f)
	f.mu.Unlock()
	return nil
}

// noteFollow has a file below the mount looked at until nobody can write to it. A descriptor is kept, because the
// file may be renamed or removed meanwhile. Called with File.mu held.
func (c *Capture) noteFollow(f *File) {
	if f.hold == nil {
		var err error
		if f.hold, err = f.below(os.O_RDONLY); err != nil {
			return // gone: nobody can open it any more either
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.follow, f) {
		c.follow = append(c.follow, f)
	}
}

// followBelow looks at the files below the mount that may still grow. The follower calls it.
func (c *Capture) followBelow() {
	c.mu.RLock()
	files := slices.Clone(c.follow)
	c.mu.RUnlock()
	for _, f := range files {
		busy, err := c.belowBusy(f)
		if err == nil {
			err = c.pickUp(f, false)
		}
		if err != nil {
			c.o.Logger.Error("file below the mount cannot be picked up", "path", f.name(), "error", err)
		} else if !busy {
			c.unfollow(f)
		}
	}
}

// unfollow ends the following of a file that nobody else can write to and that is taken to its end.
func (c *Capture) unfollow(f *File) {
	f.pickMu.Lock()
	defer f.pickMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pick.Taken < f.pick.Size && f.pickMeta != nil {
		return
	}
	f.hold.Close() // read-only: nothing to lose
	f.hold = nil
	c.mu.Lock()
	c.follow = slices.DeleteFunc(c.follow, func(o *File) bool { return o == f })
	c.mu.Unlock()
}

// belowBusy asks the kernel whether a program holds the file below the mount open for writing.
func (c *Capture) belowBusy(f *File) (bool, error) {
	fd := f.hold.Fd() // this goroutine alone closes it
	if _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		if errors.Is(err, unix.EAGAIN) {
			return true, nil
		}
		return false, fmt.Errorf("lease %s below the mount: %w", f.name(), err)
	}
	_, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
	return false, err
}

// openBelow returns a reader of the file below, and what to call when done with it. Called with mu held.
func (f *File) openBelow() (*os.File, func(), error) {
	if f.hold != nil {
		return f.hold, func() {}, nil
	}
	rd, err := f.below(os.O_RDONLY)
	return rd, func() { rd.Close() }, err // read-only: nothing to lose
}

// take writes bytes from below the mount to the log and notes it under one lock, so that saved views never know
// less than a log that has been read.
func (c *Capture) take(f *File, h *logHandle, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, _, err := c.log.write(h, p, -1, &h.meta.Writer, 0); err != nil {
		return err
	}
	c.bytesIn.Add(int64(len(p)))
	f.pick.Taken = int64(h.pos)
	f.touch()
	c.wakeUp()
	return nil
}

func (f *File) name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.path
}

// lookBelow adds to the view what the file below the mount has that readers do not see yet. Called with mu held.
func (f *File) lookBelow() error {
	var st unix.Stat_t
	rd, done, err := f.openBelow()
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("look at %s below the mount: %w", f.path, err)
	}
	defer done()
	if err := unix.Fstat(int(rd.Fd()), &st); err != nil {
		return fmt.Errorf("look at %s below the mount: %w", f.path, err)
	}
	switch {
	case st.Size > f.pick.Size:
		f.view.put(f.view.size, st.Size-f.pick.Size, inBelow, f.pick.Size)
		f.pick.Size = st.Size
		f.touch()
	case st.Size < f.pick.Size: // cut by a program that does not use the mount: what follows is new
		f.pick.Size, f.pick.Taken = st.Size, min(f.pick.Taken, st.Size)
		f.touch()
	}
	return nil
}

// pickUp copies what has not been taken from below the mount into the log. It stops when the queue is full,
// unless the bytes are about to be destroyed: then all is taken.
func (c *Capture) pickUp(f *File, all bool) error {
	f.pickMu.Lock()
	defer f.pickMu.Unlock()
	f.mu.Lock()
	err := f.lookBelow()
	todo, m := f.pick.Size-f.pick.Taken, f.pickMeta
	if err != nil || todo <= 0 || m == nil {
		f.mu.Unlock()
		return err
	}
	rd, done, err := f.openBelow()
	f.mu.Unlock()
	if err != nil {
		return err
	}
	defer done()
	h, err := c.belowHandle(f, m)
	if err != nil {
		return err
	}
	defer c.endBelow(h)
	buf := make([]byte, min(todo, 1<<20))
	for todo > 0 && (all || c.room(len(buf))) {
		n, err := rd.ReadAt(buf[:min(todo, int64(len(buf)))], int64(h.pos))
		if n == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("pick up below the mount: %w", err)
		}
		if err := c.take(f, h, buf[:n]); err != nil {
			return fmt.Errorf("pick up below the mount: %w", err)
		}
		todo -= int64(n)
	}
	return nil
}

func (c *Capture) belowHandle(f *File, m *meta) (*logHandle, error) {
	own := *m
	own.ID, own.Opened = c.newID(), time.Now().UnixNano()
	f.mu.Lock()
	own.Start = uint64(f.pick.Taken)
	f.mu.Unlock()
	return newLogHandle(&own)
}

func (c *Capture) endBelow(h *logHandle) {
	if h.pos > h.meta.Start && c.log.finish(h) != nil {
		c.later(h)
	}
}
