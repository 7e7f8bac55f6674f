package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"
)

// Recovery is what Open found.
type Recovery struct {
	Snapshot    []byte // of the newest segment that has one; nil if none
	Clean       bool   // the last handle was closed in order and nothing is missing
	Epoch       uint64 // of what is appended from now on
	Quarantined string // folders to which damaged databases were moved, separated by spaces; "" if none
	Lost        uint64 // positions found missing now; each cursor that needed them reads a gap
	Took        string // how long Open took, for the log

	q     *Queue
	since uint64 // first position after the snapshot
	last  uint64
}

// Replay calls f with every entry since the snapshot, in order; own chunks carry their sequence.
// It must be done before the first Append.
func (r *Recovery) Replay(f func([]record.Chunk) error) error {
	var ferr error
	err := r.q.scan(r.since, r.last, func(_ uint64, v []byte) bool {
		_, chunks, err := readEntry(append([]byte(nil), v...))
		if err != nil {
			return true // a cursor will count it when it comes there
		}
		ferr = f(chunks)
		return ferr == nil
	})
	if ferr != nil {
		return ferr
	}
	return err
}

// Extents calls f with every extent that an entry holds which some cursor has not passed.
func (r *Recovery) Extents(f func(record.Extent)) error {
	q := r.q
	q.mu.Lock()
	low := q.lowest()
	q.mu.Unlock()
	return q.scan(low+1, r.last, func(pos uint64, v []byte) bool {
		s, err := readSummary(v)
		if err != nil || len(s.extents) == 0 {
			return true
		}
		q.mu.Lock()
		needed := q.needed(pos)
		q.mu.Unlock()
		if needed {
			for _, e := range s.extents {
				f(e)
			}
		}
		return true
	})
}

// lowest is the position up to which every cursor has acknowledged. Called with mu held.
func (q *Queue) lowest() uint64 {
	if len(q.cursors) == 0 {
		return q.segs[0].first - 1
	}
	low := q.last
	for _, c := range q.cursors {
		low = min(low, c.rec.Acked)
	}
	return low
}

// needed says whether some cursor has not passed pos; without cursors everything is needed. Called with mu held.
func (q *Queue) needed(pos uint64) bool {
	for _, c := range q.cursors {
		if !c.rec.passed(pos) {
			return true
		}
	}
	return len(q.cursors) == 0
}

// Open opens the queue in Options.Dir or makes it. It starts no goroutine of its own (goleveldb's databases have
// theirs): run Run beside it. Damaged databases are salvaged, what is missing becomes gaps, and it fails only when
// the folder cannot be used: locked by another process, no permission, disk full or failing twice in a row.
func Open(o Options) (*Queue, *Recovery, error) {
	expires := o.Expire != nil
	o, err := o.filled()
	if err != nil {
		return nil, nil, err
	}
	started := o.Uptime()
	q := &Queue{o: o, log: o.Logger, pulse: o.Pulses.Join("queue"), expires: expires, cursors: make(map[string]*Cursor), rotateAt: o.SegmentBytes,
		marks: make(map[record.Stream]mark), marksDue: o.MostMarks, done: make(chan struct{}), soiled: make(chan struct{}, 1)}
	if q.lock, err = lockDir(o.Dir); err != nil {
		return nil, nil, err
	}
	r, err := q.recoverAll()
	if err != nil {
		q.abandon()
		return nil, nil, fmt.Errorf("open queue %s: %w", o.Dir, full(err))
	}
	r.Took = (o.Uptime() - started).String()
	return q, r, nil
}

// lockDir makes the folder and keeps other processes and operators' commands out.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("open queue %s: in use by another process: %w", dir, err)
	}
	return f, nil
}

// abandon closes what a failed Open has opened.
func (q *Queue) abandon() {
	for _, s := range q.segs {
		s.close()
	}
	if q.meta != nil {
		q.meta.close()
	}
	q.lock.Close()
}

// recoverAll brings the queue's state up to what the disk holds. Nobody else has the queue yet.
func (q *Queue) recoverAll() (*Recovery, error) {
	if err := cleanLeftovers(q.o.Dir); err != nil {
		return nil, err
	}
	rv := &recovery{q: q, r: &Recovery{q: q}}
	defer func() { q.o.whole = false }()
	if err := rv.loadMeta(); err != nil {
		return nil, err
	}
	if err := rv.openChain(); err != nil {
		return nil, err
	}
	rv.adoptCursors()
	if err := rv.scanChain(); err != nil {
		return nil, err
	}
	rv.tail()
	for _, c := range q.cursors { // what was appended for others before they ended is here by now
		c.rec.endFormer(q.last, func(formerRec) bool { return true })
	}
	rv.reconcile()
	rv.settle()
	q.mu.Lock()
	q.forgetMarks()
	q.mu.Unlock()
	if err := q.commit(true); err != nil {
		return nil, err
	}
	q.closeIdleReaders()
	keepReserve(&q.o)
	return rv.r, nil
}

// recovery is the work of one Open.
type recovery struct {
	q    *Queue
	r    *Recovery
	recs metaRecs
	head headRec // of the base segment
	lost bool    // cursors are stale copies: the meta database was lost

	baseIndex int
	setAside  []string // quarantine folders
	found     []span   // holes
}

func (rv *recovery) quarantined(where string) {
	if where != "" {
		rv.setAside = append(rv.setAside, where)
		rv.r.Quarantined = strings.Join(rv.setAside, " ")
		rv.q.quarantine = where
	}
}

func (rv *recovery) loadMeta() error {
	q := rv.q
	q.meta = newMetaStore(&q.o)
	where, err := q.meta.open()
	rv.quarantined(where)
	if err != nil {
		return err
	}
	var bad error
	rv.recs, bad, err = q.meta.load()
	q.o.whole = rv.recs.queue.Clean
	if err == nil && bad == nil {
		return nil
	}
	if err != nil && !damaged(err) {
		return err
	}
	// Opened well, but does not read: move it away and take over what did read.
	q.log.Error("queue: meta database is damaged", notice.QueueDamaged, "error", errors.Join(bad, err))
	q.meta.close()
	where, err = quarantine(&q.o, q.meta.dir)
	rv.quarantined(where)
	if err != nil {
		return err
	}
	_, err = q.meta.open()
	return err
}

// openChain opens the segments and finds the newest with a head, the base.
func (rv *recovery) openChain() error {
	q := rv.q
	firsts, err := listSegments(q.o.Dir)
	if err != nil {
		return err
	}
	rv.baseIndex = -1
	for i := len(firsts) - 1; i >= 0 && rv.baseIndex < 0; i-- {
		s := newSegment(&q.o, firsts[i])
		newest := i == len(firsts)-1
		ok, err := rv.openSegment(s, newest)
		if err != nil {
			s.close()
			return err
		}
		if !ok {
			firsts = append(firsts[:i], firsts[i+1:]...)
			continue
		}
		q.segs = append([]*segment{s}, q.segs...)
		h, snapshot, found, err := s.head()
		if err != nil && !damaged(err) {
			return err
		}
		if found && err == nil {
			rv.head, rv.r.Snapshot, rv.baseIndex, q.base = h, snapshot, i, s.first
			rv.r.since = s.first
		}
	}
	for i := max(rv.baseIndex, 0) - 1; i >= 0; i-- {
		q.segs = append([]*segment{newSegment(&q.o, firsts[i])}, q.segs...)
	}
	if len(q.segs) == 0 {
		return rv.begin()
	}
	rv.baseIndex = max(rv.baseIndex, 0)
	if !q.segs[len(q.segs)-1].writes {
		return rv.reopenNewest()
	}
	return nil
}

// reopenNewest makes the newest of what is left of the chain the one that is written.
func (rv *recovery) reopenNewest() error {
	s := rv.q.segs[len(rv.q.segs)-1]
	if ok, err := rv.openSegment(s, true); err != nil || ok {
		return err
	}
	return s.open(openCreate)
}

// openSegment opens s, salvaged if need be. It says false when nothing is left of it.
func (rv *recovery) openSegment(s *segment, writes bool) (bool, error) {
	mode := openReading
	if writes {
		mode = openExisting
	}
	err := s.open(mode)
	if err != nil {
		err = s.open(mode) // a disk may fail once
	}
	if err == nil {
		empty := writes && s.isEmpty()
		if empty { // killed while it was made
			s.remove()
		}
		return !empty, nil
	}
	if !damaged(err) {
		return false, err
	}
	rv.q.log.Error("queue: database is damaged, salvaging it", notice.QueueDamaged, "dir", s.dir, "error", err)
	where, err := salvageSegment(&rv.q.o, s.dir, err)
	rv.quarantined(where)
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(s.dir); os.IsNotExist(err) {
		return false, nil
	}
	return true, s.open(mode)
}

// isEmpty says whether s has no key at all.
func (s *segment) isEmpty() bool {
	_, _, found, err := s.head()
	empty := !found && err == nil
	err = s.scan(0, ^uint64(0), func(uint64, []byte) bool { empty = false; return false })
	return empty && err == nil
}

// begin makes the first segment of a new chain, above every position and sequence that a cursor knows of.
func (rv *recovery) begin() error {
	q := rv.q
	q.last, q.seq = rv.recs.queue.Pos, rv.recs.queue.Seq
	for i := range rv.recs.cursors {
		p, s := rv.recs.cursors[i].reach()
		q.last, q.seq = max(q.last, p), max(q.seq, s)
	}
	q.rec = rv.recs.queue
	h := q.headNow()
	s := newSegment(&q.o, h.First)
	if err := s.create(h, nil); err != nil {
		return err
	}
	if err := s.open(openExisting); err != nil {
		return err
	}
	q.segs, q.base, rv.head, rv.r.since, rv.baseIndex = []*segment{s}, s.first, h, s.first, 0
	q.last, q.seq = 0, 0 // tail compares with the meta database and counts what is lost
	return nil
}
