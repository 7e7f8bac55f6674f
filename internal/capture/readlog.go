package capture

import (
	"context"
	"errors"
	"time"

	"ftfuse/internal/record"
)

const rowsPerTurn = 1 << 16

// readLog feeds the rows that have been added to the log since the last turn.
func (c *Capture) readLog(ctx context.Context, now time.Time) (busy bool) {
	n := 0
	for i, s := range c.pass.segs {
		if s.drained {
			continue
		}
		sealed := s.sealed.Load() // before the rows: what is there then is all
		for {
			r, p, ok, err := s.next()
			if err != nil {
				c.damaged(s.path, err)
			}
			if !ok {
				break
			}
			c.takeRow(ctx, s, r, p, now)
			if n++; n == rowsPerTurn {
				return true
			}
		}
		if !sealed {
			return false
		}
		s.drained = true
		if s.adopted && (i+1 == len(c.pass.segs) || !c.pass.segs[i+1].adopted) {
			c.endOldHandles(s, now)
		}
	}
	return false
}

func (c *Capture) takeRow(ctx context.Context, s *segment, r row, p []byte, now time.Time) {
	switch r.kind {
	case rowOpen:
		if c.pass.streams[r.handle] != nil {
			return
		}
		m, err := decodeMeta(p)
		if err != nil {
			c.damaged(s.path, err)
			return
		}
		c.pass.streams[r.handle] = c.streamFor(m, r.stream)
	case rowWriter:
		w, err := decodeWriter(p)
		if err != nil {
			c.damaged(s.path, err)
			w = &record.Writer{}
		}
		s.names[r.writer] = w
	case rowWrite:
		c.takeWrite(ctx, s, r, p, now)
	case rowClose:
		if st := c.pass.streams[r.handle]; st != nil {
			c.flushStreams(now)
			c.add(st.end(nil))
			delete(c.pass.streams, r.handle)
		}
		s.closed = append(s.closed, r.handle)
	}
}

func (c *Capture) takeWrite(ctx context.Context, s *segment, r row, p []byte, now time.Time) {
	st := c.pass.streams[r.handle]
	if st == nil {
		c.damaged(s.path, errNoOpenRow)
		return
	}
	if s.adopted {
		if p = c.adoptWrite(s, st, r, p); len(p) == 0 {
			return
		}
	}
	if st.meta.Below {
		c.pass.saved, c.pass.unsaved = time.Time{}, true // the views must say so before the log forgets it
	}
	w := s.names[r.writer]
	if w == nil {
		w = &st.meta.Writer
	}
	off := int64(r.off) + int64(r.length) - int64(len(p))
	c.feed(ctx, st, piece{spool: s.id, off: off, data: p, at: r.at, writer: w, written: !st.meta.Below}, now)
}

var errNoOpenRow = errors.New("a write without its handle's open row")

// adoptWrite returns what of an earlier process's write is still to be registered.
func (c *Capture) adoptWrite(s *segment, st *stream, r row, p []byte) []byte {
	next := st.next()
	if r.stream+uint64(len(p)) <= next {
		return nil
	}
	if record.CRC(p) != r.crc { // the machine lost power: the row reached the disk, the bytes did not
		c.gap(&st.meta.File, r.handle, record.SpoolLost, uint64(len(p)))
		c.skip(st, r.stream+uint64(len(p)))
		return nil
	}
	if r.stream < next {
		p = p[next-r.stream:]
	} else if r.stream > next {
		c.gap(&st.meta.File, r.handle, record.SpoolLost, r.stream-next)
		c.skip(st, r.stream)
	}
	s.mu.Lock()
	s.pending += int64(len(p))
	s.mu.Unlock()
	return p
}

// skip moves a stream over bytes that are lost.
func (c *Capture) skip(st *stream, to uint64) {
	c.add(st.end(nil))
	st.pos = to
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
	s.continues = known && at.Continues
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

// gap notes that bytes of a handle will never come.
func (c *Capture) gap(f *record.File, handle uint64, why record.Reason, n uint64) {
	c.gapRecords(f, handle, why, n, 0)
}

func (c *Capture) gapRecords(f *record.File, handle uint64, why record.Reason, n, records uint64) {
	file := *f
	g := record.Chunk{Source: c.o.Source, File: &file, Writer: &record.Writer{}, Handle: handle, Time: time.Now().UnixNano(),
		Gap: &record.Gap{Reason: why, Bytes: n, Records: records}}
	c.mu.Lock()
	c.lost = append(c.lost, g)
	c.mu.Unlock()
}

// damaged says that something in the spool folder does not verify, and counts it.
func (c *Capture) damaged(path string, err error) {
	c.use.damaged.Add(1)
	c.o.Logger.Error("spool is damaged", "spool", path, "error", err)
}
