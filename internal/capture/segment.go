package capture

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// segment is one stretch of the write-capture log. Its memory maps live until it is sealed and read to the end.
type segment struct {
	id   uint64
	path string // of the .log
	ipth string // of the .idx
	data *os.File
	idx  *os.File
	dmap []byte
	imap []byte

	// Guarded by wal.mu: the writing side.
	used    int
	rows    int
	known   map[uint64]bool           // handles with an open row here
	writers map[*record.Writer]uint32 // writers with a row here

	sealed  atomic.Bool // no row will be added
	adopted bool        // left by an earlier process

	// The follower's side: it alone uses these.
	read    int                       // rows seen
	names   map[uint32]*record.Writer // writers by number
	closed  []uint64                  // handles closed by a row here
	drained bool                      // sealed, and every row seen

	mu      sync.Mutex
	pending int64 // payload bytes written and not yet registered
	queued  int64 // payload bytes registered and not yet released
	views   int   // extents of files' views
	noIndex bool  // the .idx is deleted: all is registered
	gone    bool  // the .log is deleted
}

// createSegment makes a segment with all its blocks allocated: a full disk is an error here and not a fault in a
// memory copy later.
func createSegment(dir string, id uint64, size, rows int) (*segment, error) {
	s := &segment{id: id, path: spoolPath(dir, id, "log"), ipth: spoolPath(dir, id, "idx"),
		known: map[uint64]bool{}, writers: map[*record.Writer]uint32{}, names: map[uint32]*record.Writer{}}
	var err error
	if s.data, s.dmap, err = createMapped(s.path, size); err != nil {
		return nil, err
	}
	if s.idx, s.imap, err = createMapped(s.ipth, rows*rowSize); err != nil {
		return nil, errors.Join(err, s.unmap(), s.data.Close(), os.Remove(s.path))
	}
	return s, nil
}

func createMapped(path string, size int) (*os.File, []byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("create log segment: %w", err)
	}
	m, err := allocateAndMap(f, size)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("create log segment %s of %d bytes: %w", path, size, err), f.Close(), os.Remove(path))
	}
	return f, m, nil
}

func allocateAndMap(f *os.File, size int) ([]byte, error) {
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size)); err != nil {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// openSegment opens what an earlier process left, for reading only. A segment without an index holds nothing
// that is not registered.
func openSegment(dir string, id uint64) (*segment, error) {
	s := &segment{id: id, path: spoolPath(dir, id, "log"), ipth: spoolPath(dir, id, "idx"), names: map[uint32]*record.Writer{}, adopted: true}
	s.sealed.Store(true)
	var err error
	if s.data, err = os.Open(s.path); err != nil {
		return nil, fmt.Errorf("open log segment: %w", err)
	}
	s.idx, err = os.Open(s.ipth)
	if errors.Is(err, os.ErrNotExist) {
		s.noIndex, s.drained = true, true
		return s, nil
	}
	if err == nil {
		s.dmap, err = mapFile(s.data)
	}
	if err == nil {
		s.imap, err = mapFile(s.idx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log segment %s: %w", s.ipth, err), s.close())
	}
	return s, nil
}

func mapFile(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
}

func (s *segment) unmap() error {
	var err error
	for _, m := range []*[]byte{&s.dmap, &s.imap} {
		if *m != nil {
			err = errors.Join(err, unix.Munmap(*m))
			*m = nil
		}
	}
	return err
}

func (s *segment) close() error {
	err := s.unmap()
	for _, f := range []*os.File{s.data, s.idx} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// room reports whether a payload of n bytes and up to three rows (open, writer, write) fit.
func (s *segment) room(n int) bool {
	return s.used+n <= len(s.dmap) && (s.rows+4)*rowSize <= len(s.imap)
}

// add appends a row with its payload. Called with wal.mu held and room made.
func (s *segment) add(r row, p []byte) record.Extent {
	r.off, r.length, r.crc = uint32(s.used), uint32(len(p)), record.CRC(p)
	copy(s.dmap[s.used:], p)
	s.used += len(p)
	r.put(s.imap[s.rows*rowSize:])
	s.rows++
	return record.Extent{Spool: s.id, Off: int64(r.off), Len: r.length}
}

// next returns the next row that has not been seen, with its payload. Only the follower calls it.
func (s *segment) next() (r row, p []byte, ok bool, err error) {
	if (s.read+1)*rowSize <= len(s.imap) {
		r, ok, torn := getRow(s.imap[s.read*rowSize : (s.read+1)*rowSize])
		switch {
		case torn, ok && int(r.off)+int(r.length) > len(s.dmap):
			s.read = len(s.imap) / rowSize // what follows a torn row was never answered
			return r, nil, false, fmt.Errorf("read log segment %s: %w: row does not verify", s.ipth, record.ErrCorrupt)
		case !ok:
			return r, nil, false, nil
		}
		s.read++
		return r, s.dmap[r.off : int(r.off)+int(r.length)], true, nil
	}
	return row{}, nil, false, nil
}

func (s *segment) readAt(p []byte, off int64) error {
	n, err := s.data.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return fmt.Errorf("read log segment %s at %d: got %d of %d bytes: %w: %v", s.path, off, n, len(p), record.ErrGone, err)
}

// sync brings the segment to disk. One that is registered to the end has its rows no more: what the queue refers
// to must be there still.
func (s *segment) sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil
	}
	err := unix.Fdatasync(int(s.data.Fd()))
	if s.idx != nil {
		err = errors.Join(err, unix.Fdatasync(int(s.idx.Fd())))
	}
	if err != nil {
		return fmt.Errorf("sync log segment %s: %w", s.path, err)
	}
	return nil
}

// reclaim deletes what nobody needs: the index once all is registered, the data once it is also released and no
// reader sees it. Called by the follower. It reports whether the segment is gone.
func (s *segment) reclaim(oldest bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.drained || s.pending > 0 || s.gone {
		return s.gone, nil
	}
	var err error
	if !s.noIndex {
		if !oldest { // an older index may still hold rows of the same handles
			return false, nil
		}
		s.noIndex = true
		err = errors.Join(s.unmap(), s.idx.Close(), os.Remove(s.ipth), s.trim())
		s.idx = nil
	}
	if s.queued > 0 || s.views > 0 {
		return false, err
	}
	s.gone = true
	return true, errors.Join(err, os.Remove(s.path), s.data.Close())
}

// trim gives back the blocks allocated ahead.
func (s *segment) trim() error {
	if s.used == 0 {
		return nil
	}
	return os.Truncate(s.path, int64(s.used))
}
