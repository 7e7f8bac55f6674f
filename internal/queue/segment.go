package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"ftfuse/internal/record"
)

// segment is one database of the chain. Its folder's name is its first position; it ends where the next begins.
type segment struct {
	first uint64
	dir   string
	o     *Options

	mu     sync.RWMutex // held for reading while db is used, for writing while it is opened or closed
	d      *database    // nil: closed
	writes bool         // d was opened for writing
	ended  bool         // never open it again: removed, or the queue is closed
}

const segmentPrefix = "seg-"

func segmentName(first uint64) string { return fmt.Sprintf("%s%020d", segmentPrefix, first) }

func newSegment(o *Options, first uint64) *segment {
	return &segment{first: first, dir: filepath.Join(o.Dir, segmentName(first)), o: o}
}

// open makes sure of a handle. One that can write serves readers too.
func (s *segment) open(mode openMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	writes := mode != openReading
	if s.ended {
		return fmt.Errorf("open database %s: %w", s.dir, record.ErrClosed)
	}
	if s.d != nil && (s.writes || !writes) {
		return nil
	}
	s.drop()
	d, err := openDatabase(s.o, s.dir, mode)
	if err != nil {
		return err
	}
	s.d, s.writes = d, writes
	return nil
}

func (s *segment) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
}

// end closes for good: a reader that still knows the segment must not make its folder again.
func (s *segment) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	s.ended = true
}

// drop closes the handle. Called with mu held for writing.
func (s *segment) drop() {
	if s.d == nil {
		return
	}
	if err := s.d.close(); err != nil {
		s.o.Logger.Debug("queue: close database", "dir", s.dir, "error", err)
	}
	s.d = nil
}

// closeReader closes a handle that only reads.
func (s *segment) closeReader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.writes {
		s.drop()
	}
}

// seal says that nothing will be written any more; readers may go on with the handle until closeReader.
func (s *segment) seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = false
}

// use calls f with an open database.
func (s *segment) use(f func(db *leveldb.DB) error) error {
	for {
		s.mu.RLock()
		if s.d != nil {
			defer s.mu.RUnlock()
			return guard(func() error { return f(s.d.db) })
		}
		s.mu.RUnlock()
		if err := s.open(openReading); err != nil {
			return err
		}
	}
}

// write commits b in the handle that is open. It never opens one: after an error the caller reopens, see appender.
func (s *segment) write(b *leveldb.Batch, sync bool) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.d == nil || !s.writes {
		return fmt.Errorf("write database %s: %w", s.dir, leveldb.ErrClosed)
	}
	err := guard(func() error { return s.d.db.Write(b, &opt.WriteOptions{Sync: sync}) })
	if err != nil {
		return fmt.Errorf("write database %s: %w", s.dir, err)
	}
	return nil
}

// scan calls f with the entries at from..to, in order, until it returns false. v is valid during the call only.
func (s *segment) scan(from, to uint64, f func(pos uint64, v []byte) bool) error {
	err := s.use(func(db *leveldb.DB) error {
		r := &util.Range{Start: posKey(max(from, 1))}
		if to+1 > 0 {
			r.Limit = posKey(to + 1)
		}
		it := db.NewIterator(r, nil)
		defer it.Release()
		for it.Next() {
			if pos, ok := keyPos(it.Key()); ok && !f(pos, it.Value()) {
				return nil
			}
		}
		return it.Error()
	})
	if err != nil {
		return fmt.Errorf("read database %s: %w", s.dir, err)
	}
	return nil
}

// The head's keys sort before every position.
var (
	headKey     = append(posKey(0), 'h')
	snapshotKey = append(posKey(0), 's')
)

// head reads the segment's first record. found is false when there is none that verifies.
func (s *segment) head() (h headRec, snapshot []byte, found bool, err error) {
	err = s.use(func(db *leveldb.DB) error {
		b, err := db.Get(headKey, nil)
		if err != nil {
			return err
		}
		if err := unseal(b, &h); err != nil {
			return err
		}
		b, err = db.Get(snapshotKey, nil)
		if err != nil {
			return err
		}
		var box snapshotRec
		if err := unseal(b, &box); err != nil {
			return err
		}
		snapshot, found = box.State, true
		return nil
	})
	if err == leveldb.ErrNotFound {
		err = nil
	}
	return h, snapshot, found, err
}

// snapshotRec boxes Options.Snapshot's bytes with a checksum.
type snapshotRec struct {
	State []byte `json:"state"`
}

// create makes the segment's database with its head on disk, all or nothing; it is not open then.
func (s *segment) create(h headRec, snapshot []byte) error {
	hb, err := sealed(h)
	if err != nil {
		return err
	}
	sb, err := sealed(snapshotRec{snapshot})
	if err != nil {
		return err
	}
	b := new(leveldb.Batch)
	b.Put(headKey, hb)
	b.Put(snapshotKey, sb)
	return createDatabase(s.o, s.dir, b)
}

func (s *segment) exists() bool {
	_, err := os.Stat(s.dir)
	return !os.IsNotExist(err)
}

// remove deletes the folder, by a rename first: half a folder would look like damage.
func (s *segment) remove() {
	s.end()
	gone := s.dir + ".gone"
	if err := os.Rename(s.dir, gone); err != nil {
		if !os.IsNotExist(err) {
			s.o.Logger.Warn("queue: remove database", "dir", s.dir, "error", err)
		}
		return
	}
	if err := os.RemoveAll(gone); err != nil {
		s.o.Logger.Warn("queue: remove database", "dir", gone, "error", err)
	}
}
