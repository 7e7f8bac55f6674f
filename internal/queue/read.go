package queue

import (
	"fmt"
	"slices"

	"ftfuse/internal/record"
)

// maxFound bounds the entries that one attempt reads for nothing.
const maxFound = 4096

// reading is one attempt to make a batch.
type reading struct {
	c        *Cursor
	l        *lane
	from     uint64 // l.next when it began
	last     uint64 // of the lane then
	changed  uint64 // l.changed then
	handed   uint64
	gaps     []gapRec  // that lie ahead
	who      cursorRec // its names
	global   []epochMark
	local    []epochMark
	limit    int64
	batch    record.Batch
	found    []delivered
	broken   error  // a damaged entry or database at pos
	brokenAt uint64 // 0: none
}

// read makes the next batch from what there is in a lane; ok is false when there is nothing yet.
func (q *Queue) read(limit int64, way func() *lane) (b record.Batch, ok bool, err error) {
	for {
		r, more := q.begin(limit, way)
		if !more {
			return b, false, nil
		}
		dropped, err := r.l.expireAt(r.from)
		if err != nil {
			return b, false, err
		}
		if dropped {
			continue
		}
		if err := r.collect(); err != nil {
			if r.stale() {
				continue
			}
			return b, false, err
		}
		if r.brokenAt != 0 {
			if err := q.mend(r.brokenAt, r.broken); err != nil {
				return b, false, err
			}
			continue
		}
		done, err := r.finish()
		if err != nil {
			return b, false, err
		}
		if done && len(r.batch.Chunks) > 0 {
			return r.batch, true, nil
		}
	}
}

func (q *Queue) begin(limit int64, way func() *lane) (*reading, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := way()
	c := l.c
	r := &reading{c: c, l: l, from: l.next, last: l.last(), changed: l.changed, handed: l.handed, limit: limit,
		gaps: slices.Clone(c.rec.Gaps), who: c.rec.names(), global: q.rec.Epochs, local: c.rec.Epochs}
	return r, r.from <= r.last && !q.closed
}

// collect reads from the chain until the batch is full.
func (r *reading) collect() error {
	pos := r.from
	r.batch.First = pos
	for pos <= r.last && (len(r.batch.Chunks) == 0 || r.batch.Bytes < r.limit) {
		if g := r.gapAt(pos); g != nil {
			r.addGap(g, pos)
			pos = g.Last + 1
			continue
		}
		next, full, bad, err := r.addRun(pos, r.beforeGap(pos))
		if err != nil {
			return err
		}
		if bad != nil && len(r.found) == 0 && len(r.batch.Chunks) == 0 {
			r.broken, r.brokenAt = bad, next
			return nil
		}
		pos = next
		if bad != nil || full { // what is damaged is dealt with when it comes first
			break
		}
	}
	r.batch.Last = pos - 1
	return nil
}

// addRun adds the entries from pos to end and returns the position behind the last one added; bad is what is
// damaged there.
func (r *reading) addRun(pos, end uint64) (next uint64, full bool, bad, err error) {
	err = r.c.q.scan(pos, end, func(at uint64, v []byte) bool {
		if at != pos {
			bad = fmt.Errorf("read queue: got position %d, want %d: %w", at, pos, record.ErrCorrupt)
			return false
		}
		if full, bad = r.addEntry(at, v); full || bad != nil {
			return false
		}
		pos++
		return true
	})
	switch {
	case err != nil && damaged(err):
		bad, err = err, nil
	case err == nil && bad == nil && !full && pos <= end:
		bad = fmt.Errorf("read queue: got nothing at position %d: %w", pos, record.ErrCorrupt)
	}
	return pos, full, bad, err
}

// beforeGap returns the last position before the next gap, or of the queue.
func (r *reading) beforeGap(pos uint64) uint64 {
	for i := range r.gaps {
		if g := &r.gaps[i]; g.First > pos {
			return min(r.last, g.First-1)
		}
	}
	return r.last
}

// addEntry decodes an entry into the batch unless that makes it too large, or the entry has expired.
func (r *reading) addEntry(pos uint64, v []byte) (full bool, err error) {
	c := r.c
	sum, rest, err := splitEntry(v)
	if err != nil {
		return false, err
	}
	s, err := parseSummary(sum)
	if err != nil {
		return false, err
	}
	d := delivered{pos: pos, s: s, filtered: !r.who.wants(pos, &s)}
	if d.filtered {
		if len(r.found) >= maxFound {
			return true, nil // passed over before more is read: a destination may want nothing of a long queue
		}
		r.found = append(r.found, d)
		return false, nil
	}
	if len(r.batch.Chunks) > 0 {
		if r.batch.Bytes+int64(s.held) > r.limit {
			return true, nil
		}
		if pos > r.handed && c.q.expired(pos, &s) {
			return true, nil // the next read begins there and drops it
		}
	}
	chunks, err := decodeChunks(rest)
	if err != nil {
		return false, err
	}
	if s.own {
		ownEpoch(chunks, epochAt(pos, r.global, r.local))
	}
	r.batch.Chunks = append(r.batch.Chunks, chunks...)
	r.batch.Bytes += int64(s.held)
	r.found = append(r.found, d)
	return false, nil
}

// ownEpoch sets the epoch of freshly decoded chunks; they share few sources, which nobody else has yet.
func ownEpoch(chunks []record.Chunk, e uint64) {
	for i := range chunks {
		chunks[i].Source.Epoch = e
	}
}

func (r *reading) gapAt(pos uint64) *gapRec {
	for i := range r.gaps {
		if g := &r.gaps[i]; g.First <= pos && pos <= g.Last {
			return g
		}
	}
	return nil
}

// addGap puts a run of dropped positions into the batch.
func (r *reading) addGap(g *gapRec, pos uint64) {
	q := r.c.q
	for _, p := range g.Parts {
		a := p.About
		if a == nil {
			a = q.unreadable()
		}
		src := *a.source
		if p.Own {
			if src.Host == "" { // found by a repair, which does not know it
				src = *q.o.Source
			}
			src.Epoch = epochAt(pos, r.global, r.local)
		} else {
			src.Stream = markRec{Sender: p.Sender, Epoch: p.Epoch}.durable().Stream
		}
		r.batch.Chunks = append(r.batch.Chunks, record.Chunk{
			Seq: p.Last, Source: &src, File: a.file, Writer: a.writer, Time: a.time,
			Gap: &record.Gap{First: p.First, Reason: g.Reason, Bytes: p.Bytes, Records: p.Records},
		})
	}
}

// stale says whether the lane has moved on since begin, by which what is read may be gone.
func (r *reading) stale() bool {
	r.c.q.mu.Lock()
	defer r.c.q.mu.Unlock()
	return !r.c.q.closed && (r.l.changed != r.changed || r.l.next != r.from)
}

// finish makes the batch the lane's last, unless gaps or a rewind came in between. Positions are noted on disk
// as seen by the destination before it can see them.
func (r *reading) finish() (bool, error) {
	l, q := r.l, r.c.q
	q.mu.Lock()
	if l.changed != r.changed || l.next != r.from {
		q.mu.Unlock()
		return false, nil
	}
	for i := range r.found {
		if p := r.found[i].pos; p > l.top && p > l.at.Acked {
			l.known = append(l.known, r.found[i])
		}
	}
	l.next = r.batch.Last + 1
	l.top, l.handed = max(l.top, r.batch.Last), max(l.handed, r.batch.Last)
	l.skip()
	unsafe := l.handed > l.handedSafe
	q.mu.Unlock()
	if !unsafe {
		return true, nil
	}
	q.closeIdleReaders()
	if err := q.commit(false); err != nil {
		q.mu.Lock()
		l.moveTo(r.from)
		q.mu.Unlock()
		return false, err
	}
	return true, nil
}
