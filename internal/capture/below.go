package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"
)

// pickup is what is known of the bytes in the file below the mount. Guarded by File.mu.
type pickup struct {
	Size  int64 `json:"size"`  // bytes that readers of the mount see already
	Taken int64 `json:"taken"` // bytes that are in the log, or were told to be left
	// What the last bytes before Taken were. Other bytes there mean that the file was cut and written anew.
	Sum    uint32 `json:"sum,omitempty"`
	SumLen int64  `json:"sum_len,omitempty"` // 0: not known
}

const sumLen = 64

// PickUp takes the lines that lie in the file below the mount: written while nothing was mounted, or by programs
// that opened it before. The file is followed for as long as such a program holds it open. skip leaves what is
// there now where it is. path and d are the file's at this moment.
func (c *Capture) PickUp(f *File, d record.Decision, mount, path string, skip bool) error {
	f.mu.Lock()
	f.readback = max(f.readback, d.Readback)
	f.pickMeta = c.belowMeta(f, d, mount, path)
	if skip && f.pick.Taken == 0 {
		f.pick.Taken = f.pick.Size
		f.touch()
	}
	f.mu.Unlock()
	return c.followOnce(f)
}

func (c *Capture) belowMeta(f *File, d record.Decision, mount, path string) *meta {
	return &meta{Key: f.key, File: record.File{Mount: mount, Path: path, Rule: d.Rule, Unit: d.Unit},
		BootID: c.o.Source.BootID, MaxRecord: d.MaxRecord, MaxAge: int64(d.MaxAge), Readback: d.Readback, Below: true, framing: framingOf(d)}
}

// wantBelow has what a policy writes below the mount picked up by the rule's decision. Called with mu held.
func (f *File) wantBelow(d record.Decision, mount, path string) {
	if d.WhenFull == record.Local && f.pickMeta == nil {
		f.pickMeta = f.c.belowMeta(f, d, mount, path)
	}
}

// noteFollow has a file below the mount looked at until nobody can write to it. A descriptor is kept, because the
// file may be renamed or removed meanwhile. Called with File.mu held.
func (c *Capture) noteFollow(f *File) {
	if f.hold == nil {
		var err error
		if f.hold, err = f.below(os.O_RDONLY); err != nil && !errors.Is(err, unix.EAGAIN) {
			return // gone: nobody can open it any more either
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow[f] = true
}

// followBelow looks at the files below the mount that may still grow. The follower calls it.
func (c *Capture) followBelow() {
	c.mu.RLock()
	files := make([]*File, 0, len(c.follow))
	for f := range c.follow {
		files = append(files, f)
	}
	c.mu.RUnlock()
	for _, f := range files {
		err := c.followOnce(f)
		if err == nil {
			f.followErr = ""
		} else if f.followErr != err.Error() { // not five times a second
			f.followErr = err.Error()
			c.o.Logger.Error("file below the mount cannot be picked up", notice.PickUpFailed, "path", f.name(), "error", err)
		}
	}
}

// followOnce takes what is in the file below the mount, and sees to it that the file is followed for as long as
// anybody can write to it or something is left.
func (c *Capture) followOnce(f *File) error {
	f.pickMu.Lock()
	defer f.pickMu.Unlock()
	f.mu.Lock()
	if f.hold == nil {
		hold, err := f.below(os.O_RDONLY)
		if err != nil {
			f.mu.Unlock()
			switch {
			case errors.Is(err, os.ErrNotExist):
				return nil
			case errors.Is(err, unix.EAGAIN): // the kernel is taking another program's lease back
				c.mu.Lock()
				defer c.mu.Unlock()
				c.follow[f] = true
				return nil
			}
			return fmt.Errorf("pick up below the mount: %w", err)
		}
		f.hold = hold
	}
	hold := f.hold // closed under pickMu only
	f.mu.Unlock()
	busy, err := belowBusy(hold)
	err = errors.Join(err, c.pickUp(f, false))
	f.mu.Lock()
	defer f.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || busy || f.pick.Taken < f.pick.Size && f.pickMeta != nil {
		c.follow[f] = true
		return err
	}
	delete(c.follow, f)
	f.endHold()
	return nil
}

// endHold ends the following of a file. Called with pickMu, mu and Capture.mu held.
func (f *File) endHold() {
	if f.picker != nil {
		f.c.tail = append(f.c.tail, f.picker)
		f.picker = nil
		f.c.wakeUp()
	}
	if f.hold != nil {
		f.hold.Close() // read-only: nothing to lose
		f.hold = nil
	}
}

// belowBusy asks the kernel whether a program holds the file below the mount open for writing.
func belowBusy(hold *os.File) (bool, error) {
	fd := hold.Fd()
	if _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		if errors.Is(err, unix.EAGAIN) {
			return true, nil
		}
		return true, fmt.Errorf("lease %s below the mount: %w", hold.Name(), err)
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

func (f *File) name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.path
}

// lookBelow adds to the view what the file below the mount has that readers do not see yet. Called with mu held.
func (f *File) lookBelow() error {
	rd, done, err := f.openBelow()
	if errors.Is(err, unix.EAGAIN) { // another program has a lease: how much there is can be seen all the same
		rd, err = f.below(unix.O_PATH)
		done = func() { rd.Close() } // nothing to lose
	}
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("look at %s below the mount: %w", f.path, err)
	}
	defer done()
	return f.lookIn(rd)
}

func (f *File) lookIn(rd *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(rd.Fd()), &st); err != nil {
		return fmt.Errorf("look at %s below the mount: %w", f.path, err)
	}
	if f.replaced(rd) { // what is there was not there
		f.pick = pickup{Size: min(f.pick.Size, st.Size)}
		f.touch()
	}
	switch {
	case st.Size > f.pick.Size:
		f.view.put(f.view.size, st.Size-f.pick.Size, inBelow, f.pick.Size)
		f.pick.Size = st.Size
		f.touch()
	case st.Size < f.pick.Size: // cut by a program that does not use the mount: what follows is new
		if f.pick.Size = st.Size; f.pick.Taken > st.Size {
			f.pick.Taken, f.pick.SumLen = st.Size, 0
		}
		f.touch()
	}
	return nil
}

// leftBelow returns how many bytes in the file below are to be taken and are not yet.
func (f *File) leftBelow() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pickMeta == nil {
		return 0, nil
	}
	if err := f.lookBelow(); err != nil {
		return 0, err
	}
	return f.pick.Size - f.pick.Taken, nil
}

// replaced reports whether the bytes that were taken last are others now: the file was cut and has grown again since
// it was looked at, by a program that does not use the mount. Called with mu held.
func (f *File) replaced(rd *os.File) bool {
	n := f.pick.SumLen
	if n == 0 {
		return false
	}
	p := make([]byte, n)
	if _, err := rd.ReadAt(p, f.pick.Taken-n); err != nil {
		return false // shorter now, or not readable: seen elsewhere
	}
	return record.CRC(p) != f.pick.Sum
}

// pickUp copies what has not been taken from below the mount into the log. It stops when the queue is full,
// unless the bytes are about to be destroyed: then all is taken. Called with pickMu held.
func (c *Capture) pickUp(f *File, all bool) error {
	f.mu.Lock()
	rd, done, err := f.openBelow()
	if err != nil {
		f.mu.Unlock()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("pick up below the mount: %w", err)
	}
	defer done()
	err = f.lookIn(rd)
	todo, m := f.pick.Size-f.pick.Taken, f.pickMeta
	if err != nil || todo <= 0 || m == nil {
		f.mu.Unlock()
		return err
	}
	h, err := c.pickHandle(f, m)
	f.mu.Unlock()
	if err != nil {
		return err
	}
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

// pickHandle returns the handle that goes on where the file below is taken to: the same while the file is followed,
// so that a line which is written in two halves stays one. Called with pickMu and mu held.
func (c *Capture) pickHandle(f *File, m *meta) (*logHandle, error) {
	if h := f.picker; h != nil && h.pos == uint64(f.pick.Taken) {
		return h, nil
	}
	f.endPicker()
	own := *m
	own.ID, own.Opened, own.Start = c.newID(), time.Now().UnixNano(), uint64(f.pick.Taken)
	h, err := newLogHandle(&own)
	if err == nil {
		f.picker = h
	}
	return h, err
}

// endPicker ends the handle. Called with pickMu and mu held.
func (f *File) endPicker() {
	if f.picker != nil {
		f.c.later(f.picker)
		f.c.wakeUp()
		f.picker = nil
	}
}

// take writes bytes from below the mount to the log and notes it under one lock, so that saved views never know
// less than a log that has been read.
func (c *Capture) take(f *File, h *logHandle, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, at, _, err := c.log.write(h, p, -1, &h.meta.Writer, 0)
	if err != nil {
		return err
	}
	f.logged = at
	f.pick.Taken = int64(h.pos)
	tail := p[max(0, len(p)-sumLen):]
	f.pick.Sum, f.pick.SumLen = record.CRC(tail), int64(len(tail))
	f.touch()
	c.wakeUp()
	return nil
}
