package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ftfuse/internal/record"
)

// Recovery is what the queue knows of earlier processes' work.
type Recovery struct {
	Snapshot []byte                                        // what Snapshot returned last, nil if never
	Replay   func(func(chunks []record.Chunk) error) error // what was registered since
	Extents  func(func(record.Extent)) error               // what is still to be delivered
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
	if from.Extents != nil {
		if err := from.Extents(c.recoverExtent); err != nil {
			return fmt.Errorf("recover spools: %w", err)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if r := c.raws[id]; r != nil {
			c.adoptRaw(r)
		} else if s := c.segs[id]; s != nil {
			c.pass.segs = append(c.pass.segs, s)
			c.adoptRows(s)
		}
	}
	for _, f := range c.files {
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
			if ch := &chunks[i]; ch.Gap == nil {
				c.registered[ch.Handle] = mark{ch.Offset + uint64(ch.Len), ch.Flags&record.Continued != 0}
			}
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
			if err = c.setAside(path, err); err != nil {
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
		return errors.Join(fmt.Errorf("%w: header says spool %016x", record.ErrCorrupt, r.id), r.rd.Close())
	}
	r.adopted = true
	c.raws[id] = r
	return nil
}

// setAside moves a damaged spool to the quarantine folder. One that was never answered for (no whole header, no
// data) is deleted.
func (c *Capture) setAside(path string, why error) error {
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
	c.gap(&record.File{Path: filepath.Base(path)}, 0, record.Damaged, uint64(max(st.Size()-headerSize, 0)))
	return os.Rename(path, filepath.Join(dir, filepath.Base(path)))
}

// recoverExtent notes one range that the queue still refers to.
func (c *Capture) recoverExtent(e record.Extent) {
	if r := c.raws[e.Spool]; r != nil {
		if r.seen == 0 || e.Off < r.acked {
			r.acked = e.Off
		}
		r.seen = 1 // marks that acked is set; adoptRaw gives the real one
	} else if s := c.segs[e.Spool]; s != nil {
		s.queued += int64(e.Len)
	}
}

// adoptRaw sets where the follower goes on, and shows readers what is there.
func (c *Capture) adoptRaw(r *raw) {
	pos := int64(c.registered[r.id].Pos)
	if r.seen == 0 {
		r.acked = pos // nothing queued: all that is registered has been delivered
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
	r.mapped = max(f.mapped[r.id], r.acked)
	f.live = append(f.live, r)
	c.events = append(c.events, r)
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

// adoptRows shows readers what the log holds that the saved views do not know, and how far files below the mount
// have been taken. The rows are registered by the follower as any others.
func (c *Capture) adoptRows(s *segment) {
	metas := map[uint64]*meta{}
	saved := c.saved.Load()
	for n := 0; (n+1)*rowSize <= len(s.imap); n++ {
		r, ok, _ := getRow(s.imap[n*rowSize : (n+1)*rowSize])
		if !ok || int(r.off)+int(r.length) > len(s.dmap) {
			return
		}
		switch r.kind {
		case rowOpen:
			if m, err := decodeMeta(s.dmap[r.off : r.off+r.length]); err == nil {
				metas[r.handle] = m
			}
		case rowWrite:
			m := metas[r.handle]
			if m == nil {
				continue
			}
			f := c.fileOf(m)
			if r.at <= saved {
				continue
			}
			if m.Below {
				f.pick.Taken = max(f.pick.Taken, int64(r.stream)+int64(r.length))
				f.touch()
			} else {
				f.view.put(r.voff, int64(r.length), s.id, int64(r.off))
				f.modified = r.at
				f.touch()
			}
		}
	}
}

// endOldHandles closes the log handles of earlier processes, when all their rows have been read: they ended with
// their connection.
func (c *Capture) endOldHandles(last *segment, now time.Time) {
	c.flushStreams(now)
	for h, st := range c.pass.streams {
		if h>>32 == c.run {
			continue
		}
		c.add(st.end(nil))
		delete(c.pass.streams, h)
		last.closed = append(last.closed, h)
	}
}
