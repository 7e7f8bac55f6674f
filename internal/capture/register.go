package capture

import (
	"context"
	"errors"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"
)

// put registers the batch. The sink is asked again until it takes it or ctx ends: the bytes are safe in the spools
// meanwhile, and writers do not notice. A chunk that the sink can never take becomes a gap: it must not hold up the
// others.
func (c *Capture) put(ctx context.Context) {
	p := &c.pass
	had := len(p.batch)
	for n := had; len(p.batch) > 0; {
		n = min(n, len(p.batch))
		p.pulse.Beat() // a queue that refuses, and is asked again, hangs nowhere
		err := c.secure(p.batch[:n])
		if err == nil {
			err = c.o.Sink.Put(ctx, p.batch[:n])
		}
		switch {
		case err == nil:
			c.account(p.batch[:n])
			p.batch = append(p.batch[:0], p.batch[n:]...)
			n, p.retry = len(p.batch), 0
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, record.ErrRefused) && n > 1:
			n /= 2
			continue
		case errors.Is(err, record.ErrRefused) && c.refuse(&p.batch[0], err):
			continue
		}
		if p.retry == 0 {
			c.o.Logger.Error("queue does not take data; it waits in the spools", notice.QueueRefuses, "error", err)
		}
		p.retry = min(max(2*p.retry, 10*time.Millisecond), time.Second)
		c.tidy(time.Now())
		select {
		case <-ctx.Done():
		case <-time.After(p.retry):
		}
	}
	clear(p.batch[:had]) // what is gone is not kept in memory
	p.bytes = 0
}

// secure brings what the chunks refer to to disk, if the queue answers for power loss: it must not refer to what may
// be gone.
func (c *Capture) secure(chunks []record.Chunk) error {
	if !c.o.Disk {
		return nil
	}
	raws, logs := map[*raw]bool{}, false
	c.mu.RLock()
	for i := range chunks {
		for _, list := range [][]record.Extent{chunks[i].Extents, chunks[i].Spent} {
			for _, e := range list {
				if r := c.raws[e.Spool]; r != nil {
					raws[r] = true
				} else {
					logs = true
				}
			}
		}
	}
	c.mu.RUnlock()
	var err error
	for r := range raws {
		err = errors.Join(err, r.sync())
	}
	if logs {
		err = errors.Join(err, c.log.sync())
	}
	return err
}

// refuse makes a gap of a chunk that the sink refuses for good, first with its file, then without. It reports
// whether there is something new to try.
func (c *Capture) refuse(ch *record.Chunk, why error) bool {
	if ch.Gap == nil {
		c.o.Logger.Error("queue refuses data for good; it is dropped and counted", notice.DataRefused, "handle", ch.Handle, "bytes", ch.Len, "error", why)
		*ch = record.Chunk{Spent: append(ch.Spent[:len(ch.Spent):len(ch.Spent)], ch.Extents...), Source: ch.Source, File: ch.File, Handle: ch.Handle, Offset: ch.Offset, Time: ch.Time,
			Targets: ch.Targets, Gap: &record.Gap{Reason: record.Refused, Bytes: uint64(ch.Input()), Records: uint64(ch.Records) + uint64(ch.Cut.Records)}}
		return true
	}
	if ch.File == nil && ch.Writer == nil {
		return false
	}
	ch.File, ch.Writer = nil, nil
	return true
}

// account notes what the queue has taken.
func (c *Capture) account(chunks []record.Chunk) {
	c.regMu.Lock()
	for i := range chunks {
		c.noteMark(&chunks[i])
	}
	c.regMu.Unlock()
	for i := range chunks {
		c.pass.shed.take(&chunks[i])
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i := range chunks {
		c.pass.since += int64(chunks[i].Len)
		for _, e := range chunks[i].Extents {
			if s := c.segs[e.Spool]; s != nil {
				s.mu.Lock()
				s.owe(-int64(e.Len))
				s.queued += int64(e.Len)
				s.mu.Unlock()
			}
		}
	}
}

// noteMark notes how far a chunk of the queue, or a gap in a handle's stream, brings its handle. Called with regMu
// held, or before Run.
func (c *Capture) noteMark(ch *record.Chunk) {
	m := mark{Pos: ch.Offset + uint64(ch.Input()), Continues: ch.Flags&record.Continued != 0}
	if ch.Gap != nil {
		if ch.Handle == 0 {
			return // not part of a stream
		}
		m = mark{Pos: ch.Offset + ch.Gap.Bytes, Continues: within(ch)}
	}
	m.Begun = goesOn(ch, c.registered[ch.Handle], m.Pos)
	if m.Pos >= c.registered[ch.Handle].Pos {
		c.registered[ch.Handle] = m
	}
}

// Release takes back what every destination has passed. The queue calls it after the cursors are committed.
func (c *Capture) Release(extents []record.Extent) { c.setFree(extents, false) }

// setFree notes what nobody needs; pending says that it was never registered.
func (c *Capture) setFree(extents []record.Extent, pending bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, e := range extents {
		if r := c.raws[e.Spool]; r != nil {
			r.free(e.Off, e.Off+int64(e.Len))
		} else if s := c.segs[e.Spool]; s != nil {
			s.mu.Lock()
			if pending {
				s.owe(-int64(e.Len))
			} else {
				s.queued -= int64(e.Len)
			}
			s.mu.Unlock()
		}
	}
}

// lostKey is what gaps are added up by while the queue does not take them.
type lostKey struct {
	file record.File
	why  record.Reason
}

// lose notes bytes that will never come and that are no part of a stream.
func (c *Capture) lose(f record.File, why record.Reason, n, records uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, ok := c.lostAt[lostKey{f, why}]; ok {
		c.lost[i].Gap.Bytes += n
		c.lost[i].Gap.Records += records
		return
	}
	c.lostAt[lostKey{f, why}] = len(c.lost)
	c.lost = append(c.lost, record.Chunk{Source: c.o.Source, File: &f, Writer: &record.Writer{}, Time: time.Now().UnixNano(),
		Gap: &record.Gap{Reason: why, Bytes: n, Records: records}})
}

// hole registers that bytes of a stream are lost, from its next byte on. Only the follower calls it.
func (c *Capture) hole(st *stream, n uint64) {
	c.flushLoud()
	c.add(st.end(nil))
	c.add([]record.Chunk{{Source: st.source, File: st.file, Writer: &record.Writer{}, Handle: st.meta.ID, Offset: st.pos,
		Time: time.Now().UnixNano(), Gap: &record.Gap{Reason: record.SpoolLost, Bytes: n}}})
	st.pos += n
}
