package capture

import (
	"errors"
	"slices"
	"time"

	"ftfuse/internal/notice"
)

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
		if r.adopted.Load() && now.Sub(t.asked) > leaseWait {
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
			c.o.Logger.Error("spool space cannot be given back", notice.SpoolTrouble, "error", err)
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
	keep := make([]*segment, 0, len(c.pass.segs)) // anew: when a queue refuses, readLog is half-way through the list
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
			c.o.Logger.Error("log space cannot be given back", notice.SpoolTrouble, "error", err)
		}
		if gone {
			c.mu.Lock()
			delete(c.segs, s.id)
			c.mu.Unlock()
		} else {
			keep = append(keep, s)
		}
	}
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
		c.o.Logger.Error("spool folder cannot be synced", notice.SpoolTrouble, "error", err)
		return
	}
	c.regMu.Lock()
	defer c.regMu.Unlock()
	for _, id := range p.graves {
		delete(c.registered, id)
	}
	p.graves = nil
}
