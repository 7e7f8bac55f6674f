package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftfuse/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chain is the next stage of these tests: it keeps what it is given, and what each handle's bytes are.
type chain struct {
	mu     sync.Mutex
	store  record.Store
	chunks []record.Chunk
	bytes  map[uint64][]byte // by handle
	gaps   []record.Gap
	fail   error
	more   chan struct{}
}

func (s *chain) Put(_ context.Context, chunks []record.Chunk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for _, c := range chunks {
		c.Extents = append([]record.Extent(nil), c.Extents...)
		s.chunks = append(s.chunks, c)
		if c.Gap != nil {
			s.gaps = append(s.gaps, *c.Gap)
			continue
		}
		var data []byte
		for _, e := range c.Extents {
			p := make([]byte, e.Len)
			if err := s.store.ReadExtent(e, p); err != nil {
				return err
			}
			data = append(data, p...)
		}
		if record.CRC(data) != c.CRC {
			return fmt.Errorf("chunk at %d of handle %x: checksum does not hold", c.Offset, c.Handle)
		}
		s.bytes[c.Handle] = append(s.bytes[c.Handle], data...)
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

// all returns every byte that came, handles in the order of their first chunk.
func (s *chain) all() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b []byte
	seen := map[uint64]bool{}
	for _, c := range s.chunks {
		if !seen[c.Handle] {
			seen[c.Handle] = true
			b = append(b, s.bytes[c.Handle]...)
		}
	}
	return b
}

func (s *chain) waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-s.more:
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			t.Fatalf("%s did not happen; %d chunks came", what, len(s.chunks))
		}
	}
}

// rig is a capture with its follower over a folder, as one process's life.
type rig struct {
	*Capture
	sink *chain
	stop func()
}

func start(t *testing.T, dir string, sink *chain, from Recovery, change func(*Options)) *rig {
	t.Helper()
	o := Options{Dir: dir, Source: &record.Source{Host: "h", BootID: "b"}, Sink: sink, SegmentSize: 1 << 20, Stop: time.Minute,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	sink.store = c
	if err := c.Recover(from); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	r := &rig{Capture: c, sink: sink}
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil && sink.fail == nil {
				t.Error(err)
			}
			c.Close()
		})
	}
	t.Cleanup(r.stop)
	return r
}

func newChain() *chain { return &chain{bytes: map[uint64][]byte{}, more: make(chan struct{}, 1)} }

// replay is what a queue would tell the next process.
func (s *chain) replay(queued bool) Recovery {
	chunks := append([]record.Chunk(nil), s.chunks...)
	return Recovery{
		Replay: func(f func([]record.Chunk) error) error { return f(chunks) },
		Extents: func(f func(record.Extent)) error {
			for _, c := range chunks {
				for _, e := range c.Extents {
					if queued {
						f(e)
					}
				}
			}
			return nil
		},
	}
}

var decision = record.Decision{Rule: "r", Send: true, MaxRecord: record.MaxChunk, Readback: 1 << 20}

func (r *rig) file(t *testing.T, name string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return r.fileAt(t, path)
}

func (r *rig) fileAt(t *testing.T, path string) *File {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	key := record.FileKey{Dev: 1, Ino: st.Sys().(*syscall.Stat_t).Ino}
	f, err := r.File(key, filepath.Base(path), func(flags int) (*os.File, error) { return os.OpenFile(path, flags, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// kernel appends to a spool as the kernel does for an open passthrough handle.
func kernel(t *testing.T, s *Spool) *os.File {
	t.Helper()
	w, err := os.OpenFile(s.r.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func mustWrite(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, f *File) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOpenCaptureFollowsWakesAndEnds(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	f := r.file(t, "a.log")
	sp, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{PID: 9, Comm: "x"})
	if err != nil {
		t.Fatal(err)
	}
	w := kernel(t, sp)
	mustWrite(t, w, "one\ntwo\npar")
	sink.waitFor(t, "first lines", func() bool { return string(sink.all()) == "one\ntwo\n" })
	if got := readAll(t, f); got != "one\ntwo\npar" {
		t.Fatalf("reader sees %q", got)
	}
	time.Sleep(2 * coolAfter) // idle: from polling to the watch
	mustWrite(t, w, "tial\n")
	sink.waitFor(t, "the line that woke it", func() bool { return string(sink.all()) == "one\ntwo\npartial\n" })
	mustWrite(t, w, "no end")
	w.Close()
	sp.Release()
	sink.waitFor(t, "the end", func() bool { return string(sink.all()) == "one\ntwo\npartial\nno end" })
	last := sink.chunks[len(sink.chunks)-1]
	if last.Flags&record.Last == 0 || last.Writer.PID != 9 || last.File.Path != "a.log" || last.File.Mount != "m" {
		t.Fatalf("last chunk is %+v", last)
	}
}

func TestSpoolGoesWhenDeliveredAndUnread(t *testing.T) {
	sink := newChain()
	dir := t.TempDir()
	r := start(t, dir, sink, Recovery{}, nil)
	f := r.file(t, "a.log")
	d := decision
	d.Readback = 0
	sp, err := f.OpenSpool(d, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	w := kernel(t, sp)
	mustWrite(t, w, "line\n")
	w.Close()
	sp.Release()
	sink.waitFor(t, "the line", func() bool { return len(sink.all()) == 5 })
	if _, err := os.Stat(sp.r.path); err != nil {
		t.Fatalf("spool went before it was released: %v", err)
	}
	r.Release(sink.chunks[0].Extents)
	sink.waitFor(t, "deletion", func() bool { _, err := os.Stat(sp.r.path); return errors.Is(err, os.ErrNotExist) })
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, record.ErrGone) {
		t.Fatalf("read of what is gone: %v, want ErrGone", err)
	}
	if f.Size() != 5 {
		t.Fatalf("size %d after delivery, want 5", f.Size())
	}
}

func TestWriteCaptureKeepsThreadsAndReads(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	f := r.file(t, "a.log")
	l, err := f.OpenLog(decision, "m", "a.log", &record.Writer{Kind: record.Opener})
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for i := range 5000 { // several segments
		line := fmt.Sprintf("%d %s\n", i, bytes.Repeat([]byte{'x'}, i%700))
		w := &record.Writer{Kind: record.Thread, TID: uint32(i/1000 + 1)}
		if i%1000 != 0 {
			w = lastWriter
		}
		lastWriter = w
		if n, err := l.Write([]byte(line), 0, true, false, w, 0); err != nil || n != len(line) {
			t.Fatal(n, err)
		}
		want.WriteString(line)
	}
	l.Release()
	sink.waitFor(t, "all lines", func() bool { return len(sink.all()) == want.Len() })
	if !bytes.Equal(sink.all(), want.Bytes()) {
		t.Fatal("bytes differ")
	}
	byTID := map[uint32]uint32{}
	for _, c := range sink.chunks {
		byTID[c.Writer.TID] += c.Records
		if c.Clock != record.Written || len(c.Marks) != int(c.Records) {
			t.Fatalf("chunk has clock %v, %d marks for %d records", c.Clock, len(c.Marks), c.Records)
		}
	}
	for tid := uint32(1); tid <= 5; tid++ {
		if byTID[tid] != 1000 {
			t.Fatalf("records by thread: %v, want 1000 each", byTID)
		}
	}
	if got := readAll(t, f); got != want.String() {
		t.Fatalf("reader sees %d bytes, want %d", len(got), want.Len())
	}
}

var lastWriter *record.Writer

// A process that dies leaves spools and log; the next registers what was not, once, and follows on.
func TestNextProcessGoesOn(t *testing.T) {
	dir := t.TempDir()
	sink := newChain()
	r := start(t, dir, sink, Recovery{}, func(o *Options) { o.Stop = 100 * time.Millisecond })
	f := r.file(t, "a.log")
	sp, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{PID: 1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := f.OpenLog(decision, "m", "a.log", &record.Writer{PID: 2})
	if err != nil {
		t.Fatal(err)
	}
	w := kernel(t, sp)
	mustWrite(t, w, "raw 1\nraw par")
	if _, err := l.Write([]byte("log 1\nlog par"), 0, true, false, &record.Writer{TID: 3}, 0); err != nil {
		t.Fatal(err)
	}
	sink.waitFor(t, "whole lines", func() bool { return len(sink.all()) == 12 })
	sink.mu.Lock()
	sink.fail = errors.New("the process is about to die")
	sink.mu.Unlock()
	mustWrite(t, w, "t\nraw 2\n")
	if _, err := l.Write([]byte("t\nlog 2\nlog end"), 0, true, false, &record.Writer{TID: 3}, 0); err != nil {
		t.Fatal(err)
	}
	r.stop() // registers nothing more: the sink refuses

	next := newChain()
	from := sink.replay(true)
	start(t, dir, next, from, nil)
	mustWrite(t, w, "raw 3\n") // the writer has not noticed
	next.waitFor(t, "the rest", func() bool { return len(next.all()) == len("raw part\nraw 2\nraw 3\n"+"log part\nlog 2\nlog end") })
	got := map[string]bool{}
	for _, b := range next.bytes {
		got[string(b)] = true
	}
	if !got["raw part\nraw 2\nraw 3\n"] || !got["log part\nlog 2\nlog end"] {
		t.Fatalf("the next process registered %v", got)
	}
	w.Close()
}

func TestPickUpBelowOnce(t *testing.T) {
	dir, below := t.TempDir(), filepath.Join(t.TempDir(), "old.log")
	if err := os.WriteFile(below, []byte("before 1\nbefore 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(below, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	sink := newChain()
	r := start(t, dir, sink, Recovery{}, nil)
	f := r.fileAt(t, below)
	if err := r.PickUp(f, decision, "m", "old.log", false); err != nil {
		t.Fatal(err)
	}
	sink.waitFor(t, "what was there", func() bool { return string(sink.all()) == "before 1\nbefore 2\n" })
	mustWrite(t, w, "by an earlier opener\n")
	want := "before 1\nbefore 2\nby an earlier opener\n"
	sink.waitFor(t, "the earlier opener's", func() bool { return string(sink.all()) == want })
	if sink.chunks[0].Flags&record.Below == 0 {
		t.Fatal("not marked as from below")
	}
	if got := readAll(t, f); got != want {
		t.Fatalf("reader sees %q", got)
	}
	r.stop()
	mustWrite(t, w, "while away\n")
	next := newChain()
	r = start(t, dir, next, sink.replay(false), nil)
	if err := r.PickUp(r.fileAt(t, below), decision, "m", "old.log", false); err != nil {
		t.Fatal(err)
	}
	next.waitFor(t, "what came meanwhile", func() bool { return string(next.all()) == "while away\n" })
}

func TestTruncateLosesNothing(t *testing.T) {
	below := filepath.Join(t.TempDir(), "old.log")
	if err := os.WriteFile(below, []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	f := r.fileAt(t, below)
	if err := r.PickUp(f, decision, "m", "old.log", false); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	l, err := f.OpenLog(decision, "m", "old.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("new\n"), 0, false, true, &record.Writer{}, 0); err != nil {
		t.Fatal(err)
	}
	l.Release()
	sink.waitFor(t, "both", func() bool { return string(sink.all()) == "old\nnew\n" })
	if got := readAll(t, f); got != "new\n" {
		t.Fatalf("reader sees %q", got)
	}
	if b, err := os.ReadFile(below); err != nil || len(b) != 0 {
		t.Fatalf("file below holds %q, %v", b, err)
	}
}

func TestWhenFull(t *testing.T) {
	for _, c := range []struct {
		policy record.WhenFull
		ok     bool
	}{{record.Refuse, false}, {record.Block, false}, {record.DropNewest, true}, {record.Local, true}} {
		t.Run(c.policy.String(), func(t *testing.T) {
			sink := newChain()
			r := start(t, t.TempDir(), sink, Recovery{}, func(o *Options) { o.MaxSize, o.Held = 1, func() int64 { return 2 } })
			f := r.file(t, "a.log")
			d := decision
			d.WhenFull, d.Block = c.policy, 30*time.Millisecond
			l, err := f.OpenLog(d, "m", "a.log", &record.Writer{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = l.Write([]byte("x\n"), 0, true, false, &record.Writer{}, 0)
			if c.ok != (err == nil) || err != nil && !errors.Is(err, record.ErrFull) {
				t.Fatalf("write when full: %v", err)
			}
			switch c.policy {
			case record.DropNewest:
				sink.waitFor(t, "the gap", func() bool { sink.mu.Lock(); defer sink.mu.Unlock(); return len(sink.gaps) == 1 })
				if g := sink.gaps[0]; g.Bytes != 2 || g.Records != 1 || g.Reason != record.QueueFull {
					t.Fatalf("gap is %+v", g)
				}
			case record.Local:
				if got := readAll(t, f); got != "x\n" {
					t.Fatalf("reader sees %q", got)
				}
			}
		})
	}
}

// A spool whose header does not verify is set aside and counted, and the others go on.
func TestDamagedSpoolIsSetAside(t *testing.T) {
	dir := t.TempDir()
	bad := spoolPath(dir, 1<<32|1, "raw")
	if err := os.WriteFile(bad, bytes.Repeat([]byte("z"), 2*headerSize), 0o600); err != nil {
		t.Fatal(err)
	}
	sink := newChain()
	r := start(t, dir, sink, Recovery{}, nil)
	sink.waitFor(t, "the gap", func() bool { sink.mu.Lock(); defer sink.mu.Unlock(); return len(sink.gaps) == 1 })
	if g := sink.gaps[0]; g.Reason != record.Damaged || g.Bytes != headerSize {
		t.Fatalf("gap is %+v", g)
	}
	if r.Usage().Damaged != 1 {
		t.Fatalf("usage counts %d damaged, want 1", r.Usage().Damaged)
	}
	if _, err := os.Stat(filepath.Join(dir, "quarantine", filepath.Base(bad))); err != nil {
		t.Fatal(err)
	}
}

// A name that is not sent keeps what was captured under another, and what is written to it then.
func TestKeptUnderARotatedName(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	f := r.file(t, "a.log")
	l, err := f.OpenLog(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	mustLog(t, l, "captured\n")
	l.Release()
	if !r.Holds(f.key) {
		t.Fatal("content is not held")
	}
	f.Renamed("a.log.1")
	d := decision
	d.Send = false
	k, err := f.OpenLog(d, "m", "a.log.1", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	mustLog(t, k, "kept\n")
	k.Release()
	if got := readAll(t, f); got != "captured\nkept\n" {
		t.Fatalf("reader sees %q", got)
	}
	r.stop()
	if got := string(sink.all()); got != "captured\n" {
		t.Fatalf("sent %q", got)
	}
}

func mustLog(t *testing.T, l *Log, s string) {
	t.Helper()
	if _, err := l.Write([]byte(s), 0, true, false, &record.Writer{}, 0); err != nil {
		t.Fatal(err)
	}
}

// What is kept only for readers is no reason to refuse a write, and a drop counts the lines that went.
func TestPoliciesCountWhatIsNotDelivered(t *testing.T) {
	sink := newChain()
	var held atomic.Int64
	r := start(t, t.TempDir(), sink, Recovery{}, func(o *Options) {
		o.MaxSize, o.Held = 4096, held.Load
	})
	f := r.file(t, "a.log")
	d := decision
	d.WhenFull = record.Refuse
	l, err := f.OpenLog(d, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		mustLog(t, l, strings.Repeat("x", 1023)+"\n")
		sink.waitFor(t, "registration", func() bool { return len(sink.all()) == (i+1)*1024 })
		sink.waitFor(t, "the account", func() bool { return r.pending.Load() == 0 })
	}
	held.Store(4096)
	if _, err := l.Write([]byte("y\n"), 0, true, false, &record.Writer{}, 0); !errors.Is(err, record.ErrFull) {
		t.Fatalf("write with a full queue: %v, want ErrFull", err)
	}
	d.WhenFull = record.DropNewest
	n, err := f.OpenLog(d, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	mustLog(t, n, "one\ntwo\nthree\n")
	sink.waitFor(t, "the gap", func() bool { sink.mu.Lock(); defer sink.mu.Unlock(); return len(sink.gaps) == 1 })
	if g := sink.gaps[0]; g.Records != 3 || g.Bytes != 14 {
		t.Fatalf("gap is %+v, want 3 records of 14 bytes", g)
	}
}
