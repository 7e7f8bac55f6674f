package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// The queue may release around what is in flight: that must stay readable, and what lies behind it costs no disk.
func TestReleaseAroundWhatIsInFlight(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, func(o *Options) { o.MaxSize = 1 }) // always short of room
	d := decision
	d.Readback = 0
	sp, err := r.file(t, "a.log").OpenSpool(d, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	w := kernel(t, sp)
	line := strings.Repeat("x", 1<<20-1) + "\n"
	for range 6 {
		mustWrite(t, w, line)
	}
	sink.waitFor(t, "all lines", func() bool { return len(sink.all()) == 6<<20 })
	r.Release([]record.Extent{{Spool: sp.r.id, Off: 2 << 20, Len: 1 << 20}, {Spool: sp.r.id, Off: 3 << 20, Len: 1 << 20}})
	sink.waitFor(t, "punching", func() bool {
		sp.r.mu.Lock()
		defer sp.r.mu.Unlock()
		return sp.r.punched.len() > 0
	})
	for i := range 6 {
		p := make([]byte, 1<<20)
		if err := r.ReadExtent(record.Extent{Spool: sp.r.id, Off: int64(i) << 20, Len: 1 << 20}, p); err != nil {
			t.Fatal(err)
		}
		if gone, want := p[5] == 0, i == 2 || i == 3; gone != want {
			t.Errorf("megabyte %d: gone %v, want %v", i, gone, want)
		}
	}
}

// What lies in the queue itself counts for the limit as spools do.
func TestWhatTheQueueHoldsIsBounded(t *testing.T) {
	var held atomic.Int64
	asked := make(chan int64, 1)
	start(t, t.TempDir(), newChain(), Recovery{}, func(o *Options) {
		o.MaxSize, o.Held = 1<<20, held.Load
		o.DropOldest = func(n int64) (int64, error) {
			held.Add(-n)
			select {
			case asked <- n:
			default:
			}
			return n, nil
		}
	})
	held.Store(1<<20 + 1000)
	select {
	case n := <-asked:
		if n != 1000 || held.Load() != 1<<20 {
			t.Errorf("asked to drop %d bytes, %d are left; want 1000, and the limit", n, held.Load())
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing was dropped, want 1000 bytes")
	}
}

// Single bytes without end, in both units and by either capture, make chunks that the wire takes.
func TestSingleBytesMakeChunksThatFit(t *testing.T) {
	for _, unit := range []record.Unit{record.Line, record.Write, record.Binary} {
		s := newStream(&meta{ID: 7, File: record.File{Unit: unit}}, &record.Source{}, 0)
		w := &record.Writer{}
		var out []record.Chunk
		now := time.Now()
		const n = 200_000
		for i := range n {
			b := []byte{'x'}
			if i%3 == 0 && unit == record.Line && i < n/2 {
				b[0] = '\n'
			}
			out = s.feed(piece{spool: uint64(i % 2), off: int64(i), data: b, writer: w, written: true, at: int64(i)}, now, out)
			if got := s.whole.pieces() + s.part.pieces(); got > 2*maxPieces {
				t.Fatalf("%v: %d pieces in memory", unit, got)
			}
		}
		total := 0
		for _, c := range s.end(out) {
			if err := wire.Check(&c); err != nil {
				t.Fatalf("%v: %v", unit, err)
			}
			total += int(c.Len)
		}
		if total != n {
			t.Fatalf("%v: %d bytes, want %d", unit, total, n)
		}
	}
}

// Beyond the limit there is no spool but a clear refusal, counted; a spool that goes makes room.
func TestSpoolsAreBounded(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, func(o *Options) { o.MaxSpools = 3 })
	f := r.file(t, "a.log")
	var all []*Spool
	for range 3 {
		sp, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sp)
	}
	if _, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{}); !errors.Is(err, record.ErrFull) {
		t.Fatalf("fourth spool: %v, want ErrFull", err)
	}
	if n := r.Usage().Refused; n != 1 {
		t.Fatalf("%d refused opens, want 1", n)
	}
	all[0].Release()
	sink.waitFor(t, "room", func() bool {
		_, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{})
		return err == nil
	})
}

// Spools at which nothing happens hold no descriptor.
func TestIdleSpoolsHoldNoDescriptor(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	f := r.file(t, "a.log")
	var writers []*os.File
	for range 50 {
		sp, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{})
		if err != nil {
			t.Fatal(err)
		}
		w := kernel(t, sp)
		mustWrite(t, w, "line\n")
		writers = append(writers, w)
	}
	open := func() (n int) {
		r.mu.RLock()
		defer r.mu.RUnlock()
		for _, s := range r.raws {
			s.mu.Lock()
			if s.rd != nil {
				n++
			}
			s.mu.Unlock()
		}
		return n
	}
	sink.waitFor(t, "rest", func() bool { return open() == 0 })
	for _, w := range writers {
		mustWrite(t, w, "more\n")
	}
	sink.waitFor(t, "what woke them", func() bool { return len(sink.all()) == 50*10 })
	if got := len(readAll(t, f)); got != 500 {
		t.Fatalf("reader sees %d bytes, want 500", got)
	}
}

// picky refuses what holds a word, and while it is told to.
type picky struct {
	*chain
	word string
}

func (p picky) Put(ctx context.Context, chunks []record.Chunk) error {
	for i := range chunks {
		if f := chunks[i].File; f != nil && strings.Contains(f.Path, p.word) {
			return fmt.Errorf("path %q: %w", f.Path, record.ErrRefused)
		}
	}
	return p.chain.Put(ctx, chunks)
}

// What the queue can never take becomes a gap and holds up nobody.
func TestRefusedChunkBecomesGap(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, func(o *Options) { o.Sink = picky{sink, "bad"} })
	for _, name := range []string{"good1", "bad", "good2"} {
		l, err := r.file(t, name).OpenLog(decision, "m", name, &record.Writer{})
		if err != nil {
			t.Fatal(err)
		}
		mustLog(t, l, name+"\n")
		l.Release()
	}
	sink.waitFor(t, "the good ones and a gap", func() bool {
		good := len(sink.all())
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return good == 12 && len(sink.gaps) == 1
	})
	if g := sink.gaps[0]; g.Reason != record.Refused || g.Bytes != 4 || g.Records != 1 {
		t.Fatalf("gap is %+v", g)
	}
	r.Release([]record.Extent{sink.chunks[0].Extents[0], sink.chunks[len(sink.chunks)-1].Extents[0]})
}

// What filters took out of a chunk that is refused is part of the gap, in bytes and in records.
func TestRefusedChunkOfFiltersIsCountedWhole(t *testing.T) {
	c := &Capture{o: Options{Logger: slog.New(slog.DiscardHandler)}}
	ch := record.Chunk{Len: 4, Records: 1, Span: 10, Cut: record.Cut{Bytes: 6, Records: 2}, Spent: []record.Extent{{Spool: 1, Len: 6}}, Extents: []record.Extent{{Spool: 1, Off: 6, Len: 4}}}
	if !c.refuse(&ch, record.ErrRefused) || ch.Gap == nil || ch.Gap.Bytes != 10 || ch.Gap.Records != 3 || len(ch.Spent) != 2 || ch.Len != 0 {
		t.Fatalf("got %+v, want a gap of 10 bytes and 3 records, with both extents given back when it is queued", ch)
	}
}

// While the queue takes nothing, what is dropped is added up, not collected.
func TestDropsAreAddedUp(t *testing.T) {
	c, err := New(Options{Dir: t.TempDir(), Source: &record.Source{}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		c.lose(record.File{Path: fmt.Sprint(i % 3)}, record.QueueFull, 10, 1)
	}
	if len(c.lost) != 3 || c.lost[1].Gap.Bytes != 33330 || c.lost[1].Gap.Records != 3333 {
		t.Fatalf("%d gaps, second %+v", len(c.lost), c.lost[1].Gap)
	}
	c.Close()
}

// Without inotify, and when the kernel dropped events, idle spools are still seen.
func TestNoInotify(t *testing.T) {
	for _, how := range []string{"none", "overflow"} {
		t.Run(how, func(t *testing.T) {
			sink := newChain()
			c, err := New(Options{Dir: t.TempDir(), Source: &record.Source{}, Sink: sink})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			sink.store = c
			r := &rig{Capture: c, sink: sink}
			if how == "overflow" {
				w, err := newWatcher(c.wakeUp)
				if err != nil {
					t.Fatal(err)
				}
				defer w.close()
				c.pass.watch = w
			}
			sp, err := r.file(t, "a.log").OpenSpool(decision, "m", "a.log", &record.Writer{})
			if err != nil {
				t.Fatal(err)
			}
			w := kernel(t, sp)
			mustWrite(t, w, "1\n")
			now, ctx := time.Now(), context.Background()
			for range 3 {
				c.turn(ctx, now)
				now = now.Add(time.Second)
			}
			if len(c.pass.idle) != 1 {
				t.Fatalf("%d idle spools, want 1", len(c.pass.idle))
			}
			if how == "overflow" { // the event is lost: no housekeeping may help
				c.pass.watch.mu.Lock()
				clear(c.pass.watch.byWd)
				c.pass.watch.lost = true
				c.pass.watch.mu.Unlock()
				c.pass.tidied = now
			}
			mustWrite(t, w, "2\n")
			c.turn(ctx, now)
			c.turn(ctx, now)
			if got := string(sink.all()); got != "1\n2\n" {
				t.Fatalf("got %q", got)
			}
		})
	}
}

// A second process does not touch the folder, and fsync in a log that nobody syncs costs no memory.
func TestOneProcessOneFolder(t *testing.T) {
	dir := t.TempDir()
	sink := newChain()
	r := start(t, dir, sink, Recovery{}, func(o *Options) { o.SegmentSize = 4096 })
	if _, err := New(Options{Dir: dir, Source: &record.Source{}}); err == nil {
		t.Fatal("a second capture opened the same folder")
	}
	d := decision
	d.Readback = 0
	l, err := r.file(t, "a.log").OpenLog(d, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		mustLog(t, l, strings.Repeat("x", 3000)+"\n")
		sink.waitFor(t, "the line", func() bool { return len(sink.all()) == 3001*(i+1) })
		r.Release(sink.chunks[len(sink.chunks)-1].Extents)
	}
	sink.waitFor(t, "deletion", func() bool { r.mu.RLock(); defer r.mu.RUnlock(); return len(r.segs) < 4 })
	r.log.seal(false)
	mustLog(t, l, "another segment\n")
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if n := len(r.log.unsynced); n > 5 {
		t.Fatalf("%d segments wait for a sync", n)
	}
}

// BenchmarkTurn is what the follower does in each millisecond with many open handles at which nothing happens.
func BenchmarkTurn(b *testing.B) {
	for _, n := range []struct{ hot, idle int }{{1000, 0}, {0, 5000}, {1000, 5000}} {
		b.Run(fmt.Sprintf("hot=%d,idle=%d", n.hot, n.idle), func(b *testing.B) {
			c, err := New(Options{Dir: b.TempDir(), Source: &record.Source{}, Sink: newChain(), MaxSpools: 10_000})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if c.pass.watch, err = newWatcher(c.wakeUp); err != nil {
				b.Fatal(err)
			}
			defer c.pass.watch.close()
			f := c.lockFile(record.FileKey{Ino: 1})
			f.below = func(int) (*os.File, error) { return nil, os.ErrNotExist }
			f.mu.Unlock()
			now, ctx := time.Now(), context.Background()
			for i := range n.idle + n.hot {
				if i == n.idle {
					c.turn(ctx, now)
					now = now.Add(time.Second)
					c.turn(ctx, now)
				}
				if _, err := f.OpenSpool(decision, "m", "f", &record.Writer{}); err != nil {
					b.Fatal(err)
				}
			}
			c.turn(ctx, now)
			if n.hot == 0 {
				c.turn(ctx, now.Add(time.Second))
			}
			for b.Loop() {
				c.turn(ctx, now)
			}
			b.ReportMetric(float64(len(c.pass.hot)), "hot")
			b.ReportMetric(float64(len(c.pass.idle)), "idle")
			began := time.Now()
			c.tidy(now)
			b.ReportMetric(float64(time.Since(began).Microseconds()), "us/tidy")
		})
	}
}

// A block that cannot be read is tried for a while, then given up and counted, and the rest goes on.
func TestUnreadableBlockIsGivenUp(t *testing.T) {
	sink := newChain()
	c, err := New(Options{Dir: t.TempDir(), Source: &record.Source{}, Sink: sink, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sink.store = c
	r := &rig{Capture: c, sink: sink}
	sp, err := r.file(t, "a.log").OpenSpool(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	w := kernel(t, sp)
	mustWrite(t, w, "one\n")
	now, ctx := time.Now(), context.Background()
	c.turn(ctx, now)
	tl := c.pass.hot[sp.r]
	mustWrite(t, w, strings.Repeat("x", 99)+"\n")
	for range maxFails + 1 { // as readRaw does when the disk says EIO
		c.unreadable(sp.r, tl, 100, now, os.ErrInvalid)
	}
	tl.again = time.Time{}
	mustWrite(t, w, "two\n")
	c.turn(ctx, now.Add(time.Minute))
	if got := string(sink.all()); got != "one\ntwo\n" || len(sink.gaps) != 1 || sink.gaps[0].Bytes != 100 || c.Usage().Damaged != 1 {
		t.Fatalf("got %q and gaps %+v", got, sink.gaps)
	}
}

// A disk that fails a write fails that of the program, which may write again; what was written before and comes then is captured, once.
func TestSegmentThatCannotBeWritten(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	f := r.file(t, "a.log")
	l, err := f.OpenLog(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	mustLog(t, l, "one\n")
	sink.waitFor(t, "the first line, and that it pends no more", func() bool { return string(sink.all()) == "one\n" && r.pending.Load() == 0 })
	r.log.mu.Lock()
	s := r.log.active
	sound := s.data
	bad, err := os.Open(s.path) // for reading only
	s.data = bad
	r.log.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	defer sound.Close()
	before := r.pending.Load()
	if n, err := l.Write([]byte("two\n"), 0, true, false, &record.Writer{}, 7); err == nil || n != 0 {
		t.Fatalf("got %d, %v, want an error", n, err)
	}
	if got := r.pending.Load(); got != before || s.unanswered.Load() != 0 {
		t.Errorf("%d bytes are pending and %d writes unanswered, want as before", got, s.unanswered.Load())
	}
	mustLog(t, l, "three\n")
	sink.waitFor(t, "the line after", func() bool { return string(sink.all()) == "one\nthree\n" })
	if got := readAll(t, f); got != "one\nthree\n" {
		t.Errorf("reader sees %q", got)
	}
}
