package output

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

func TestPutWritesOnceAndKeepsItsMark(t *testing.T) {
	r := newRig(t)
	r.open()
	a, b := r.chunk("d/a", "one\n"), r.chunk("b", "two\n")
	r.put(a, b)
	r.put(a, b)
	r.open()
	c := r.chunk("d/a", "three\x00\xff\r\nno end")
	r.put(a, b, c)
	r.want("d/a", "one\nthree\x00\xff\r\nno end")
	r.want("b", "two\n")
	want := record.Durable{}.Add(&a).Add(&b).Add(&c)
	if got := r.out.Mark(r.src.Stream); got != want {
		t.Fatalf("mark: got %+v, want %+v", got, want)
	}
	if s := r.out.Stats(); s.Duplicates != 2 || s.Unowned != 0 || s.Records != 1 || s.OpenFiles != 1 {
		t.Fatalf("stats: got %+v", s)
	}
}

func TestManyFilesInOnePut(t *testing.T) {
	r := newRig(t)
	r.MaxOpen = 1 // raised to what one append needs
	r.open()
	var all []record.Chunk
	for i := range 3 * maxRuns {
		all = append(all, r.chunk(fmt.Sprintf("d%d/f%d", i%7, i), fmt.Sprintf("line %d\n", i)))
	}
	r.put(all...)
	for i := range 3 * maxRuns {
		r.want(fmt.Sprintf("d%d/f%d", i%7, i), fmt.Sprintf("line %d\n", i))
	}
	if s := r.out.Stats(); s.OpenFiles > maxRuns {
		t.Fatalf("open files: got %d, want at most %d", s.OpenFiles, maxRuns)
	}
}

func TestConcurrentPutsAreJoined(t *testing.T) {
	r := newRig(t)
	r.Path = "all"
	r.Disk = true
	r.open()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			src := source(byte(n + 10))
			for seq := uint64(1); seq <= 50; seq++ {
				if err := r.out.Put(context.Background(), []record.Chunk{chunk(src, seq, "x", fmt.Sprintf("%d %d\n", n, seq))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	next := make([]int, 8)
	for line := range strings.Lines(r.read("all")) {
		var n, seq int
		if _, err := fmt.Sscan(line, &n, &seq); err != nil || seq != next[n]+1 {
			t.Fatalf("line %q after %d: %v", line, next[n], err)
		}
		next[n] = seq
	}
	for n, last := range next {
		if last != 50 {
			t.Errorf("writer %d: got %d lines, want 50", n, last)
		}
	}
}

func TestPutGivesUpWithItsContext(t *testing.T) {
	r := newRig(t)
	r.open()
	<-r.out.turn // somebody is at work
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.out.Put(ctx, []record.Chunk{r.chunk("a", "x")}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want canceled", err)
	}
	r.out.turn <- struct{}{}
	r.put(r.chunk("a", "y"))
	r.want("a", "y")
}

func TestBadChunksAreRefused(t *testing.T) {
	r := newRig(t)
	r.open()
	short, noSource, noFile := r.chunk("a", "xyz"), r.chunk("a", "x"), r.chunk("a", "x")
	short.Data = short.Data[:1]
	noSource.Source, noFile.File = nil, nil
	for _, c := range []record.Chunk{short, noSource, noFile} {
		if err := r.out.Put(t.Context(), []record.Chunk{c}); !errors.Is(err, record.ErrRefused) {
			t.Errorf("got %v, want ErrRefused", err)
		}
	}
	must(t, r.out.Close())
	if err := r.out.Put(t.Context(), []record.Chunk{r.chunk("a", "x")}); !errors.Is(err, record.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

// Stats name what is missing by every reason that there is.
func TestGapReasons(t *testing.T) {
	r := newRig(t)
	r.open()
	for i, why := range record.Reasons() {
		g := r.chunk("a", "")
		g.Gap = &record.Gap{First: g.Seq, Reason: why, Bytes: uint64(i + 1)}
		r.put(g)
	}
	s := r.out.Stats()
	for i, why := range record.Reasons() {
		if got := s.Missing[why.String()]; got != (Missing{Gaps: 1, Bytes: int64(i + 1)}) {
			t.Errorf("missing by %s: got %+v, want 1 gap of %d bytes", why, got, i+1)
		}
	}
}

func TestGapMovesTheMark(t *testing.T) {
	r := newRig(t)
	r.open()
	g := r.chunk("a", "")
	g.Seq, g.Gap = 9, &record.Gap{First: 1, Reason: record.Expired, Bytes: 100, Records: 4}
	g.File, g.Writer = nil, nil
	r.put(g)
	if m := r.out.Mark(r.src.Stream); m.Seq != 9 {
		t.Fatalf("mark: got %d, want 9", m.Seq)
	}
	if s := r.out.Stats(); s.Missing["expired"] != (Missing{1, 100, 4}) || len(s.Missing) != 1 {
		t.Fatalf("stats: got %+v", s)
	}
	if names, _ := filepath.Glob(r.Base + "/*"); names != nil {
		t.Fatalf("raw output wrote %v for a gap", names)
	}
}

func TestOthersTouchTheFile(t *testing.T) {
	r := newRig(t)
	r.Path = "log"
	name := filepath.Join(r.Base, "log")
	r.open()
	r.put(r.chunk("x", "1\n"))
	appendFile(t, name, "foreign\n")
	r.put(r.chunk("x", "2\n"))
	r.want("log", "1\nforeign\n2\n")
	if s := r.out.Stats(); s.Unowned != 8 {
		t.Fatalf("unowned: got %d, want 8", s.Unowned)
	}

	must(t, os.Truncate(name, 0))
	r.put(r.chunk("x", "3\n"))
	r.want("log", "3\n")
	if s := r.out.Stats(); s.Truncated != 1 || s.Unowned != 8 {
		t.Fatalf("after truncation: got %+v", s)
	}

	must(t, os.Remove(name))
	r.put(r.chunk("x", "4\n"))
	r.want("log", "4\n")

	must(t, os.Rename(name, name+".1"))
	r.out.Reopen()
	r.put(r.chunk("x", "5\n"))
	r.want("log", "5\n")
	r.want("log.1", "4\n")
	if s := r.out.Stats(); s.Reopened != 2 {
		t.Fatalf("reopened: got %d, want 2", s.Reopened)
	}

	now := time.Now()
	r.out.o.now = func() time.Time { return now.Add(2 * nameEvery) } // noticed without being told
	must(t, os.Rename(name, name+".2"))
	r.put(r.chunk("x", "6\n"))
	r.want("log", "6\n")

	appendFile(t, name, "while down\n")
	r.open()
	r.put(r.chunk("x", "7\n"))
	r.want("log", "6\nwhile down\n7\n")
	if s := r.out.Stats(); s.Unowned != 11 {
		t.Fatalf("unowned over a restart: got %d, want 11", s.Unowned)
	}
}

func TestSecondReceiverIsRefused(t *testing.T) {
	r, second := newRig(t), newRig(t)
	second.Base = r.Base
	r.open()
	second.open()
	r.put(r.chunk("a", "x"))
	c := second.chunk("a", "y")
	err := second.out.Put(t.Context(), []record.Chunk{c})
	if !errors.Is(err, errLocked) || errors.Is(err, record.ErrRefused) {
		t.Fatalf("got %v, want the lock's error, to be tried again", err)
	}
	r.close()
	second.put(c)
	second.want("a", "xy")
}

func TestNothingEscapesTheBase(t *testing.T) {
	r := newRig(t)
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "passwd"), []byte("root"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(r.Base, "sub")))
	must(t, os.Symlink(filepath.Join(outside, "passwd"), filepath.Join(r.Base, "link")))
	must(t, os.Mkdir(filepath.Join(r.Base, "dir"), 0o755))
	must(t, unix.Mkfifo(filepath.Join(r.Base, "fifo"), 0o600))
	r.open()
	for _, p := range []string{"sub/passwd", "sub/new", "link", "dir", "fifo", "../" + filepath.Base(outside) + "/passwd", outside + "/passwd", "a/../../x", "/proc/self/cwd/y"} {
		r.put(r.chunk(p, "evil\n"))
	}
	r.put(r.chunk("a/b", "1\n"), r.chunk("a", "clash\n"), r.chunk("a/b", "2\n"))
	r.want("a/b", "1\n2\n")
	if b, err := os.ReadFile(filepath.Join(outside, "passwd")); err != nil || string(b) != "root" {
		t.Fatalf("the file outside: got %q, %v", b, err)
	}
	if names, _ := os.ReadDir(outside); len(names) != 1 {
		t.Fatalf("outside the base: got %v", names)
	}
	if s := r.out.Stats(); s.Misplaced != 6 { // two below sub, link, dir, fifo, a
		t.Fatalf("misplaced: got %d, want 6", s.Misplaced)
	}
	r.want("_misplaced/sub%2Fpasswd", "evil\n")
}

func appendFile(t *testing.T, name, data string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(data)
	must(t, err)
}
