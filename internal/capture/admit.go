package capture

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

var errNoRoom = fmt.Errorf("%w: %w", record.ErrFull, unix.ENOSPC)

// room reports whether n more bytes fit in the limits. Only what has not been delivered counts: what is kept for readers
// makes way.
func (c *Capture) room(n int) bool {
	if c.o.MaxSize > 0 && c.o.Held()+c.use.unseen.Load()+c.pending.Load()+int64(n) > c.o.MaxSize {
		return false
	}
	return c.o.MinFree == 0 || c.use.free.Load() >= c.o.MinFree
}

// write takes p by the rule's policy for a full queue (DESIGN section 3.4).
func (l *Log) write(p []byte, off int64, app bool, w *record.Writer, unique uint64) error {
	c := l.f.c
	if !l.d.Send {
		return l.f.keep(p, off, app)
	}
	if l.d.WhenFull == record.DropOldest || c.room(len(p)) {
		err := l.append(p, off, app, w, unique)
		if !errors.Is(err, unix.ENOSPC) || l.d.WhenFull == record.DropOldest {
			return err
		}
	}
	switch l.d.WhenFull {
	case record.DropNewest:
		c.lose(l.h.meta.File, record.QueueFull, uint64(len(p)), l.h.meta.recordsIn(p))
		c.wakeUp()
		return nil
	case record.Local:
		return l.f.writeBelow(p)
	case record.Block:
		return l.wait(p, off, app, w, unique)
	}
	return errNoRoom
}

// wait tries until there is room, the rule's patience ends or nobody waits for the answer any more.
func (l *Log) wait(p []byte, off int64, app bool, w *record.Writer, unique uint64) error {
	end := time.NewTimer(l.d.Block)
	defer end.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-end.C:
			return errNoRoom
		case <-l.gone:
			return errNoRoom
		case <-again.C:
		}
		if l.f.c.room(len(p)) {
			if err := l.append(p, off, app, w, unique); !errors.Is(err, unix.ENOSPC) {
				return err
			}
		}
	}
}

// keep stores what a rule does not send, in a file whose earlier content is here: a rotated name, say. It goes to
// the end of the file below and is never picked up from there.
func (f *File) keep(p []byte, off int64, app bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookSome()
	w, err := f.below(os.O_WRONLY | os.O_APPEND)
	if err != nil {
		return fmt.Errorf("write below the mount: %w", err)
	}
	n, err := w.Write(p)
	err = errors.Join(err, w.Close())
	if app {
		off = f.view.size
	}
	f.view.put(off, int64(n), inBelow, f.pick.Size)
	if f.pick.Taken == f.pick.Size {
		f.pick.Taken += int64(n)
		f.pick.SumLen = 0
	}
	f.pick.Size += int64(n)
	f.modified = time.Now().UnixNano()
	f.touch()
	if err != nil {
		return fmt.Errorf("write below the mount: %w", err)
	}
	return nil
}

// writeBelow writes to the file below the mount, from where the bytes are picked up when there is room.
func (f *File) writeBelow(p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	w, err := f.below(os.O_WRONLY | os.O_APPEND)
	if err != nil {
		return fmt.Errorf("write below the mount: %w", err)
	}
	_, err = w.Write(p)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("write below the mount: %w", err)
	}
	f.modified = time.Now().UnixNano()
	err = f.lookBelow()
	f.c.noteFollow(f)
	return err
}
