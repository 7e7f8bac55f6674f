package queue

import (
	"errors"
	"fmt"

	"github.com/syndtr/goleveldb/leveldb"

	"ftfuse/internal/notice"
)

// fail notes that the newest segment's handle must not be written to any more. Called with writing held.
func (q *Queue) fail(err error) {
	q.broken, q.brokenBy = true, err
	q.retryAt = q.o.Uptime() + q.o.RetryEvery
}

// heal reopens a failed segment, at most once every RetryEvery. Called with writing held.
func (q *Queue) heal() error {
	if !q.broken {
		return nil
	}
	if q.o.Uptime() < q.retryAt {
		return q.brokenBy
	}
	if err := q.reopen(q.last); err != nil {
		q.fail(err)
		return err
	}
	return nil
}

// reopen closes and opens the newest segment and removes what it holds above position keep: entries of batches
// whose Append has returned an error. Called with writing held.
func (q *Queue) reopen(keep uint64) error {
	s := q.newest()
	s.close()
	err := s.open(openExisting)
	if err != nil && damaged(err) {
		if err = s.open(openExisting); err != nil && damaged(err) {
			err = q.rescue(s, err)
		}
	}
	if err != nil {
		return err
	}
	if err := s.trim(keep); err != nil {
		s.close()
		return err
	}
	if ok, err := s.has(q.last); err != nil || !ok && q.last >= s.first {
		if err := q.missing(s); err != nil { // the disk lost what it had confirmed
			return err
		}
	}
	q.broken, q.brokenBy = false, nil
	q.mu.Lock()
	q.recovered++
	q.mu.Unlock()
	q.log.Info("queue: database reopened", "dir", s.dir)
	return nil
}

// has says whether there is an entry at pos.
func (s *segment) has(pos uint64) (ok bool, err error) {
	err = s.use(func(db *leveldb.DB) (err error) {
		ok, err = db.Has(posKey(pos), nil)
		return err
	})
	return ok, err
}

// trim deletes the entries above pos. They were never acknowledged, and there are few: one group's at most.
func (s *segment) trim(pos uint64) error {
	b := new(leveldb.Batch)
	err := s.scan(pos+1, ^uint64(0), func(p uint64, _ []byte) bool {
		b.Delete(posKey(p))
		return true
	})
	if err != nil || b.Len() == 0 {
		return err
	}
	return s.write(b, true)
}

// rotate begins a new segment with the appender's state first. A segment that cannot be made is no reason to
// refuse data: the old one grows on, and another attempt follows.
func (q *Queue) rotate() {
	q.rotating.Lock()
	defer q.rotating.Unlock()
	if !q.rotateDue.Load() || q.isClosed() != nil {
		return
	}
	snapshot := q.o.Snapshot()
	q.writing.Lock()
	defer q.writing.Unlock()
	if err := q.heal(); err != nil {
		return
	}
	q.rotateDue.Store(false)
	if err := q.extend(snapshot); err != nil {
		q.log.Warn("queue: no new database, the old one grows on", "dir", q.o.Dir, "error", err)
		q.rotateAt = q.segBytes + q.o.SegmentBytes/4
		q.segEntries -= min(q.segEntries, q.o.SegmentEntries/4)
	}
}

// extend makes the next segment. Called with writing held and no Append in progress.
func (q *Queue) extend(snapshot []byte) error {
	h := q.headNow()
	old := q.newest()
	if old.first == h.First {
		return nil // nothing in it yet
	}
	s := newSegment(&q.o, h.First)
	if err := s.create(h, snapshot); err != nil && !s.exists() {
		return fmt.Errorf("new segment: %w", err)
	}
	// It exists, so no position from here on may go to the old one.
	if err := s.open(openExisting); err != nil {
		q.fail(err)
	}
	q.mu.Lock()
	q.segs = append(q.segs, s)
	q.base = s.first
	q.mu.Unlock()
	old.seal()
	q.closeIdleReaders()
	q.segBytes, q.segEntries, q.rotateAt = 0, 0, q.o.SegmentBytes
	return nil
}

// rescue salvages a damaged segment in place. The caller owns the segment's writing side.
func (q *Queue) rescue(s *segment, cause error) error {
	s.close()
	q.log.Error("queue: database is damaged, salvaging it", notice.QueueDamaged, "dir", s.dir, "error", cause)
	where, err := salvageSegment(&q.o, s.dir, cause)
	if where != "" {
		q.mu.Lock()
		q.quarantine = where
		q.mu.Unlock()
	}
	if err == nil {
		err = s.open(openCreate)
	}
	if err != nil {
		return errors.Join(cause, err)
	}
	return nil
}
