package capture

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"
)

const rowsPerTurn = 1 << 16

// readLog feeds the rows that have been added to the log since the last turn.
func (c *Capture) readLog(ctx context.Context, now time.Time) (busy bool) {
	n := 0
	for _, s := range c.pass.segs {
		if s.drained {
			continue
		}
		sealed := s.sealed.Load() // before the rows: what is there then is all
		if err := s.load(); err != nil {
			c.damaged(s.ipth, err)
		}
		for !c.stuck(ctx) {
			r, p, ok := s.next()
			if !ok {
				if sealed {
					c.drained(s)
				}
				break
			}
			c.takeRow(ctx, s, r, p, now)
			if n++; n == rowsPerTurn {
				return true
			}
		}
		if !s.drained {
			return false
		}
	}
	return false
}

// drained notes that all rows of a segment are read.
func (c *Capture) drained(s *segment) {
	s.drained = true
	if s.bad > 0 {
		c.damaged(s.ipth, fmt.Errorf("%w: %d rows are missing", record.ErrCorrupt, s.bad))
	}
	if !s.adopted {
		return
	}
	c.use.unread.Add(-s.unread)
	if c.pass.older--; c.pass.older == 0 {
		c.endOldHandles(s)
	}
}

func (c *Capture) takeRow(ctx context.Context, s *segment, r row, p []byte, now time.Time) {
	switch r.kind {
	case rowOpen:
		old := c.pass.streams[r.handle]
		if old != nil && !old.lost {
			return
		}
		m, err := decodeMeta(p)
		if err != nil {
			c.damaged(s.path, err)
			return
		}
		start := r.stream
		if old != nil { // its first open row was lost
			start = max(start, old.pos)
		}
		if old == nil {
			c.readEarlier(ctx, m, now)
		}
		c.pass.streams[r.handle] = c.streamFor(m, start)
	case rowWriter:
		w, err := decodeWriter(p)
		if err != nil {
			c.damaged(s.path, err)
			w = nil
		}
		s.names[r.writer] = w
	case rowWrite:
		c.takeWrite(ctx, s, r, p, now)
	case rowClose:
		if st := c.pass.streams[r.handle]; st != nil {
			c.flushLoud()
			c.add(st.end(nil))
			delete(c.pass.streams, r.handle)
		}
		s.closed = append(s.closed, r.handle)
	}
}

// readEarlier reads what lies in the spools of a file that are older than one of its handles in the log. The log is looked at before
// them: what was written to the file before that handle was opened would come after what was written by it.
func (c *Capture) readEarlier(ctx context.Context, m *meta, now time.Time) {
	c.mu.RLock()
	f := c.files[m.Key]
	c.mu.RUnlock()
	if f == nil {
		return
	}
	f.mu.Lock()
	live := len(f.live) > 0
	f.mu.Unlock()
	if !live {
		return
	}
	c.rouse(now)
	older := slices.DeleteFunc(slices.Clone(c.pass.order), func(r *raw) bool { return r.file != f || r.id > m.ID || c.pass.hot[r] == nil })
	for _, r := range older {
		size, err := r.size()
		for err == nil && c.readRaw(ctx, r, c.pass.hot[r], now) && r.seen < size {
		}
	}
}

func (c *Capture) takeWrite(ctx context.Context, s *segment, r row, p []byte, now time.Time) {
	st := c.pass.streams[r.handle]
	if st == nil {
		st = c.orphan(s, r)
	}
	if s.adopted || st.lost {
		if p = c.adoptWrite(s, st, r, p); len(p) == 0 {
			return
		}
	}
	if st.meta.Below {
		s.below, c.pass.picked = true, true
	}
	w := s.names[r.writer]
	if w == nil {
		w = &st.meta.Writer
	}
	off := int64(r.off) + int64(r.length) - int64(len(p))
	c.feed(ctx, st, piece{spool: s.id, off: off, data: p, at: r.at, writer: w, written: !st.meta.Below}, now)
}

// orphan makes the stream of a handle whose open row is lost: whose bytes they are is not known, so they are counted
// as missing.
func (c *Capture) orphan(s *segment, r row) *stream {
	c.damaged(s.path, fmt.Errorf("%w: writes of handle %016x without its open row", record.ErrCorrupt, r.handle))
	c.regMu.Lock()
	at, known := c.registered[r.handle]
	c.regMu.Unlock()
	if !known {
		at.Pos = r.stream
	}
	st := newStream(&meta{ID: r.handle}, c.o.Source, at.Pos)
	st.file, st.lost, st.continues = nil, true, at.Continues
	c.pass.streams[r.handle] = st
	return st
}

// adoptWrite returns what of an earlier process's write is still to be registered. Bytes that are not there, or are
// others than were written, are counted: the machine lost power.
func (c *Capture) adoptWrite(s *segment, st *stream, r row, p []byte) []byte {
	next, end := st.next(), r.stream+uint64(r.length)
	if !s.adopted {
		s.mu.Lock()
		s.owe(-int64(r.length))
		s.mu.Unlock()
	}
	if end <= next {
		return nil
	}
	if p == nil || st.lost || record.CRC(p) != r.crc {
		c.hole(st, end-next)
		return nil
	}
	if r.stream > next {
		c.hole(st, r.stream-next)
	} else {
		p = p[next-r.stream:]
	}
	s.mu.Lock()
	s.owe(int64(len(p)))
	s.mu.Unlock()
	return p
}

// streamFor makes the stream of a handle, where the queue has it or at start.
func (c *Capture) streamFor(m *meta, start uint64) *stream {
	src := *c.o.Source
	if m.BootID != "" {
		src.BootID = m.BootID
	}
	c.regMu.Lock()
	at, known := c.registered[m.ID]
	c.regMu.Unlock()
	s := newStream(m, c.sharedSource(src), max(start, at.Pos))
	s.continues, s.begun = known && at.Continues, at.Begun
	j, err := c.pass.patterns.joiner(m.Join)
	if err != nil {
		c.o.Logger.Error("lines are not joined", "path", m.File.Path, "error", err)
	}
	s.joinBy(j)
	return s
}

// sharedSource keeps one Source per boot, so that chunks of the same machine share a pointer.
func (c *Capture) sharedSource(src record.Source) *record.Source {
	if src == *c.o.Source {
		return c.o.Source
	}
	for _, s := range c.pass.sources {
		if *s == src {
			return s
		}
	}
	c.pass.sources = append(c.pass.sources, &src)
	return &src
}

// damaged says that something in the spool folder does not verify, and counts it.
func (c *Capture) damaged(path string, err error) {
	c.use.damaged.Add(1)
	c.o.Logger.Error("spool is damaged", notice.SpoolDamaged, "spool", path, "error", err)
}
