package queue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"ftfuse/internal/record"
)

// faults decides which storage operations fail. Syncs are counted but not done, for speed: kill -9 needs none.
type faults struct {
	mu     sync.Mutex
	n      int    // operations so far
	at     int    // the one that fails; 0 none
	until  int    // with sticky, every write-like one up to here
	err    error  // what they fail with
	hit    string // the first that failed
	writes bool   // only write-like operations count as failing
}

func (f *faults) op(name string, writes bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.at == 0 || f.n < f.at || f.n > max(f.until, f.at) || f.writes && !writes {
		return nil
	}
	if f.hit == "" {
		f.hit = fmt.Sprintf("%s (operation %d)", name, f.n)
	}
	return &faultError{name, f.err}
}

type faultError struct {
	name string
	err  error
}

func (e *faultError) Error() string { return "injected at " + e.name + ": " + e.err.Error() }
func (e *faultError) Unwrap() error { return e.err }

func (f *faults) open(path string) (storage.Storage, error) {
	if err := f.op("open storage", false); err != nil {
		return nil, err
	}
	s, err := storage.OpenFile(path, false)
	if err != nil {
		return nil, err
	}
	return &faultStorage{s, f}, nil
}

type faultStorage struct {
	storage.Storage
	f *faults
}

func (s *faultStorage) SetMeta(fd storage.FileDesc) error {
	if err := s.f.op("set meta", true); err != nil {
		return err
	}
	return s.Storage.SetMeta(fd)
}

func (s *faultStorage) GetMeta() (storage.FileDesc, error) {
	if err := s.f.op("get meta", false); err != nil {
		return storage.FileDesc{}, err
	}
	return s.Storage.GetMeta()
}

func (s *faultStorage) List(t storage.FileType) ([]storage.FileDesc, error) {
	if err := s.f.op("list", false); err != nil {
		return nil, err
	}
	return s.Storage.List(t)
}

func (s *faultStorage) Open(fd storage.FileDesc) (storage.Reader, error) {
	if err := s.f.op("open "+fd.Type.String(), false); err != nil {
		return nil, err
	}
	r, err := s.Storage.Open(fd)
	if err != nil {
		return nil, err
	}
	return &faultReader{r, s.f, fd.Type.String()}, nil
}

func (s *faultStorage) Create(fd storage.FileDesc) (storage.Writer, error) {
	if err := s.f.op("create "+fd.Type.String(), true); err != nil {
		return nil, err
	}
	w, err := s.Storage.Create(fd)
	if err != nil {
		return nil, err
	}
	return &faultWriter{w, s.f, fd.Type.String()}, nil
}

func (s *faultStorage) Remove(fd storage.FileDesc) error {
	if err := s.f.op("remove "+fd.Type.String(), true); err != nil {
		return err
	}
	return s.Storage.Remove(fd)
}

func (s *faultStorage) Rename(from, to storage.FileDesc) error {
	if err := s.f.op("rename "+from.Type.String(), true); err != nil {
		return err
	}
	return s.Storage.Rename(from, to)
}

type faultReader struct {
	storage.Reader
	f    *faults
	what string
}

func (r *faultReader) Read(p []byte) (int, error) {
	if err := r.f.op("read "+r.what, false); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

func (r *faultReader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.f.op("read "+r.what, false); err != nil {
		return 0, err
	}
	return r.Reader.ReadAt(p, off)
}

type faultWriter struct {
	storage.Writer
	f    *faults
	what string
}

// Write leaves half of what it was given when it fails, as a full disk does.
func (w *faultWriter) Write(p []byte) (int, error) {
	if err := w.f.op("write "+w.what, true); err != nil {
		n, _ := w.Writer.Write(p[:len(p)/2])
		return n, err
	}
	return w.Writer.Write(p)
}

func (w *faultWriter) Sync() error { return w.f.op("sync "+w.what, true) }

// receiver is a destination that takes each sequence of an epoch once, as ingest does by its mark.
type receiver struct {
	marks map[uint64]uint64
	texts []string
	gaps  []string
}

func (r *receiver) put(chunks []record.Chunk) {
	for i := range chunks {
		c := &chunks[i]
		if c.Seq <= r.marks[c.Source.Epoch] {
			continue
		}
		r.marks[c.Source.Epoch] = c.Seq
		if c.Gap != nil {
			r.gaps = append(r.gaps, fmt.Sprintf("%d-%d %v", c.Gap.First, c.Seq, c.Gap.Reason))
			continue
		}
		r.texts = append(r.texts, string(c.Data))
	}
}

// world is a sender's life on a disk that fails.
type world struct {
	t    *testing.T
	o    Options
	q    *Queue
	c    *Cursor
	recv receiver
	sent []string
	tips int // attempts that failed
}

const patience = 60 // attempts before a test gives up

func (w *world) insist(what string, f func() error) {
	w.t.Helper()
	var err error
	for range patience {
		if err = f(); err == nil {
			return
		}
		w.tips++
	}
	w.t.Fatalf("%s: did not go on by itself: %v", what, err)
}

func (w *world) open() {
	w.t.Helper()
	var r *Recovery
	w.insist("open", func() (err error) { w.q, r, err = Open(w.o); return err })
	w.insist("cursor", func() (err error) { w.c, err = w.q.Cursor("a"); return err })
	w.insist("replay", func() error { return r.Replay(func([]record.Chunk) error { return nil }) })
}

func (w *world) append(text string) {
	w.t.Helper()
	w.insist("append", func() error { return w.q.Append([]record.Chunk{inline("r", text), inline("s", text+"s")}) })
	w.sent = append(w.sent, text, text+"s")
}

func (w *world) deliver(limit int64) {
	w.t.Helper()
	var b record.Batch
	var ok bool
	w.insist("next", func() (err error) { b, ok, err = w.c.read(limit); return err })
	if !ok {
		return
	}
	w.recv.put(b.Chunks)
	if err := w.c.Ack(b.Last, record.Durable{Seq: b.Chunks[len(b.Chunks)-1].Seq}); err != nil {
		w.t.Fatalf("ack: %v", err)
	}
}

// live is the same life for every fault: appends, deliveries, rotations, a clean restart and a crash.
func (w *world) live() {
	w.recv.marks = make(map[uint64]uint64)
	w.open()
	for i := range 24 {
		w.append(fmt.Sprintf("%03d %0200d", i, i))
		if i%3 == 0 {
			w.deliver(300)
		}
		if i%7 == 0 {
			w.insist("commit", func() error { return w.q.commit(false) })
		}
		switch i {
		case 9:
			err := w.q.Close() // an error means that it was not orderly, no more
			if err != nil {
				w.tips++
			}
			w.open()
		case 17:
			crash(w.q)
			w.open()
		}
	}
	for {
		before := len(w.recv.texts)
		w.deliver(1 << 20)
		if len(w.recv.texts) == before {
			break
		}
	}
}

func (w *world) verify() {
	w.t.Helper()
	if !slices.Equal(w.recv.texts, w.sent) {
		w.t.Errorf("received %d texts, want the %d sent, once and in order; gaps %v", len(w.recv.texts), len(w.sent), w.recv.gaps)
	}
	if len(w.recv.gaps) > 0 {
		w.t.Errorf("got gaps %v, want none: every acknowledged chunk is still on the disk", w.recv.gaps)
	}
	s := w.q.Stats()
	for _, c := range s.Cursors {
		for i := range c.Rules {
			if r := &c.Rules[i]; !r.Balanced() || r.Captured.Records != 24 {
				w.t.Errorf("cursor %s: does not add up to 24 records: %+v", c.Name, *r)
			}
		}
	}
	if s.Mismatch != 0 {
		w.t.Errorf("got %d mismatches", s.Mismatch)
	}
	var last uint64
	for _, m := range w.recv.marks {
		last = max(last, m)
	}
	if last != uint64(len(w.sent)) {
		w.t.Errorf("last sequence: got %d, want %d: no holes", last, len(w.sent))
	}
}

func runWorld(t *testing.T, f *faults, durability Durability) *world {
	o := options(fastDir(t))
	o.Storage, o.Durability = f.open, durability
	o.SegmentEntries, o.WriteBuffer = 12, 2<<10
	o.RetryEvery = 1 // ns: attempts follow each other at once
	o.CommitEvery = time.Hour
	w := &world{t: t, o: o}
	w.live()
	w.verify()
	w.q.Close()
	return w
}

// from returns where to begin when only one of step operations is to fail, and prints it.
func from(t *testing.T, step int) int {
	first := 1 + rand.IntN(step)
	t.Logf("one of %d operations fails, from number %d on", step, first)
	return first
}

// TestEveryOperationFailsOnce fails storage operation i for every i. With the race detector, which makes this eight times
// as slow, it is every fourth, from a random one on.
func TestEveryOperationFailsOnce(t *testing.T) {
	quiet := &faults{}
	runWorld(t, quiet, Disk)
	if quiet.n < 300 {
		t.Fatalf("got %d operations without faults, want at least 300", quiet.n)
	}
	step := 1
	if raceEnabled {
		step = 4
	}
	felt := 0
	for i := from(t, step); i <= quiet.n && !t.Failed(); i += step {
		f := &faults{at: i, err: syscall.EIO}
		w := runWorld(t, f, Disk)
		if t.Failed() {
			t.Fatalf("fault at %d of %d: %s", i, quiet.n, f.hit)
		}
		felt += w.tips + int(w.q.recovered)
	}
	t.Logf("%d operations, %d faults felt", quiet.n, felt)
	if felt == 0 {
		t.Fatal("no fault was ever felt: the injection does not work")
	}
}

// TestDiskFullForAWhile lets every write-like operation fail from operation i on, for a while.
func TestDiskFullForAWhile(t *testing.T) {
	quiet := &faults{}
	runWorld(t, quiet, OS)
	step := 3
	if raceEnabled {
		step = 9
	}
	full := 0
	for i := from(t, step); i <= quiet.n; i += step {
		f := &faults{at: i, until: i + 40, writes: true, err: syscall.ENOSPC}
		w := runWorld(t, f, OS)
		if t.Failed() {
			t.Fatalf("full from %d of %d on: %s", i, quiet.n, f.hit)
		}
		full += w.tips
	}
	t.Logf("%d operations, %d attempts failed", quiet.n, full)
	if full == 0 {
		t.Fatal("no attempt has failed: the injection does not work")
	}
}

func TestFullDiskIsSaidSo(t *testing.T) {
	f := &faults{}
	o := options(t.TempDir())
	o.Storage, o.RetryEvery = f.open, 1
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	appendAll(t, q, inline("r", "1"))
	f.mu.Lock()
	f.at, f.until, f.err, f.writes = 1, 1<<30, syscall.ENOSPC, true
	f.mu.Unlock()
	for range 5 {
		if err := q.Append([]record.Chunk{inline("r", "refused")}); !errors.Is(err, record.ErrFull) {
			t.Fatalf("got %v, want full", err)
		}
	}
	f.mu.Lock()
	f.at = 0
	f.mu.Unlock()
	appendAll(t, q, inline("r", "2"))
	all, _ := drain(t, c, 1)
	if got := wholeSequence(t, all, 1); !slices.Equal(got, []string{"1", "2"}) {
		t.Fatalf("got %q", got)
	}
	balanced(t, q)
}

// TestRealFullDisk fills a small file system to the last byte, twice, and drains it.
func TestRealFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("queue", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	o := options(dir)
	o.RetryEvery, o.SegmentEntries, o.CommitEvery = 1, 100, 1
	q, _ := open(t, o)
	defer q.Close()
	c := cursor(t, q, "a")
	var sent, got []string
	for round := range 2 {
		for n := 0; ; n++ {
			text := fmt.Sprintf("%d/%d %01000d", round, n, n)
			err := q.Append([]record.Chunk{inline("r", text)})
			if errors.Is(err, record.ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			sent = append(sent, text)
		}
		if err := os.WriteFile(dir+"/filler", make([]byte, 4<<20), 0o600); err == nil {
			t.Fatal("the disk is not full")
		}
		for {
			b, ok := next(t, c, 10000)
			if !ok {
				break
			}
			for i := range b.Chunks {
				got = append(got, string(b.Chunks[i].Data))
			}
			if err := c.Ack(b.Last, record.Durable{Seq: b.Last}); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(dir + "/filler"); err != nil {
			t.Fatal(err)
		}
	}
	if len(sent) < 1000 || !slices.Equal(got, sent) {
		t.Fatalf("sent %d, got %d: want the same, at least 1000", len(sent), len(got))
	}
	balanced(t, q)
	if s := q.Stats(); s.Held != 0 || s.Cursors[0].Rules[0].Dropped != nil {
		t.Fatalf("got %+v", s)
	}
}
