package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// hungry delivers and releases at once what it is given, and refuses now and then.
type hungry struct {
	*chain
	c *Capture
	n int
}

func (h *hungry) Put(ctx context.Context, chunks []record.Chunk) error {
	if h.n++; h.n%7 == 0 {
		return errors.New("disk full")
	}
	if err := h.chain.Put(ctx, chunks); err != nil {
		return err
	}
	for i := range chunks {
		h.c.Release(chunks[i].Extents)
	}
	return nil
}

// Writers, readers, fsync and truncate against a follower that registers, reclaims and deletes as fast as it can.
func TestEverybodyAtOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := &hungry{chain: newChain()}
	r := start(t, t.TempDir(), h.chain, Recovery{}, func(o *Options) { o.Sink, o.SegmentSize, o.Bury = h, 8192, 1 })
	h.c = r.Capture
	d := decision
	d.Readback, d.MaxRecord = 100, 256
	files := []*File{r.file(t, "a"), r.file(t, "b")}
	want := map[uint64]int{}
	var mu sync.Mutex // guards want
	var writers, others sync.WaitGroup
	for g := range 6 {
		rnd := rand.New(rand.NewPCG(seed, uint64(g)))
		writers.Go(func() {
			for range 25 {
				id, n, err := oneHandle(files[rnd.IntN(2)], d, rnd)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want[id] = n
				mu.Unlock()
			}
		})
	}
	stop := make(chan struct{})
	for g := range 2 {
		f := files[g]
		others.Go(func() {
			p := make([]byte, 300)
			for {
				select {
				case <-stop:
					return
				default:
				}
				size := f.Size()
				if _, err := f.ReadAt(p, max(size-200, 0)); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, record.ErrGone) {
					t.Error(err)
				}
				if err := f.Sync(); err != nil {
					t.Error(err)
				}
				if size > 5000 {
					if err := f.Truncate(10); err != nil {
						t.Error(err)
					}
				}
				r.Snapshot()
				r.Usage()
			}
		})
	}
	writers.Wait()
	close(stop)
	others.Wait()
	h.waitFor(t, "everything", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		for id, n := range want {
			if len(h.bytes[id]) != n {
				return false
			}
		}
		return true
	})
	for _, f := range files {
		f.Removed()
		f.Close()
	}
	h.waitFor(t, "deletion of all spools", func() bool { r.mu.RLock(); defer r.mu.RUnlock(); return len(r.raws) == 0 })
}

// oneHandle opens, writes, syncs and closes, by either capture.
func oneHandle(f *File, d record.Decision, rnd *rand.Rand) (id uint64, n int, err error) {
	line := fmt.Appendf(nil, "%0*d\n", rnd.IntN(400), 7)
	times := rnd.IntN(20) + 1
	w := &record.Writer{PID: 1}
	if rnd.IntN(2) == 0 {
		l, err := f.OpenLog(d, "m", "x", w)
		if err != nil {
			return 0, 0, err
		}
		for range times {
			if _, err := l.Write(line, 0, true, rnd.IntN(10) == 0, w, 0); err != nil {
				return 0, 0, err
			}
		}
		l.Release()
		return l.h.meta.ID, times * len(line), nil
	}
	s, err := f.OpenSpool(d, "m", "x", w)
	if err != nil {
		return 0, 0, err
	}
	k, err := os.OpenFile(s.r.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, 0, err
	}
	for range times {
		if _, err := k.Write(line); err != nil {
			return 0, 0, err
		}
	}
	err = errors.Join(s.Sync(), k.Close())
	s.Release()
	return s.r.id, times * len(line), errors.Join(err, s.Sync())
}

// Requests of a mount that goes on in the next process may be at work while everything is closed.
func TestCloseBesideReaders(t *testing.T) {
	r := start(t, t.TempDir(), newChain(), Recovery{}, nil)
	f := r.file(t, "a.log")
	sp, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, kernel(t, sp), "line\n")
	end, closed := make(chan struct{}), make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for p := make([]byte, 5); ; {
				select {
				case <-end:
					return
				default:
					_, _ = f.ReadAt(p, 0) // once it is closed, as it likes
				}
			}
		})
	}
	go func() { r.stop(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(60 * time.Second):
		t.Fatal("the readers and who closes wait for each other")
	}
	close(end)
	readers.Wait()
}

// A write that waits for room gives up when nobody waits for its answer any more.
func TestLeaveEndsTheWait(t *testing.T) {
	r := start(t, t.TempDir(), newChain(), Recovery{}, func(o *Options) { o.MaxSize = 1 })
	d := decision
	d.WhenFull, d.Block = record.Block, time.Hour
	l, err := r.file(t, "a.log").OpenLog(d, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := l.Write([]byte("more than fits\n"), 0, true, false, &record.Writer{}, 0)
		done <- err
	}()
	l.Leave()
	l.Leave()
	select {
	case err := <-done:
		if !errors.Is(err, record.ErrFull) {
			t.Errorf("got %v, want that it is full", err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("it waits on")
	}
}
