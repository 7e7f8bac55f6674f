// Package queue keeps chunks in order on disk until every destination has answered for them.
package queue

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// Queue is a durable FIFO with one cursor per destination. docs/queue.md describes the folder.
//
// Lock order: rotating, writing (held by the leader of a group), keeping, metaMu, mu, segment.mu. Options.Release and
// Options.Snapshot are called with none but rotating held.
type Queue struct {
	o     Options
	log   *slog.Logger
	lock  *os.File // flock on Dir/lock for the queue's whole life
	group groupCommit

	opened  uint64 // first position appended since Open
	expires bool   // Options.Expire was given
	ages    ages

	rotating  sync.RWMutex // read: an Append from its start to the end of applied; write: a new segment is made
	rotateDue atomic.Bool

	writing    sync.Mutex // held by the group's leader and by whoever repairs a segment
	broken     bool       // the newest segment's handle has failed: reopen before the next write. Guarded by writing
	retryAt    time.Duration
	brokenBy   error
	segBytes   int64 // of the newest segment. Guarded by writing
	segEntries int
	pulse      *pulse.Pulse // of the leader. Guarded by writing
	rotateAt   int64        // segBytes that make a rotation due

	keeping sync.Mutex // held by whoever commits for all that wait in keep
	metaMu  sync.Mutex // held over one commit, so that commits reach the disk in order
	meta    *metaStore // guarded by metaMu

	mu        sync.Mutex // guards everything below; never held during disk access
	segs      []*segment // ascending; the last one is written
	base      uint64     // first position of the newest segment with a head: it and later ones are kept
	rec       queueRec
	last, seq uint64 // last position and own sequence given; only the leader changes them

	marks    map[record.Stream]mark // of relayed streams; changed with writing held too
	marksDue int                    // more marks than this: forget some
	clock    markClock

	cursors    map[string]*Cursor
	making     *Cursor         // in newCursor: what it needs stays, though it may come to nothing; nil: none
	spared     []delivered     // what would be free but for making
	forgotten  []string        // cursors that are gone, but not from the disk: a commit has failed
	held       uint64          // payload bytes of positions that some cursor has not passed
	freed      []record.Extent // to be released after the next commit
	dirty      bool            // something is not committed; set by soil
	committed  time.Duration   // uptime of the last commit
	ackedBytes int64           // since the last commit
	settled    uint64          // times that a cursor's Acked has moved
	kept       uint64          // settled as of what is on disk
	recovered  uint64          // handles that were closed and reopened after an error
	mismatch   uint64          // bytes by which the identity was off at Open without any damage: a bug
	quarantine string          // newest quarantine folder made by this handle
	lastLoss   time.Time       // see Stats
	closed     bool
	done       chan struct{} // closed by Close
	soiled     chan struct{} // one token: dirty was set
}

// Epoch returns the epoch that the next own chunk will belong to.
func (q *Queue) Epoch() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rec.Epoch
}

// BeginEpoch makes what is appended from now on a stream of its own, whatever became of what was appended before.
func (q *Queue) BeginEpoch() (uint64, error) {
	q.mu.Lock()
	e := q.newEpoch()
	q.soil()
	q.mu.Unlock()
	if err := q.commit(true); err != nil {
		return 0, fmt.Errorf("begin epoch: %w", err)
	}
	return e, nil
}

// Held returns the payload bytes, inline and in extents, of entries that some cursor has not passed.
func (q *Queue) Held() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int64(q.held)
}

// Mark returns how far a relayed stream has been appended; the zero Durable if it is not known.
func (q *Queue) Mark(s record.Stream) record.Durable {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mark(s)
}

// mark is Mark. Called with mu held.
func (q *Queue) mark(s record.Stream) record.Durable {
	if m, known := q.marks[s]; known {
		return m.durable(s)
	}
	return record.Durable{}
}

// Cursors returns the names of the cursors, in order.
func (q *Queue) Cursors() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cursorNames()
}

// Marks returns how far every relayed stream has been appended that the queue knows.
func (q *Queue) Marks() []record.Durable {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := make([]record.Durable, 0, len(q.marks))
	for s, m := range q.marks {
		list = append(list, m.durable(s))
	}
	return list
}

// newest returns the segment that is written.
func (q *Queue) newest() *segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.segs[len(q.segs)-1]
}

// segmentOf returns the segment of pos and its last position, both as of now.
func (q *Queue) segmentOf(pos uint64) (s *segment, last uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	last = q.last
	for i := len(q.segs) - 1; i >= 0; i-- {
		if s = q.segs[i]; s.first <= pos {
			return s, last
		}
		last = s.first - 1
	}
	return nil, last
}

// scan calls f with the entries at from..to that are in the chain, until it returns false.
func (q *Queue) scan(from, to uint64, f func(pos uint64, v []byte) bool) error {
	more := true
	for more && from <= to {
		s, last := q.segmentOf(from)
		if s == nil {
			from = last + 1
			continue
		}
		if last = min(last, to); last < from {
			return nil
		}
		err := s.scan(from, last, func(pos uint64, v []byte) bool {
			from = pos + 1
			more = f(pos, v)
			return more
		})
		if err != nil {
			return err
		}
		from = last + 1
	}
	return nil
}

// closeIdleReaders closes the older segments that no cursor is in.
func (q *Queue) closeIdleReaders() {
	q.mu.Lock()
	var idle []*segment
	for i, s := range q.segs[:len(q.segs)-1] {
		used := false
		for _, c := range q.cursors {
			for _, l := range c.lanes() {
				used = used || l.next >= s.first && l.next < q.segs[i+1].first
			}
		}
		if !used {
			idle = append(idle, s)
		}
	}
	q.mu.Unlock()
	for _, s := range idle {
		s.closeReader()
	}
}

func (q *Queue) isClosed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return fmt.Errorf("queue %s: %w", q.o.Dir, record.ErrClosed)
	}
	return nil
}
