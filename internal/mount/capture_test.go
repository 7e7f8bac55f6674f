package mount

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
)

// testCapture keeps what it captures in real files: a content file per captured file, a spool per open. Spools are
// followed when somebody looks.
type testCapture struct {
	dir string

	mu      sync.Mutex
	files   map[record.FileKey]*testFile
	kept    map[record.FileKey]*testFile // all there ever were, as long as they are not removed
	lines   map[string][]byte            // what was captured, by path at open
	writers map[string]*record.Writer    // the last writer by path
	spools  atomic.Int64
	open    atomic.Int64 // handles not released
	blocked chan struct{}
	waits   chan struct{} // holds a token when a write waits for blocked
}

func newTestCapture(dir string) *testCapture {
	return &testCapture{dir: dir, files: map[record.FileKey]*testFile{}, kept: map[record.FileKey]*testFile{},
		lines: map[string][]byte{}, writers: map[string]*record.Writer{}, waits: make(chan struct{}, 1)}
}

func (c *testCapture) File(key record.FileKey, path string, below func(int) (*os.File, error)) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.kept[key]
	if f == nil {
		f = &testFile{c: c, key: key, path: path, below: below}
		var err error
		if f.content, err = os.Create(filepath.Join(c.dir, fmt.Sprintf("content-%d-%d", key.Ino, key.Birth))); err != nil {
			return nil, err
		}
		b, err := below(unix.O_RDONLY)
		if err != nil {
			return nil, err
		}
		defer b.Close()
		if _, err := io.Copy(f.content, b); err != nil {
			return nil, err
		}
		c.kept[key] = f
	}
	if c.files[key] != nil {
		return nil, fmt.Errorf("file %v opened twice", key)
	}
	c.files[key] = f
	return f, nil
}

func (c *testCapture) Holds(key record.FileKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept[key] != nil
}

func (c *testCapture) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.kept {
		_ = f.content.Close()
	}
}

// captured returns what was captured for a path, by whatever handle, in the order it was seen.
func (c *testCapture) captured(path string) string {
	c.mu.Lock()
	all := make([]*testFile, 0, len(c.files))
	for _, f := range c.files {
		all = append(all, f)
	}
	c.mu.Unlock()
	for _, f := range all {
		f.Size()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.lines[path])
}

// seen returns the paths that something was captured for.
func (c *testCapture) seen() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]bool{}
	for p := range c.lines {
		all[p] = true
	}
	return all
}

func (c *testCapture) writer(path string) *record.Writer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writers[path]
}

func (c *testCapture) note(path string, p []byte, w *record.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines[path] = append(c.lines[path], p...)
	c.writers[path] = w
}

type testFile struct {
	c     *testCapture
	key   record.FileKey
	below func(flags int) (*os.File, error)

	mu      sync.Mutex
	path    string
	content *os.File
	spools  []*testSpool
	mtime   int64
}

// follow takes what has come into the spools. Called with f.mu held.
func (f *testFile) follow() {
	keep := f.spools[:0]
	for _, s := range f.spools {
		b, err := io.ReadAll(s.r)
		if err != nil {
			panic(err)
		}
		if len(b) > 0 {
			f.add(b)
			f.c.note(s.path, b, s.w)
		}
		if s.done {
			_ = s.r.Close()
			continue
		}
		keep = append(keep, s)
	}
	f.spools = keep
}

func (f *testFile) add(b []byte) {
	end, _ := f.content.Seek(0, io.SeekEnd)
	if _, err := f.content.WriteAt(b, end); err != nil {
		panic(err)
	}
	f.mtime = time.Now().UnixNano()
}

func (f *testFile) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.follow()
	st, err := f.content.Stat()
	if err != nil {
		panic(err)
	}
	return st.Size()
}

func (f *testFile) ModTime() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mtime
}

func (f *testFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.follow()
	n, err := f.content.ReadAt(p, off)
	if bytes.Contains(p[:n], []byte("GONE")) {
		return 0, fmt.Errorf("read at %d: %w", off, record.ErrGone)
	}
	return n, err
}

func (f *testFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.follow()
	w, err := f.below(unix.O_WRONLY) // the real one cuts it
	if errors.Is(err, unix.EAGAIN) {
		return err
	}
	if err == nil {
		_ = w.Close()
	}
	return f.content.Truncate(size)
}

func (f *testFile) OpenSpool(_ record.Decision, path string, w *record.Writer) (Spool, error) {
	if strings.Contains(path, "nospool") {
		return nil, fmt.Errorf("open spool: %w", record.ErrFull)
	}
	name := filepath.Join(f.c.dir, fmt.Sprintf("spool-%d", f.c.spools.Add(1)))
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return nil, err
	}
	r, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s := &testSpool{f: f, path: path, w: w, r: r}
	f.c.open.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spools = append(f.spools, s)
	return s, nil
}

func (f *testFile) OpenLog(_ record.Decision, path string, _ *record.Writer) (Log, error) {
	if strings.Contains(path, "refused") {
		return nil, fmt.Errorf("open log: %w", record.ErrFull)
	}
	f.c.open.Add(1)
	return &testLog{f: f, path: path, gone: make(chan struct{})}, nil
}

// What a successor needs is tested with the real capture stage.
func (f *testFile) AdoptSpool(uint64) (Spool, error) { return nil, record.ErrGone }

func (f *testFile) AdoptLog(uint64, record.Decision, string, *record.Writer) (Log, error) {
	return nil, record.ErrGone
}

func (f *testFile) Sync() error { return f.content.Sync() }

func (f *testFile) Renamed(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.path = path
}

func (f *testFile) Removed() {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	delete(f.c.kept, f.key)
}

func (f *testFile) Close() {
	f.mu.Lock()
	f.follow()
	f.mu.Unlock()
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.c.files[f.key] == f {
		delete(f.c.files, f.key)
	}
	if f.c.kept[f.key] != f {
		_ = f.content.Close()
	}
}

type testSpool struct {
	f    *testFile
	path string
	w    *record.Writer
	r    *os.File
	done bool // under f.mu
}

func (s *testSpool) ID() uint64  { return 1 }
func (s *testSpool) Leave()      {}
func (s *testSpool) Fd() int     { return int(s.r.Fd()) }
func (s *testSpool) Sync() error { return s.r.Sync() }
func (s *testSpool) Release() {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.done = true
	s.f.c.open.Add(-1)
	s.f.follow()
}

type testLog struct {
	f     *testFile
	path  string
	syncs atomic.Int64
	gone  chan struct{}
	left  sync.Once
}

func (l *testLog) Write(p []byte, off int64, app, sync bool, w *record.Writer, _ uint64) (int, error) {
	switch {
	case bytes.Contains(p, []byte("PANIC")):
		panic("asked for by a test")
	case bytes.Contains(p, []byte("FULL")):
		return 0, fmt.Errorf("write: %w", record.ErrFull)
	case bytes.Contains(p, []byte("WAIT")):
		l.f.c.waits <- struct{}{}
		select {
		case <-l.f.c.blocked:
		case <-l.gone:
			return 0, fmt.Errorf("write: %w", record.ErrFull)
		}
	}
	if sync {
		l.syncs.Add(1)
		p = bytes.ReplaceAll(p, []byte("sync"), []byte("SYNC"))
	}
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	l.f.follow()
	l.f.c.note(l.path, p, w)
	if app {
		l.f.add(p)
		return len(p), nil
	}
	l.f.mtime = time.Now().UnixNano()
	_, err := l.f.content.WriteAt(p, off)
	return len(p), err
}

func (l *testLog) ID() uint64                 { return 1 }
func (l *testLog) Written(uint64) (int, bool) { return 0, false }
func (l *testLog) Answered(uint64)            {}

func (l *testLog) Sync() error { return l.f.content.Sync() }
func (l *testLog) Release()    { l.f.c.open.Add(-1) }
func (l *testLog) Leave()      { l.left.Do(func() { close(l.gone) }) }

// testRules store rotated names and capture everything else; a path says what is special about it.
type testRules struct{}

func (testRules) Decide(_, path string) record.Decision {
	d := record.Decision{Rule: "default", Send: true}
	base := filepath.Base(path)
	switch ext := filepath.Ext(base); {
	case ext == ".gz", ext == ".stored", len(ext) == 2 && ext[1] >= '0' && ext[1] <= '9':
		d.Send = false
	case strings.HasPrefix(base, "unit-write"):
		d.Unit = record.Write
	case strings.HasPrefix(base, "write"):
		d.Capture = record.WriteMode
	case strings.HasPrefix(base, "block"):
		d.Capture, d.WhenFull = record.WriteMode, record.Block
	}
	return d
}

// testIdentity answers what the kernel says, with the program's name.
type testIdentity struct{ calls atomic.Int64 }

func (t *testIdentity) Identify(kind record.WriterKind, tid, uid, gid uint32) *record.Writer {
	t.calls.Add(1)
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", tid))
	return &record.Writer{Kind: kind, TID: tid, UID: uid, GID: gid, Comm: strings.TrimSpace(string(comm))}
}

// paths returns the paths of the files in use.
func (c *testCapture) paths() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var l []string
	for _, f := range c.files {
		f.mu.Lock()
		l = append(l, f.path)
		f.mu.Unlock()
	}
	sort.Strings(l)
	return strings.Join(l, " ")
}
