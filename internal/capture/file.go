package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"ftfuse/internal/record"
)

// File is the captured side of one file below a mount.
type File struct {
	c     *Capture
	key   record.FileKey
	below func(flags int) (*os.File, error)

	mu       sync.Mutex // guards the rest; taken before wal.mu and raw.mu
	path     string
	view     view
	modified int64
	readback int64
	live     []*raw              // spools whose bytes may still grow
	used     map[uint64]spoolUse // what the spools were last told that the view needs
	dirty    bool                // view changed since the last housekeeping
	touched  bool                // or ever
	refs     int                 // held by the mount
	removed  bool
	belowRd  *os.File         // open while patches lie below
	hold     *os.File         // the file below, while others may write to it; closed under pickMu too
	mapped   map[uint64]int64 // bytes of raw spools that the view has had: of those that are not live, or not yet
	pickMeta *meta            // whose lines the file below holds; nil when they are not wanted
	pick     pickup           // what of the file below has been taken
	picker   *logHandle       // takes it, while the file is followed
	logged   logPos           // the last row of the log that view and pick know
	looked   time.Time        // when all live spools were looked at
	pickMu   sync.Mutex       // one picker at a time; taken before mu

	forgotten bool   // no longer in Capture.files
	followErr string // the follower's own
}

// Size returns the bytes that a reader sees.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return f.view.size
}

// ModTime returns the time of the last captured write in ns since 1970, 0 if there was none.
func (f *File) ModTime() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.modified
}

// look adds to the view what the kernel has appended to live spools. Called with mu held.
func (f *File) look() {
	for _, r := range f.live {
		f.lookAt(r)
	}
	f.looked = time.Now()
}

// lookAt adds what the kernel has appended to one spool. A spool that cannot be looked at is looked at again the next
// time. What nobody can read is not added. Called with mu held.
func (f *File) lookAt(r *raw) {
	size, err := r.size()
	if err != nil || size <= r.mapped {
		return
	}
	if !f.removed || f.refs > 0 {
		f.view.put(f.view.size, size-r.mapped, r.id, r.mapped)
	}
	r.mapped = size
	f.modified = time.Now().UnixNano()
	f.touch()
}

// lookSome is look for those who only want a good order: with many live spools not at every write.
func (f *File) lookSome() {
	if len(f.live) <= 8 || time.Since(f.looked) > time.Millisecond {
		f.look()
	}
}

// touch notes that the view has changed. Called with mu held.
func (f *File) touch() {
	f.touched = true
	if !f.dirty {
		f.dirty = true
		f.c.noteDirty(f)
	}
}

// ReadAt reads what has been written to the file. Offsets whose bytes have been given up give record.ErrGone.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	if off >= f.view.size {
		return 0, io.EOF
	}
	if off < f.view.base {
		return 0, fmt.Errorf("read %s at %d: %w: kept from %d on", f.path, off, record.ErrGone, f.view.base)
	}
	n := int(min(int64(len(p)), f.view.size-off))
	for done := 0; done < n; {
		i := f.view.find(off + int64(done))
		if i == len(f.view.patches) || f.view.patches[i].At > off+int64(done) {
			return done, fmt.Errorf("read %s at %d: %w", f.path, off+int64(done), record.ErrGone)
		}
		pt := f.view.patches[i]
		skip := off + int64(done) - pt.At
		part := p[done : done+int(min(int64(n-done), pt.Len-skip))]
		if err := f.readPatch(pt, skip, part); err != nil {
			return done, err
		}
		done += len(part)
	}
	return n, nil
}

// readPatch fills p from skip bytes into pt. Called with mu held.
func (f *File) readPatch(pt patch, skip int64, p []byte) error {
	switch pt.Spool {
	case inHole:
		clear(p)
		return nil
	case inBelow:
		if f.belowRd == nil {
			rd, err := f.below(os.O_RDONLY)
			if err != nil {
				return fmt.Errorf("read %s: %w", f.path, err)
			}
			f.belowRd = rd
		}
		if n, err := f.belowRd.ReadAt(p, pt.Off+skip); n < len(p) {
			return fmt.Errorf("read %s below the mount at %d: %w: %v", f.path, pt.Off+skip, record.ErrGone, err)
		}
		return nil
	}
	return f.c.readSpool(pt.Spool, pt.Off+skip, p)
}

// Truncate changes the size that readers see. Nothing captured is lost: what lies below the mount and has not been
// taken yet is taken first.
func (f *File) Truncate(size int64) error {
	f.pickMu.Lock()
	defer f.pickMu.Unlock()
	if err := f.c.pickUp(f, true); err != nil {
		return fmt.Errorf("truncate %s: %w", f.name(), err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	cut, err := f.truncateBelow(size)
	if err != nil {
		return fmt.Errorf("truncate %s: %w", f.path, err)
	}
	f.view.truncate(size)
	f.touch()
	// Else after a crash readers would see the old content again, and bytes written below later would count as taken.
	if err := f.c.views.save(f.saved(), cut); err != nil && cut {
		return fmt.Errorf("truncate %s: %w", f.path, err)
	}
	return nil
}

// truncateBelow cuts the file below the mount, whose bytes have all been taken. Called with pickMu and mu held.
func (f *File) truncateBelow(size int64) (cut bool, err error) {
	if f.pick.Size == 0 || size >= f.pick.Size {
		return false, nil
	}
	w, err := f.below(os.O_WRONLY)
	if err != nil {
		return false, err
	}
	if err = errors.Join(w.Truncate(size), w.Close()); err != nil {
		return false, err
	}
	f.pick.Size = size
	if f.pick.Taken > size {
		f.pick.Taken, f.pick.SumLen = size, 0
	}
	f.endPicker()
	return true, nil
}

// Sync brings everything captured of the file to disk.
func (f *File) Sync() error {
	f.mu.Lock()
	live := append([]*raw(nil), f.live...)
	f.mu.Unlock()
	var err error
	for _, r := range live {
		err = errors.Join(err, r.sync())
	}
	return errors.Join(err, f.c.log.sync())
}

// Renamed tells the new path, for messages.
func (f *File) Renamed(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.path = path
}

// Removed tells that the last name is gone.
func (f *File) Removed() {
	f.mu.Lock()
	f.removed = true
	f.mu.Unlock()
	f.c.drop(f)
}

// Close ends the mount's reference.
func (f *File) Close() {
	f.mu.Lock()
	f.refs--
	if f.belowRd != nil && f.refs == 0 {
		f.belowRd.Close() // read-only: nothing to lose
		f.belowRd = nil
	}
	f.mu.Unlock()
	f.c.drop(f)
}
