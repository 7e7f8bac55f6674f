package capture

import (
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// usage is what the spools take. Written by the follower, read by anyone.
type usage struct {
	disk    atomic.Int64 // bytes on disk
	base    atomic.Int64 // bytesIn when disk was measured
	unseen  atomic.Int64 // bytes in spools that are not registered
	spools  atomic.Int64
	free    atomic.Int64 // bytes free on the file system
	damaged atomic.Int64
	open    atomic.Int64 // spools of open capture
	refused atomic.Int64 // opens that found too many of those
}

// tidy gives back space, keeps the limits and saves the views.
func (c *Capture) tidy(now time.Time) {
	c.askAdopted(now)
	c.mu.Lock()
	dirty := c.dirty
	c.dirty = nil
	raws := make(map[*raw]spans, len(c.raws))
	for _, r := range c.raws {
		r.mu.Lock()
		raws[r] = slices.Clone(r.freed) // before the views are asked: what was released then was seen by them
		r.mu.Unlock()
	}
	c.mu.Unlock()
	for _, f := range dirty {
		c.pass.untrimmed[f], c.pass.changed[f] = true, true
	}
	for f := range c.pass.untrimmed {
		if c.trim(f) {
			delete(c.pass.untrimmed, f)
		}
		c.noteNeeds(f)
	}
	c.save(now)
	c.reclaimRaws(raws)
	c.reclaimSegments()
	c.bury(now)
	c.measure(raws)
	c.keepLimits(len(raws))
	c.followBelow()
}

// askAdopted looks again at idle spools whose RELEASE nobody will see.
func (c *Capture) askAdopted(now time.Time) {
	for r, t := range c.pass.idle {
		if r.adopted && now.Sub(t.asked) > leaseWait {
			c.heat(r, now)
			t.asked = time.Time{}
		}
	}
}

// trim gives up what is beyond the readback window and has been released. It reports whether that is all that is
// beyond the window; what is not released yet must be tried again.
func (c *Capture) trim(f *File) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty = false
	f.look()
	want := f.view.size - f.readback
	if c.pass.pressed {
		want = f.view.size
	}
	to := f.view.base
	for _, p := range f.view.patches {
		n := c.releasedOf(p)
		if to = min(want, p.At+n); n < p.Len || to >= want {
			break
		}
	}
	f.view.trim(to)
	if c.pass.pressed {
		c.cutFreed(f)
	}
	return f.view.base >= want || len(f.view.patches) == 0
}

// cutFreed gives up what the queue has released behind something that it still needs: dropped around what is in
// flight. Called with File.mu held.
func (c *Capture) cutFreed(f *File) {
	for _, p := range slices.Clone(f.view.patches) {
		c.mu.RLock()
		r := c.raws[p.Spool]
		c.mu.RUnlock()
		if r == nil {
			continue
		}
		r.mu.Lock()
		freed := slices.Clone(r.freed)
		r.mu.Unlock()
		for _, s := range freed {
			from, to := max(s.from, p.Off), min(s.to, p.Off+p.Len)
			if from < to {
				f.view.cutOut(p.At+from-p.Off, p.At+to-p.Off)
			}
		}
	}
}

// releasedOf returns how many bytes of the patch the queue has released. Called with File.mu held.
func (c *Capture) releasedOf(p patch) int64 {
	c.mu.RLock()
	r, s := c.raws[p.Spool], c.segs[p.Spool]
	c.mu.RUnlock()
	switch {
	case r != nil:
		r.mu.Lock()
		defer r.mu.Unlock()
		return min(p.Len, max(r.freed.prefix()-p.Off, 0))
	case s != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.queued > 0 || s.pending > 0 {
			return 0
		}
	}
	return p.Len
}

// noteNeeds tells the spools what the file's view needs of them.
func (c *Capture) noteNeeds(f *File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.view.needs()
	c.mu.RLock()
	defer c.mu.RUnlock()
	for id, u := range f.used {
		c.tell(id, now[id], u.patches)
	}
	for id, u := range now {
		if _, known := f.used[id]; !known {
			c.tell(id, u, 0)
		}
	}
	f.used = now
}

// tell says that a view which had some patches of a spool now needs u. Called with mu held for reading.
func (c *Capture) tell(id uint64, u spoolUse, before int) {
	if r := c.raws[id]; r != nil {
		r.mu.Lock()
		r.needs = u.bytes
		r.mu.Unlock()
	} else if s := c.segs[id]; s != nil {
		s.mu.Lock()
		s.views += u.patches - before
		s.mu.Unlock()
	}
}

func (c *Capture) reclaimRaws(raws map[*raw]spans) {
	step := int64(punchStep)
	if c.pass.pressed {
		step = block
	}
	for r, freed := range raws {
		if len(freed) == 0 && !r.done {
			continue
		}
		gone, err := r.reclaim(freed, step)
		if err != nil {
			c.o.Logger.Error("spool space cannot be given back", "error", err)
		}
		if !gone {
			continue
		}
		c.mu.Lock()
		delete(c.raws, r.id)
		c.mu.Unlock()
		c.use.open.Add(-1)
		c.pass.graves = append(c.pass.graves, r.id)
		if r.file != nil {
			r.file.lost(r)
		}
	}
}

// reclaimSegments gives up what the log needs no more, in order: the marks of a segment's handles go when an older
// index does not hold rows of the same handles any more.
func (c *Capture) reclaimSegments() {
	keep := c.pass.segs[:0]
	oldest := true
	for _, s := range c.pass.segs {
		var err error
		if oldest && !s.settled && s.registered() && len(c.pass.batch) == 0 { // the end of a handle may have no bytes
			err = c.settleSegment(s)
		}
		oldest = oldest && s.settled
		if !s.below || !c.pass.picked { // what is taken from below must be known elsewhere first
			dropped, e := s.dropIndex()
			err = errors.Join(err, e)
			if dropped {
				c.pass.graves = append(c.pass.graves, s.id)
			}
		}
		gone, e := s.reclaim()
		if err = errors.Join(err, e); err != nil {
			c.o.Logger.Error("log space cannot be given back", "error", err)
		}
		if gone {
			c.mu.Lock()
			delete(c.segs, s.id)
			c.mu.Unlock()
		} else {
			keep = append(keep, s)
		}
	}
	clear(c.pass.segs[len(keep):])
	c.pass.segs = keep
}

// settleSegment puts one mark for all of a segment in the place of those of the handles that end in it.
func (c *Capture) settleSegment(s *segment) error {
	c.regMu.Lock()
	c.registered[s.id] = mark{Pos: 1}
	for _, h := range s.closed {
		delete(c.registered, h)
	}
	c.regMu.Unlock()
	s.closed = nil
	return s.settle()
}

// bury forgets the marks of deleted spools when the deletion is on disk: power loss must not bring back a spool
// of which nobody knows that it was registered.
func (c *Capture) bury(now time.Time) {
	p := &c.pass
	if len(p.graves) == 0 || now.Sub(p.buried) < c.o.Bury {
		return
	}
	p.buried = now
	if err := syncDir(c.o.Dir); err != nil {
		c.o.Logger.Error("spool folder cannot be synced", "error", err)
		return
	}
	c.regMu.Lock()
	defer c.regMu.Unlock()
	for _, id := range p.graves {
		delete(c.registered, id)
	}
	p.graves = nil
}

// measure adds up what the spools take.
func (c *Capture) measure(raws map[*raw]spans) {
	base := c.bytesIn.Load()
	var disk, unseen int64
	for r := range raws {
		size, err := r.size()
		r.mu.Lock()
		if err == nil && !r.gone {
			disk += headerSize + size - r.punched.len()
			unseen += size - r.seen
		}
		grown := err == nil && size > r.seen
		r.mu.Unlock()
		if grown && c.pass.idle[r] != nil { // where there is no inotify, or it says nothing
			c.heat(r, time.Now())
		}
	}
	for _, s := range c.pass.segs {
		s.mu.Lock()
		unseen += s.pending
		s.mu.Unlock()
		disk += s.allocated()
	}
	c.use.disk.Store(disk)
	c.use.base.Store(base)
	c.use.unseen.Store(unseen)
	c.use.spools.Store(int64(len(raws) + len(c.pass.segs)))
}

// over returns how many bytes must go for the limits to hold.
func (c *Capture) over() int64 {
	var n int64
	if c.o.MaxSize > 0 {
		n = c.use.disk.Load() - c.o.MaxSize
	}
	if c.o.MinFree > 0 {
		var st unix.Statfs_t
		if err := unix.Statfs(c.o.Dir, &st); err == nil {
			free := int64(st.Bavail) * st.Bsize
			c.use.free.Store(free)
			n = max(n, c.o.MinFree-free)
		}
	}
	return n
}

// keepLimits lets the oldest data make room, after what is kept for readers has. Write capture with another policy
// is refused before it comes so far.
func (c *Capture) keepLimits(raws int) {
	n := c.over()
	before := c.pass.pressed
	if c.pass.pressed = n > 0 || raws >= c.o.MaxSpools || c.nearlyFull(); c.pass.pressed && !before {
		c.pressAll()
		return
	}
	now := time.Now()
	if n <= 0 || c.o.DropOldest == nil || now.Before(c.pass.dropAt) {
		return
	}
	got, err := c.o.DropOldest(n)
	if got == 0 {
		c.pass.dropAt = now.Add(2 * time.Second) // looking through a queue that has nothing to drop costs time
	}
	if err != nil && !errors.Is(err, record.ErrClosed) {
		c.o.Logger.Error("queue is full and its oldest data cannot be dropped", "over", n, "error", err)
	} else if got > 0 {
		c.o.Logger.Warn("queue is full: oldest data dropped", "bytes", got)
	}
}

// nearlyFull reports whether the spools' file system has less than a sixteenth of its space left. What is kept only
// for readers goes first, before data is dropped and before writers see ENOSPC.
func (c *Capture) nearlyFull() bool {
	var st unix.Statfs_t
	return unix.Statfs(c.o.Dir, &st) == nil && st.Bavail < st.Blocks/16
}

// pressAll has every view give up what has been delivered.
func (c *Capture) pressAll() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, f := range c.files {
		c.pass.untrimmed[f] = true
	}
}

// Usage is what status shows.
type Usage struct {
	Disk    int64 // bytes on disk
	Unseen  int64 // bytes not registered with the queue
	Spools  int64
	Damaged int64 // things in the spool folder that did not verify
	Refused int64 // opens that got no spool because there were MaxSpools
}

// Usage returns figures of the last housekeeping, at most 0.2 s old.
func (c *Capture) Usage() Usage {
	return Usage{c.use.disk.Load(), c.use.unseen.Load(), c.use.spools.Load(), c.use.damaged.Load(), c.use.refused.Load()}
}

func (s *segment) allocated() int64 {
	var st unix.Stat_t
	var n int64
	for _, f := range []*os.File{s.data, s.idx} {
		if f != nil && unix.Fstat(int(f.Fd()), &st) == nil {
			n += st.Blocks * 512
		}
	}
	return n
}
