package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"ftfuse/internal/record"
)

// Recovery is what the queue knows of earlier processes' work.
type Recovery struct {
	Snapshot []byte                                        // what Snapshot returned last, nil if never
	Replay   func(func(chunks []record.Chunk) error) error // what was registered since
	Extents  func(func(record.Extent)) error               // what is still to be delivered
	Running  []uint64                                      // captures whose handles live on in mounts that are taken over
}

// Recover takes over the spools that earlier processes left: what is registered stays with the queue, the rest
// is registered when Run begins, spools that a program still holds open are followed on.
func (c *Capture) Recover(from Recovery) error {
	if err := c.recoverMarks(from); err != nil {
		return err
	}
	c.loadViews()
	ids, err := c.openSpools()
	if err != nil {
		return err
	}
	slices.Sort(ids)
	used := uint64(0)
	if len(ids) > 0 {
		used = ids[len(ids)-1]
	}
	for id := range c.registered {
		used = max(used, id)
	}
	for _, id := range from.Running {
		c.running[id] = &running{}
		used = max(used, id)
	}
	if err := c.claimRun(used); err != nil {
		return err
	}
	held := map[uint64]spans{}
	if from.Extents != nil {
		err := from.Extents(func(e record.Extent) { c.recoverExtent(e, held) })
		if err != nil {
			return fmt.Errorf("recover spools: %w", err)
		}
	}
	alive := map[uint64]bool{}
	for _, id := range ids {
		if r := c.raws[id]; r != nil {
			c.adoptRaw(r, held[id])
			alive[id] = true
		} else if s := c.segs[id]; s != nil {
			c.adoptSegment(s, alive)
		}
	}
	for id := range c.running {
		alive[id] = true
	}
	c.measureFound()
	return c.prune(alive)
}

// measureFound adds up what was appended while nobody looked, so that it counts as not delivered from the beginning on.
func (c *Capture) measureFound() {
	unseen := int64(0)
	for _, r := range c.raws {
		if size, err := r.size(); err == nil {
			unseen += max(size-r.seen, 0)
		}
	}
	c.use.unseen.Store(unseen)
}

// prune forgets marks of handles that are over and whose spools are gone, for good: what is deleted must not come
// back after power loss.
func (c *Capture) prune(alive map[uint64]bool) error {
	if err := syncDir(c.o.Dir); err != nil {
		return fmt.Errorf("recover spools: %w", err)
	}
	for id := range c.registered {
		if !alive[id] {
			delete(c.registered, id)
		}
	}
	for _, f := range c.files {
		for id := range f.mapped {
			if c.raws[id] == nil {
				delete(f.mapped, id)
			}
		}
		c.noteNeeds(f)
	}
	return nil
}

func (c *Capture) recoverMarks(from Recovery) error {
	if len(from.Snapshot) > 0 {
		var s snapshot
		if err := json.Unmarshal(from.Snapshot, &s); err != nil {
			return fmt.Errorf("recover spools: snapshot in the queue: %w: %v", record.ErrCorrupt, err)
		}
		for h, m := range s.Handles {
			c.registered[h] = m
		}
	}
	if from.Replay == nil {
		return nil
	}
	return from.Replay(func(chunks []record.Chunk) error {
		for i := range chunks {
			c.noteMark(&chunks[i])
		}
		return nil
	})
}

// openSpools opens everything in the folder. What does not verify is moved aside, counted and named.
func (c *Capture) openSpools() ([]uint64, error) {
	entries, err := os.ReadDir(c.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("recover spools: %w", err)
	}
	var ids []uint64
	for _, e := range entries {
		id, kind, ok := spoolName(e.Name())
		if !ok {
			continue
		}
		path := filepath.Join(c.o.Dir, e.Name())
		switch kind {
		case "raw":
			err = c.openOldRaw(id, path)
		case "log":
			var s *segment
			if s, err = openSegment(c.o.Dir, id); err == nil {
				s.total = &c.pending
				c.segs[id] = s
			}
		case "idx":
			if _, serr := os.Stat(spoolPath(c.o.Dir, id, "log")); errors.Is(serr, os.ErrNotExist) {
				err = os.Remove(path)
			}
			if err == nil {
				continue
			}
		default:
			continue
		}
		if err != nil {
			if err = c.setAside(id, path, err); err != nil {
				return nil, err
			}
			continue
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (c *Capture) openOldRaw(id uint64, path string) error {
	r, err := readRaw(path)
	if err != nil {
		return err
	}
	if r.id != id {
		return fmt.Errorf("%w: header says spool %016x", record.ErrCorrupt, r.id)
	}
	r.adopted.Store(true)
	c.raws[id] = r
	c.use.open.Add(1)
	return nil
}

// setAside moves a damaged spool to the quarantine folder and counts what was not registered of it; the rest is
// counted when the queue's references find nothing. One that was never answered for (no whole header, no data) is
// deleted.
func (c *Capture) setAside(id uint64, path string, why error) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("set damaged spool aside: %w", err)
	}
	if st.Size() <= headerSize && filepath.Ext(path) == ".raw" {
		return os.Remove(path)
	}
	c.damaged(path, why)
	dir := filepath.Join(c.o.Dir, "quarantine")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("set damaged spool aside: %w", err)
	}
	if n := st.Size() - headerSize - int64(c.registered[id].Pos); n > 0 {
		c.lose(record.File{Path: filepath.Base(path)}, record.Damaged, uint64(n), 0)
	}
	return os.Rename(path, filepath.Join(dir, filepath.Base(path)))
}

// recoverExtent notes one range that the queue still refers to.
func (c *Capture) recoverExtent(e record.Extent, held map[uint64]spans) {
	if c.raws[e.Spool] != nil {
		held[e.Spool] = held[e.Spool].add(e.Off, e.Off+int64(e.Len))
	} else if s := c.segs[e.Spool]; s != nil {
		s.queued += int64(e.Len)
		s.dataEnd = max(s.dataEnd, e.Off+int64(e.Len))
	}
}

// adoptRaw sets where the follower goes on, and shows readers what is there.
func (c *Capture) adoptRaw(r *raw, held spans) {
	pos := int64(c.registered[r.id].Pos)
	free := held.without(0, pos) // registered and not queued: delivered or dropped
	if c.o.Disk {
		r.freed = free
	} else {
		c.keepFoundRaw(r, free)
	}
	size, err := r.size()
	if err != nil {
		c.damaged(r.path, err)
	}
	if size < pos { // after power loss; the queue's references beyond the end become gaps when they are read
		c.damaged(r.path, fmt.Errorf("%w: %d bytes, %d were registered", record.ErrGone, size, pos))
	}
	r.seen = pos
	f := c.fileOf(r.meta)
	r.file = f
	if mapped, saved := f.mapped[r.id]; saved {
		r.mapped = mapped
	} else { // made since the views were last saved: readers have seen all of it
		r.mapped = r.firstData()
	}
	f.live = append(f.live, r)
	f.lookAt(r) // not at all: a file that is opened for each line has thousands
	c.events = append(c.events, r)
}

func (c *Capture) keepFoundRaw(r *raw, free spans) {
	var extents []record.Extent
	for _, s := range free {
		for from := s.from; from < s.to; {
			n := min(s.to-from, math.MaxUint32)
			extents = append(extents, record.Extent{Spool: r.id, Off: from, Len: uint32(n)})
			from += n
		}
	}
	if len(extents) > 0 {
		c.keepFound(extents, nil)
	}
}

func (c *Capture) fileOf(m *meta) *File {
	f := c.files[m.Key]
	if f == nil {
		f = &File{c: c, key: m.Key, path: m.File.Path, readback: m.Readback}
		f.below = func(int) (*os.File, error) { return nil, os.ErrNotExist }
		c.files[m.Key] = f
	}
	return f
}

// adoptSegment shows readers what the log holds that the saved views do not know, and how far files below the mount
// have been taken. The rows are registered by the follower as any others, unless all are.
func (c *Capture) adoptSegment(s *segment, alive map[uint64]bool) {
	c.pass.segs = append(c.pass.segs, s)
	if s.noIndex {
		return
	}
	if _, all := c.registered[s.id]; all {
		s.drained, s.settled = true, true
		alive[s.id] = true
	} else {
		c.pass.older++
	}
	if err := s.load(); err != nil {
		return // the follower says so
	}
	metas := map[uint64]*meta{}
	free := -s.queued // bytes that are registered and not queued
	for n := 0; (n+1)*rowSize <= len(s.imap); n++ {
		r, whole, _ := s.row(n)
		if !whole {
			continue
		}
		if !s.settled {
			alive[r.handle] = true
		}
		if run := c.running[r.handle]; run != nil {
			run.row(r)
		}
		switch r.kind {
		case rowOpen:
			if m, err := decodeMeta(s.payload(r)); err == nil {
				metas[r.handle] = m
			}
		case rowWrite:
			if s.settled {
				free += int64(r.length)
			} else {
				s.unread += int64(r.length)
				free += int64(min(max(c.registered[r.handle].Pos, r.stream)-r.stream, uint64(r.length)))
			}
			if m := metas[r.handle]; m != nil {
				c.adoptView(c.fileOf(m), m, s, r, logPos{s.id, n})
			}
		}
	}
	c.use.unread.Add(s.unread)
	s.imap, s.buf = nil, nil // one index at a time in memory
	if free > 0 && !c.o.Disk {
		s.rests = true
		c.keepFound(nil, s)
	}
}

// adoptView brings a file up to date with one row.
func (c *Capture) adoptView(f *File, m *meta, s *segment, r row, at logPos) {
	if !f.logged.before(at) {
		return
	}
	f.logged = at
	f.touch()
	if m.Below {
		if end := int64(r.stream) + int64(r.length); end > f.pick.Taken {
			f.pick.Taken, f.pick.SumLen = end, 0
		}
		return
	}
	if p := s.payload(r); p != nil && record.CRC(p) == r.crc {
		f.view.put(r.voff, int64(r.length), s.id, int64(r.off))
		f.modified = r.at
	}
}

// endOldHandles closes the log handles of earlier processes, when all their rows have been read: they ended with
// their connection.
func (c *Capture) endOldHandles(last *segment) {
	c.flushLoud()
	for h, st := range c.pass.streams {
		if h>>32 == c.run || c.lives(h) {
			continue
		}
		c.add(st.end(nil))
		delete(c.pass.streams, h)
		last.closed = append(last.closed, h)
	}
}
