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

// segment is one stretch of the write-capture log. The map of its index lives until it is sealed and read to the end.
type segment struct {
	id   uint64
	path string // of the .log
	ipth string // of the .idx
	data *os.File
	idx  *os.File
	imap []byte // idx. data has no map: the first look at a page is a fault, which in a virtual machine costs tens of what pwrite(2) does
	size int    // of what data has room for

	// Guarded by wal.mu: the writing side.
	used    int
	rows    int
	known   map[uint64]bool           // handles with an open row here
	writers map[*record.Writer]uint32 // writers with a row here

	sealed     atomic.Bool  // no row will be added
	unanswered atomic.Int32 // writes whose answer the kernel may not have: the index tells the next process of them
	adopted    bool         // left by an earlier process

	// The follower's side: it alone uses these.
	read    int                       // rows seen
	rowsEnd int                       // index bytes up to the end of the last row seen
	unread  int64                     // payload bytes of the rows of an adopted segment, all of which are to be read
	dataEnd int64                     // payload bytes up to the end of what the rows seen refer to
	bad     int                       // rows that do not verify, or are missing before others
	buf     []byte                    // payload from bufAt on
	bufAt   int64                     //
	names   map[uint32]*record.Writer // writers by number
	closed  []uint64                  // handles closed by a row here
	below   bool                      // holds lines picked up below a mount
	drained bool                      // sealed, and every row seen
	settled bool                      // all is registered: the maps are gone, the index is kept until all is released

	mu      sync.Mutex    // never held over a system call that waits for the disk: write(2) takes it
	pending int64         // payload bytes written and not yet registered
	total   *atomic.Int64 // the sum of all segments' pending
	queued  int64         // payload bytes registered and not yet released
	views   int           // extents of files' views
	rests   bool          // found with what is registered and not queued: see keepFound
	noIndex bool          // the .idx is deleted: all is registered and released
	gone    bool          // the .log is deleted
}

// createSegment makes a segment with all its blocks allocated: a full disk is an error here, and not one of a write that has
// begun, or a fault in the index.
func createSegment(dir string, id uint64, size, rows int) (*segment, error) {
	s := &segment{id: id, path: spoolPath(dir, id, "log"), ipth: spoolPath(dir, id, "idx"), size: size,
		known: map[uint64]bool{}, writers: map[*record.Writer]uint32{}, names: map[uint32]*record.Writer{}}
	var err error
	if s.data, err = createAllocated(s.path, size); err != nil {
		return nil, err
	}
	if s.idx, err = createAllocated(s.ipth, rows*rowSize); err != nil {
		return nil, errors.Join(err, s.data.Close(), os.Remove(s.path))
	}
	if s.imap, err = unix.Mmap(int(s.idx.Fd()), 0, rows*rowSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, errors.Join(fmt.Errorf("map %s: %w", s.ipth, err), s.close(), os.Remove(s.path), os.Remove(s.ipth))
	}
	return s, nil
}

func createAllocated(path string, size int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create log segment: %w", err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size)); err != nil {
		return nil, errors.Join(fmt.Errorf("create log segment %s of %d bytes: %w", path, size, err), f.Close(), os.Remove(path))
	}
	return f, nil
}

// openSegment opens what an earlier process left, for reading only and not mapped: a disk that fails would kill the
// process. A segment without an index holds nothing that is not registered.
func openSegment(dir string, id uint64) (*segment, error) {
	s := &segment{id: id, path: spoolPath(dir, id, "log"), ipth: spoolPath(dir, id, "idx"), names: map[uint32]*record.Writer{}, adopted: true}
	s.sealed.Store(true)
	var err error
	if s.data, err = os.Open(s.path); err != nil {
		return nil, fmt.Errorf("open log segment: %w", err)
	}
	if _, err = os.Stat(s.ipth); errors.Is(err, os.ErrNotExist) {
		s.noIndex, s.settled, s.drained = true, true, true
		return s, nil
	}
	return s, nil
}

// load reads an adopted segment's index.
func (s *segment) load() error {
	if !s.adopted || s.imap != nil {
		return nil
	}
	var err error
	if s.imap, err = os.ReadFile(s.ipth); err != nil {
		return fmt.Errorf("read log segment: %w", err)
	}
	return nil
}

func (s *segment) unmap() error {
	m := s.imap
	s.imap, s.buf = nil, nil
	if s.adopted || m == nil {
		return nil
	}
	return unix.Munmap(m)
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

// owe adds to what is to be registered. Called with mu held.
func (s *segment) owe(n int64) {
	s.pending += n
	s.total.Add(n)
}

// room reports whether a payload of n bytes and up to three rows (open, writer, write) fit.
func (s *segment) room(n int) bool {
	return s.used+n <= s.size && (s.rows+4)*rowSize <= len(s.imap)
}

// add appends a row with its payload. After an error there is no row. Called with wal.mu held and room made.
func (s *segment) add(r row, p []byte) (record.Extent, error) {
	if _, err := s.data.WriteAt(p, int64(s.used)); err != nil {
		return record.Extent{}, fmt.Errorf("write log segment: %w", err)
	}
	r.off, r.length, r.crc = uint32(s.used), uint32(len(p)), record.CRC(p)
	s.used += len(p)
	r.put(s.imap[s.rows*rowSize:])
	s.rows++
	return record.Extent{Spool: s.id, Off: int64(r.off), Len: r.length}, nil
}

// row returns row n; whole is false when there is none or it does not verify, which torn tells apart.
func (s *segment) row(n int) (r row, whole, torn bool) {
	return getRow(s.imap[n*rowSize : (n+1)*rowSize])
}

// next returns the next row that has not been seen, with its payload, which is nil if it cannot be read. Only the
// follower calls it. In a segment of an earlier process rows may be missing before others: the machine lost power.
func (s *segment) next() (r row, p []byte, ok bool) {
	skipped := 0
	for n := s.read; (n+1)*rowSize <= len(s.imap); n++ {
		r, whole, torn := s.row(n)
		if whole {
			s.bad += skipped
			s.read, s.rowsEnd = n+1, (n+1)*rowSize
			s.dataEnd = max(s.dataEnd, int64(r.off)+int64(r.length))
			return r, s.payload(r), true
		}
		if !s.adopted {
			break
		}
		if torn {
			s.bad++
		} else {
			skipped++
		}
	}
	return row{}, nil, false
}

// payload returns what a row refers to, valid until the next call; nil if it is not there. Rows that can be seen behind it
// are read with it: a call for each line of few bytes would cost more than the line. Nothing is read through a map, where the
// first look at a page is a fault.
func (s *segment) payload(r row) []byte {
	from, end := int64(r.off), int64(r.off)+int64(r.length)
	if from >= s.bufAt && end <= s.bufAt+int64(len(s.buf)) {
		return s.buf[from-s.bufAt : end-s.bufAt]
	}
	if r.length > maxPayload {
		return nil
	}
	if r.length == 0 {
		return []byte{}
	}
	if !s.fill(from, s.ahead(end, from+readAhead)) && !s.fill(from, end) {
		return nil
	}
	return s.buf[:r.length]
}

// readAhead is how much is read at once, if it is there.
const readAhead = 64 << 10

// ahead returns where the payload of the rows behind the last one seen ends, from end on and at most to limit.
func (s *segment) ahead(end, limit int64) int64 {
	for n := s.read; (n+1)*rowSize <= len(s.imap); n++ {
		r, whole, _ := s.row(n)
		if !whole || int64(r.off) != end || end+int64(r.length) > limit {
			break
		}
		end += int64(r.length)
	}
	return end
}

// fill reads from..end of the payload into the buffer.
func (s *segment) fill(from, end int64) bool {
	n := int(end - from)
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	s.buf, s.bufAt = s.buf[:n], from
	if _, err := s.data.ReadAt(s.buf, from); err != nil {
		s.buf = s.buf[:0]
		return false
	}
	return true
}

// maxPayload bounds what a row of an earlier process may ask for: the kernel's largest WRITE is far below.
const maxPayload = 64 << 20

func (s *segment) readAt(p []byte, off int64) error {
	n, err := s.data.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return fmt.Errorf("read log segment %s at %d: got %d of %d bytes: %w: %v", s.path, off, n, len(p), record.ErrGone, err)
}

// sync brings the segment to disk. One that has been released to the end needs no disk.
func (s *segment) sync() error {
	s.mu.Lock()
	data, idx := s.data, s.idx
	s.mu.Unlock()
	var err error
	if idx == nil {
		err = syncPath(s.ipth)
	}
	for _, f := range []*os.File{data, idx} {
		if f == nil {
			continue
		}
		if e := f.Sync(); errors.Is(e, os.ErrClosed) { // settled meanwhile
			err = errors.Join(err, syncPath(f.Name()))
		} else {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return fmt.Errorf("sync log segment %s: %w", s.path, err)
	}
	return nil
}

// syncPath brings a file to disk if there is one.
func syncPath(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// settle gives up the maps and the room allocated ahead, once all is registered. The index stays on disk until all
// is released: the queue may not be on disk yet, and fsync(2) has promised that the bytes are.
func (s *segment) settle() error {
	s.settled = true
	err := s.unmap()
	s.mu.Lock()
	idx := s.idx
	s.idx = nil
	s.mu.Unlock()
	if idx != nil {
		err = errors.Join(err, idx.Close())
	}
	if s.rowsEnd > 0 {
		err = errors.Join(err, os.Truncate(s.path, s.dataEnd), os.Truncate(s.ipth, int64(s.rowsEnd)))
	}
	return err
}

// dropIndex deletes the index of a settled segment once all is released, and what was found so at the start has rested. It
// reports whether it did. Only the follower calls it and reclaim; of a settled segment nothing becomes queued or unanswered, so
// the lock is not held over the deletion.
func (s *segment) dropIndex() (bool, error) {
	s.mu.Lock()
	stays := s.noIndex || !s.settled || s.queued > 0 || s.rests || s.unanswered.Load() > 0
	s.mu.Unlock()
	if stays {
		return false, nil
	}
	if err := os.Remove(s.ipth); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("delete log index: %w", err)
	}
	s.mu.Lock()
	s.noIndex = true
	s.mu.Unlock()
	return true, nil
}

// release says that what was found has rested.
func (s *segment) release() {
	s.mu.Lock()
	s.rests = false
	s.mu.Unlock()
}

// reclaim deletes the data once nobody needs it. Only the follower calls it, who alone makes that views need it. It reports whether
// the segment is gone.
func (s *segment) reclaim() (bool, error) {
	s.mu.Lock()
	gone, stays := s.gone, !s.noIndex || s.queued > 0 || s.views > 0
	s.mu.Unlock()
	if gone || stays {
		return gone, nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("delete log segment: %w", err)
	}
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	s.data.Close() // deleted
	return true, nil
}

// over reports whether the segment's data is deleted.
func (s *segment) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// registered reports whether the follower has read everything and the queue has it.
func (s *segment) registered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drained && s.pending <= 0
}
