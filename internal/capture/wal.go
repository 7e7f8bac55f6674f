package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// wal is the write-capture log: what write(2) wrote is in the memory map of the newest segment before it is
// answered, and a map of a file survives the process.
type wal struct {
	dir   string
	size  int // bytes of payload per segment
	newID func() uint64
	total *atomic.Int64  // bytes of all segments that are not registered
	added func(*segment) // makes a new segment readable; called with mu held

	mu       sync.Mutex // guards the newest segment and the list; held for one write into the page cache
	active   *segment
	fresh    []*segment // segments the follower has not taken over yet
	unsynced []*segment // segments with data that may not be on disk
	err      error      // why no segment can be made; cleared when one can
	closed   bool
}

// logHandle is the log's knowledge of one write-capture handle. Guarded by wal.mu.
type logHandle struct {
	meta *meta
	js   []byte // meta, encoded
	pos  uint64 // stream offset of the next byte
}

func newLogHandle(m *meta) (*logHandle, error) {
	js, err := m.encode()
	if err != nil {
		return nil, fmt.Errorf("open log handle: %w", err)
	}
	return &logHandle{meta: m, js: js, pos: m.Start}, nil
}

// logPos is a row of the log. Positions grow over the sender's whole life.
type logPos struct {
	Seg uint64 `json:"seg"`
	Row int    `json:"row"`
}

func (p logPos) before(o logPos) bool { return p.Seg < o.Seg || p.Seg == o.Seg && p.Row < o.Row }

// write appends p for h and returns where it lies, and in which segment. unique is that of the request whose answer
// waits for it, 0 for none.
func (l *wal) write(h *logHandle, p []byte, voff int64, w *record.Writer, unique uint64) (record.Extent, logPos, *segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.reserve(h, len(p), w)
	if err != nil {
		return record.Extent{}, logPos{}, nil, err
	}
	at := time.Now().UnixNano()
	owe := func(sign int32) { // the follower must not see the row before
		if unique != 0 {
			s.unanswered.Add(sign)
		}
		s.mu.Lock()
		s.owe(int64(sign) * int64(len(p)))
		s.mu.Unlock()
	}
	owe(1)
	e, err := l.add(s, row{kind: rowWrite, writer: s.writers[w], handle: h.meta.ID, stream: h.pos, at: at, unique: unique, voff: voff}, p)
	if err != nil {
		owe(-1)
		return record.Extent{}, logPos{}, nil, err
	}
	h.pos += uint64(len(p))
	return e, logPos{s.id, s.rows - 1}, s, nil
}

// finish writes that the handle is closed.
func (l *wal) finish(h *logHandle) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.pos == h.meta.Start {
		return nil // nothing was written: the log does not know the handle
	}
	s, err := l.reserve(h, 0, nil)
	if err != nil {
		return err
	}
	_, err = l.add(s, row{kind: rowClose, handle: h.meta.ID, stream: h.pos}, nil)
	return err
}

// reserve makes room for n bytes and sees that the segment knows the handle and the writer. Called with mu held.
func (l *wal) reserve(h *logHandle, n int, w *record.Writer) (*segment, error) {
	if l.closed {
		return nil, fmt.Errorf("write log: %w", record.ErrClosed)
	}
	extra := 0
	var wjs []byte
	s := l.active
	if s == nil || !s.known[h.meta.ID] {
		extra += len(h.js)
	}
	if w != nil {
		if s == nil || s.writers[w] == 0 {
			wjs = encodeWriter(w)
			extra += len(wjs)
		}
	}
	if s == nil || !s.room(n+extra) {
		if err := l.rotate(n + len(h.js) + 8192); err != nil {
			return nil, err
		}
		s = l.active
	}
	if !s.known[h.meta.ID] {
		if _, err := l.add(s, row{kind: rowOpen, handle: h.meta.ID, stream: h.pos}, h.js); err != nil {
			return nil, err
		}
		s.known[h.meta.ID] = true
	}
	if w != nil && s.writers[w] == 0 {
		if wjs == nil {
			wjs = encodeWriter(w)
		}
		num := uint32(len(s.writers) + 1)
		if _, err := l.add(s, row{kind: rowWriter, writer: num}, wjs); err != nil {
			return nil, err
		}
		s.writers[w] = num
	}
	return s, nil
}

// rotate seals the newest segment and begins another. Called with mu held.
func (l *wal) rotate(need int) error {
	size := max(l.size, need)
	s, err := createSegment(l.dir, l.newID(), size, max(size/256, 1024))
	if errors.Is(err, unix.ENOSPC) && size > need { // a nearly full disk may still have room for a little one
		size = max(need, 64<<10)
		s, err = createSegment(l.dir, l.newID(), size, 1024)
	}
	l.err = err
	if err != nil {
		return err
	}
	s.total = l.total
	l.end()
	l.unsynced = slices.DeleteFunc(l.unsynced, (*segment).over)
	l.active = s
	l.fresh = append(l.fresh, s)
	l.added(s)
	l.unsynced = append(l.unsynced, s)
	return nil
}

// take hands segments made since the last call to the follower.
func (l *wal) take() []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fresh
	l.fresh = nil
	return f
}

// seal ends the newest segment, so that the follower can drain it.
func (l *wal) seal(closing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = l.closed || closing
	l.end()
}

// add appends a row to the newest segment. A segment that cannot be written is ended: the next write begins another, whose
// blocks are sound perhaps. Called with mu held.
func (l *wal) add(s *segment, r row, p []byte) (record.Extent, error) {
	e, err := s.add(r, p)
	if err != nil {
		l.end()
	}
	return e, err
}

// end seals the newest segment if there is one. Called with mu held.
func (l *wal) end() {
	if s := l.active; s != nil {
		s.sealed.Store(true)
		s.known, s.writers, l.active = nil, nil, nil
	}
}

// sync brings all that has been written to disk.
func (l *wal) sync() error {
	l.mu.Lock()
	todo := append([]*segment(nil), l.unsynced...)
	l.mu.Unlock()
	for _, s := range todo {
		sealed := s.sealed.Load()
		if err := s.sync(); err != nil {
			return err
		}
		if sealed {
			l.mu.Lock()
			l.unsynced = slices.DeleteFunc(l.unsynced, func(u *segment) bool { return u == s })
			l.mu.Unlock()
		}
	}
	return syncDir(l.dir)
}

// writerJSON carries the byte strings as bytes: comm and exe need not be UTF-8.
type writerJSON struct {
	W    record.Writer
	Comm []byte
	Exe  []byte
}

func encodeWriter(w *record.Writer) []byte {
	j := writerJSON{W: *w, Comm: []byte(w.Comm), Exe: []byte(w.Exe)}
	j.W.Comm, j.W.Exe = "", ""
	b, err := json.Marshal(j)
	if err != nil { // a struct of numbers, strings and bytes always encodes
		panic(err)
	}
	return b
}

func decodeWriter(b []byte) (*record.Writer, error) {
	var j writerJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, fmt.Errorf("%w: %v", record.ErrCorrupt, err)
	}
	j.W.Comm, j.W.Exe = string(j.Comm), string(j.Exe)
	return &j.W, nil
}
