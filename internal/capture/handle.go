package capture

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"ftfuse/internal/record"
)

func (c *Capture) newMeta(f *File, d record.Decision, mount, path string, w *record.Writer) *meta {
	return &meta{
		ID: c.newID(), Key: f.key, File: record.File{Mount: mount, Path: path, Rule: d.Rule, Unit: d.Unit},
		Writer: *w, BootID: c.o.Source.BootID, Opened: time.Now().UnixNano(),
		MaxRecord: d.MaxRecord, MaxAge: int64(d.MaxAge), Readback: d.Readback,
		framing: framingOf(d),
	}
}

// Spool is one open-capture handle.
type Spool struct {
	c *Capture
	r *raw
}

// OpenSpool begins an open-capture handle: from now on the kernel appends to the spool.
func (f *File) OpenSpool(d record.Decision, mount, path string, w *record.Writer) (*Spool, error) {
	m := f.c.newMeta(f, d, mount, path, w)
	if err := f.c.reserveSpool(); err != nil {
		return nil, err
	}
	r, err := createRaw(f.c.o.Dir, m)
	if err != nil {
		f.c.use.open.Add(-1)
		return nil, err
	}
	r.file = f
	f.mu.Lock()
	f.live = append(f.live, r)
	f.readback = d.Readback
	f.mu.Unlock()
	f.c.addRaw(r)
	return &Spool{f.c, r}, nil
}

// Fd returns the read-only descriptor to register as backing file.
func (s *Spool) Fd() int {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return int(s.r.rd.Fd())
}

// Sync brings the handle's bytes to disk.
func (s *Spool) Sync() error { return s.r.sync() }

// Release says that no writer is left.
func (s *Spool) Release() {
	s.r.released.Store(true)
	s.c.mu.Lock()
	s.c.events = append(s.c.events, s.r)
	s.c.mu.Unlock()
	s.c.wakeUp()
}

// Leave says that the connection is gone: no RELEASE will come, and the kernel knows whether a writer is left.
func (s *Spool) Leave() {
	s.r.adopted.Store(true)
	s.c.mu.Lock()
	s.c.events = append(s.c.events, s.r)
	s.c.mu.Unlock()
	s.c.wakeUp()
}

// ID returns the number that AdoptSpool takes.
func (s *Spool) ID() uint64 { return s.r.id }

// Log is one write-capture handle.
type Log struct {
	f    *File
	h    *logHandle
	d    record.Decision
	once sync.Once

	before  *running     // what a process before this one has written; nil: nothing
	pending []unanswered // writes whose answer the kernel may not have; under File.mu

	gone chan struct{} // closed when nobody waits for an answer any more
	left sync.Once     // closes gone
}

// OpenLog begins a write-capture handle.
func (f *File) OpenLog(d record.Decision, mount, path string, w *record.Writer) (*Log, error) {
	h, err := newLogHandle(f.c.newMeta(f, d, mount, path, w))
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.readback = d.Readback
	if d.Send {
		f.wantBelow(d, mount, path)
	}
	f.mu.Unlock()
	return &Log{f: f, h: h, d: d, gone: make(chan struct{})}, nil
}

// Write takes p into custody: when it returns, p survives the process; with sync, the machine. app ignores off
// and appends.
func (l *Log) Write(p []byte, off int64, app, sync bool, w *record.Writer, unique uint64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := l.write(p, off, app, w, unique); err != nil {
		return 0, fmt.Errorf("write %s: %w", l.h.meta.File.Path, err)
	}
	if sync {
		if err := l.Sync(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (l *Log) append(p []byte, off int64, app bool, w *record.Writer, unique uint64) error {
	f := l.f
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookSome()
	if app {
		off = f.view.size
	}
	e, at, s, err := f.c.log.write(l.h, p, off, w, unique)
	if err != nil {
		return err
	}
	l.pending = append(l.pending, unanswered{unique, s})
	f.logged = at
	f.view.put(off, int64(len(p)), e.Spool, e.Off)
	f.modified = time.Now().UnixNano()
	f.touch()
	f.c.wakeUp()
	return nil
}

// Sync brings everything written to disk.
func (l *Log) Sync() error { return l.f.c.log.sync() }

// Release ends the handle. A closing row that finds no room is not needed: at the next start an open handle of
// the log counts as closed.
func (l *Log) Release() {
	l.once.Do(func() {
		if err := l.f.c.log.finish(l.h); err != nil {
			l.f.c.later(l.h)
		}
		l.f.c.wakeUp()
	})
}

// Leave says that the connection is gone, or is the next process': a write that waits for room gives up.
func (l *Log) Leave() { l.left.Do(func() { close(l.gone) }) }

// unlive takes a finished spool out of the file's live list.
func (f *File) unlive(r *raw) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookAt(r)
	f.live = slices.DeleteFunc(f.live, func(o *raw) bool { return o == r })
	if f.mapped == nil {
		f.mapped = map[uint64]int64{}
	}
	f.mapped[r.id] = r.mapped
	f.touch()
}

// lost forgets a spool that is deleted.
func (f *File) lost(r *raw) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.mapped, r.id)
	f.touch()
}
