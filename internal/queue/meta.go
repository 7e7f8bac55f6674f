package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"ftfuse/internal/record"
)

const (
	metaName     = "meta"
	queueKey     = "queue"
	cursorPrefix = "cursor/"
)

// metaStore is the small database of cursors and counters. What it holds is in memory too, so every commit writes
// it whole, and a store that fails is closed and opened again, or begun anew.
type metaStore struct {
	o   *Options
	dir string
	d   *database // nil after a failure
}

func newMetaStore(o *Options) *metaStore {
	return &metaStore{o: o, dir: filepath.Join(o.Dir, metaName)}
}

// metaRecs is everything in the store.
type metaRecs struct {
	queue   queueRec
	found   bool // queue was there
	cursors []cursorRec
}

// open opens or makes the store. A damaged one is salvaged; where is then its quarantine.
func (m *metaStore) open() (where string, err error) {
	for try := 0; ; try++ {
		if _, err := os.Stat(m.dir); os.IsNotExist(err) {
			if err := createDatabase(m.o, m.dir, new(leveldb.Batch)); err != nil {
				return where, err
			}
		}
		if m.d, err = openDatabase(m.o, m.dir, openExisting); err == nil {
			return where, nil
		}
		if !damaged(err) || try == 2 {
			return where, err
		}
		if try == 1 {
			if where, err = salvageSegment(m.o, m.dir, err); err != nil {
				return where, err
			}
		}
	}
}

// load reads all records; one that does not verify is left out and reported in bad.
func (m *metaStore) load() (r metaRecs, bad error, err error) {
	err = guard(func() error {
		it := m.d.db.NewIterator(nil, nil)
		defer it.Release()
		for it.Next() {
			key := string(it.Key())
			if key == queueKey {
				e := unseal(it.Value(), &r.queue)
				r.found = e == nil
				bad = errors.Join(bad, e)
			} else if strings.HasPrefix(key, cursorPrefix) {
				var c cursorRec
				if e := unseal(it.Value(), &c); e != nil {
					bad = errors.Join(bad, e)
					continue
				}
				c.fill()
				r.cursors = append(r.cursors, c)
			}
		}
		return it.Error()
	})
	if r.queue.Format > stateFormat {
		return r, bad, fmt.Errorf("open queue %s: got format %d, want at most %d: install a newer version",
			m.o.Dir, r.queue.Format, stateFormat)
	}
	if r.queue.Captured == nil {
		r.queue.Captured = make(tallies)
	}
	return r, bad, err
}

// write commits all records in one batch; forgotten cursors go in the same one.
func (m *metaStore) write(q queueRec, cursors []cursorRec, forgotten []string, sync bool) error {
	b := new(leveldb.Batch)
	v, err := sealed(q)
	if err != nil {
		return err
	}
	b.Put([]byte(queueKey), v)
	for _, name := range forgotten { // first: there may be one of the name again
		b.Delete([]byte(cursorPrefix + name))
	}
	for i := range cursors {
		if v, err = sealed(cursors[i]); err != nil {
			return err
		}
		b.Put([]byte(cursorPrefix+cursors[i].Name), v)
	}
	if err = m.put(b, sync); err == nil {
		return nil
	}
	if err = m.again(b, sync, err); err != nil && isFull(err) && spendReserve(m.o) {
		err = m.again(b, sync, err)
	}
	return err
}

// again writes after a failure. As in Queue.store: never without reopening.
func (m *metaStore) again(b *leveldb.Batch, sync bool, cause error) error {
	m.close()
	if err := m.revive(); err != nil {
		return errors.Join(cause, err)
	}
	err := m.put(b, sync)
	if err != nil {
		m.close()
	}
	return err
}

func (m *metaStore) put(b *leveldb.Batch, sync bool) error {
	if m.d == nil {
		return fmt.Errorf("write database %s: %w", m.dir, leveldb.ErrClosed)
	}
	return guard(func() error { return m.d.db.Write(b, &opt.WriteOptions{Sync: sync}) })
}

// revive opens the store again while the records are in memory.
func (m *metaStore) revive() error {
	_, err := m.open()
	if err == nil || !damaged(err) {
		return err
	}
	if _, err := quarantine(m.o, m.dir); err != nil {
		return err
	}
	_, err = m.open()
	return err
}

func (m *metaStore) close() {
	if m.d == nil {
		return
	}
	if err := m.d.close(); err != nil {
		m.o.Logger.Debug("queue: close database", "dir", m.dir, "error", err)
	}
	m.d = nil
}

// commit writes cursors and counters, then releases what every cursor has passed and removes finished segments.
// Called with no lock held.
func (q *Queue) commit(sync bool, forgotten ...string) error {
	freed, done, err := q.commitOnly(sync, forgotten...)
	if err != nil {
		return err
	}
	q.release(freed, done)
	return nil
}

// release gives free what a commit has returned. Called with no lock held.
func (q *Queue) release(freed []record.Extent, done []*segment) {
	if len(freed) > 0 {
		q.o.Release(freed)
	}
	q.removeSegments(done)
}

// soil notes that something is not committed and tells Run. Called with mu held.
func (q *Queue) soil() {
	if q.dirty {
		return
	}
	q.dirty = true
	select {
	case q.soiled <- struct{}{}:
	default:
	}
}

// commitLater commits while writing is held: what is free now is released by the next commit.
func (q *Queue) commitLater(sync bool) error {
	freed, _, err := q.commitOnly(sync)
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.freed = append(freed, q.freed...)
	q.soil()
	q.mu.Unlock()
	return nil
}

// commitOnly writes cursors and counters and returns what is free for good then.
func (q *Queue) commitOnly(sync bool, forgotten ...string) (freed []record.Extent, done []*segment, err error) {
	q.metaMu.Lock()
	q.mu.Lock()
	if q.meta == nil {
		q.mu.Unlock()
		q.metaMu.Unlock()
		return nil, nil, fmt.Errorf("commit queue %s: %w", q.o.Dir, record.ErrClosed)
	}
	rec, cursors := q.records(true)
	freed, done = q.freed, q.finished()
	settled := q.settled
	forgotten = append(forgotten, q.forgotten...)
	q.forgotten = nil
	q.freed, q.dirty, q.ackedBytes = nil, false, 0
	q.committed = q.o.Uptime()
	q.mu.Unlock()

	err = q.meta.write(rec, cursors, forgotten, sync || q.o.Durability == Disk)
	q.metaMu.Unlock()
	if err != nil {
		q.mu.Lock()
		q.freed = append(freed, q.freed...)
		q.forgotten = append(q.forgotten, forgotten...)
		q.soil()
		q.mu.Unlock()
		return nil, nil, fmt.Errorf("commit queue %s: %w", q.o.Dir, full(err))
	}
	q.mu.Lock()
	q.kept = max(q.kept, settled)
	for i := range cursors {
		if c := q.cursors[cursors[i].Name]; c != nil {
			c.main.handedSafe = max(c.main.handedSafe, cursors[i].Handed)
			if b := cursors[i].Branch; b != nil && c.ahead != nil {
				c.ahead.handedSafe = max(c.ahead.handedSafe, b.Handed)
			}
		}
	}
	q.mu.Unlock()
	return freed, done, nil
}

// handedAhead is by how many positions a cursor's Handed on disk runs ahead, so that it is seldom written.
const handedAhead = 1024

// records copies the state for a commit. Called with mu held.
func (q *Queue) records(ahead bool) (queueRec, []cursorRec) {
	low, format := q.last, plainFormat
	if q.making != nil {
		low = min(low, q.making.rec.Acked)
	}
	cursors := make([]cursorRec, 0, len(q.cursors))
	for _, c := range q.cursors {
		c.rec.Epochs, c.rec.Former = pruneEpochs(c.rec.Epochs, c.rec.Acked), pruneFormer(c.rec.Former, c.rec.Acked)
		low = min(low, c.rec.Acked)
		r := c.rec.clone()
		r.Format = r.needs()
		format = max(format, r.Format)
		r.Handed = c.main.noted(ahead)
		if r.Branch != nil {
			r.Branch.Handed = c.ahead.noted(ahead)
		}
		cursors = append(cursors, r)
	}
	if len(q.cursors) == 0 {
		low = 0
	}
	q.rec.Epochs = pruneEpochs(q.rec.Epochs, low)
	for len(q.rec.Holes) > 0 && q.rec.Holes[0].Last <= low {
		q.rec.Holes = q.rec.Holes[1:]
	}
	rec := q.rec
	rec.Format, rec.Pos, rec.Seq = format, q.last, q.seq
	rec.Captured = cloneTallies(rec.Captured)
	return rec, cursors
}

// noted is what a record says of handed. Called with mu held.
func (l *lane) noted(ahead bool) uint64 {
	if !ahead {
		return l.handed
	}
	return min(l.handed+handedAhead, max(l.end(), l.at.Acked))
}

// headNow is the head of a segment that begins after the last position. Called with writing held, or while nobody else has
// the queue.
func (q *Queue) headNow() headRec {
	q.mu.Lock()
	q.forgetMarks()
	rec, cursors := q.records(true)
	h := headRec{Format: stateFormat, First: q.last + 1, Seq: q.seq, Captured: rec.Captured, Queue: rec, Cursors: cursors}
	q.mu.Unlock()
	h.Marks = q.packMarks() // readers need not wait for that
	return h
}

// finished lists the segments of which no cursor needs anything. Called with mu held.
func (q *Queue) finished() (done []*segment) {
	if len(q.cursors) == 0 {
		return nil
	}
	for i, s := range q.segs {
		if i == len(q.segs)-1 || s.first >= q.base {
			break
		}
		end := q.segs[i+1].first - 1
		needed := q.making != nil && !q.making.rec.passedThrough(s.first, end)
		for _, c := range q.cursors {
			needed = needed || !c.rec.passedThrough(s.first, end)
		}
		if !needed {
			done = append(done, s)
		}
	}
	return done
}

func (q *Queue) removeSegments(done []*segment) {
	if len(done) == 0 {
		return
	}
	q.mu.Lock()
	var mine []*segment
	for _, s := range done {
		for i, o := range q.segs {
			if o == s { // not removed by a commit that ran at the same time
				q.segs = append(q.segs[:i:i], q.segs[i+1:]...)
				mine = append(mine, s)
				break
			}
		}
	}
	q.mu.Unlock()
	for _, s := range mine {
		s.remove()
	}
	if len(mine) > 0 {
		keepReserve(&q.o)
	}
}

// cleanLeftovers removes what a crash left half removed or half made.
func cleanLeftovers(dir string) error {
	for _, end := range []string{".gone", ".work", ".new"} {
		names, err := filepath.Glob(filepath.Join(dir, "*"+end))
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := os.RemoveAll(n); err != nil {
				return err
			}
		}
	}
	return finishSalvage(dir)
}
