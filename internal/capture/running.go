package capture

import (
	"fmt"
	"slices"

	"ftfuse/internal/record"
)

// running is what the log of earlier processes tells of a write capture whose handle lives on.
type running struct {
	end     uint64    // stream offset behind the last write
	last    []written // writes, oldest first
	adopted bool      // under Capture.runMu
}

// written is a write with the number of the FUSE request that it was done for.
type written struct {
	unique uint64
	n      int
}

// lastWrites is how many of a handle's writes are kept: one that is unanswered is among them, because the kernel lets
// the writes of one open wait for each other, but for the parts of one write.
const lastWrites = 64

// row notes a row. Before Run, after which nobody changes what is noted.
func (r *running) row(w row) {
	if w.kind != rowWrite {
		return
	}
	r.end = max(r.end, w.stream+uint64(w.length))
	if len(r.last) == lastWrites {
		r.last = slices.Delete(r.last, 0, 1)
	}
	r.last = append(r.last, written{w.unique, int(w.length)})
}

// lives reports whether somebody has gone on with a write capture of an earlier process.
func (c *Capture) lives(id uint64) bool {
	c.runMu.Lock()
	defer c.runMu.Unlock()
	r := c.running[id]
	return r != nil && r.adopted
}

// AdoptSpool goes on with an open capture of a process before this one: its RELEASE will be seen here.
func (f *File) AdoptSpool(id uint64) (*Spool, error) {
	f.c.mu.RLock()
	r := f.c.raws[id]
	f.c.mu.RUnlock()
	if r == nil {
		return nil, fmt.Errorf("go on with spool %016x: %w", id, record.ErrGone)
	}
	r.adopted.Store(false)
	return &Spool{f.c, r}, nil
}

// AdoptLog goes on with a write capture of a process before this one, behind the last byte that was written.
func (f *File) AdoptLog(id uint64, d record.Decision, mount, path string, w *record.Writer) (*Log, error) {
	c := f.c
	c.runMu.Lock()
	before := c.running[id]
	if before != nil {
		before.adopted = true
	}
	c.runMu.Unlock()
	if before == nil || w == nil {
		return nil, fmt.Errorf("go on with write capture %016x: %w", id, record.ErrGone)
	}
	m := c.newMeta(f, d, mount, path, w)
	m.ID = id
	h, err := newLogHandle(m)
	if err != nil {
		return nil, err
	}
	c.regMu.Lock()
	h.pos = max(before.end, c.registered[id].Pos)
	c.regMu.Unlock()
	f.mu.Lock()
	f.readback = max(f.readback, d.Readback)
	if d.Send {
		f.wantBelow(d, mount, path)
	}
	f.mu.Unlock()
	return &Log{f: f, h: h, d: d, before: before, gone: make(chan struct{})}, nil
}

// ID returns the number that AdoptLog takes.
func (l *Log) ID() uint64 { return l.h.meta.ID }

// Written returns what a process before this one has written for a request, if it has.
func (l *Log) Written(unique uint64) (int, bool) {
	if l.before == nil {
		return 0, false
	}
	i := slices.IndexFunc(l.before.last, func(w written) bool { return w.unique == unique })
	if i < 0 {
		return 0, false
	}
	return l.before.last[i].n, true
}

// unanswered is a write whose answer the kernel may not have. Should the process end now, the kernel asks again, and the
// segment's index must tell the next process that it was done.
type unanswered struct {
	unique uint64
	s      *segment
}

// Answered says that the kernel has the answer to a write.
func (l *Log) Answered(unique uint64) {
	f := l.f
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(l.pending, func(u unanswered) bool { return u.unique == unique })
	if i < 0 {
		return // it was refused, or is not in the log
	}
	l.pending[i].s.unanswered.Add(-1)
	l.pending = slices.Delete(l.pending, i, i+1)
}
