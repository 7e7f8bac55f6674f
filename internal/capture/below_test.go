package capture

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

func below(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "old.log")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func appender(t *testing.T, path string) *os.File {
	t.Helper()
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func (r *rig) pickUpAt(t *testing.T, path string, skip bool) *File {
	t.Helper()
	f := r.fileAt(t, path)
	if err := r.PickUp(f, decision, "m", filepath.Base(path), skip); err != nil {
		t.Fatal(err)
	}
	return f
}

// A line that an earlier opener writes in two halves, with housekeeping in between, stays one record.
func TestPickUpKeepsLinesWhole(t *testing.T) {
	path := below(t, "one\nhal")
	w := appender(t, path)
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	f := r.pickUpAt(t, path, false)
	sink.waitFor(t, "the whole line", func() bool { return string(sink.all()) == "one\n" })
	mustWrite(t, w, "f\nend")
	sink.waitFor(t, "the other half", func() bool { return string(sink.all()) == "one\nhalf\n" })
	w.Close()
	sink.waitFor(t, "the end", func() bool { return string(sink.all()) == "one\nhalf\nend" })
	sink.waitFor(t, "that it is not followed on, as nobody can write to it", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.hold == nil && f.picker == nil
	})
	sink.mu.Lock()
	defer sink.mu.Unlock()
	records := uint32(0)
	for _, c := range sink.chunks {
		records += c.Records
		if c.Handle != sink.chunks[0].Handle {
			t.Error("picked up by more than one handle")
		}
	}
	if records != 3 {
		t.Errorf("%d records, want 3", records)
	}
}

// A file that was cut and written anew while nobody looked is new, even when it has grown past the old size.
func TestFileReplacedWhileAway(t *testing.T) {
	for _, c := range []struct{ name, now, want string }{
		{"longer", "other content, longer than before\n", "other content, longer than before\n"},
		{"shorter", "new\n", ""}, // what follows is new: what is there cannot be told from what was cut
		{"grown", "first\nmore\n", "more\n"},
		{"same", "first\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, dir := below(t, "first\n"), t.TempDir()
			sink := newChain()
			r := start(t, dir, sink, Recovery{}, nil)
			r.pickUpAt(t, path, false)
			sink.waitFor(t, "the first", func() bool { return string(sink.all()) == "first\n" })
			r.stop()
			if err := os.WriteFile(path, []byte(c.now), 0o644); err != nil {
				t.Fatal(err)
			}
			next := newChain()
			r = start(t, dir, next, sink.replay(false), nil)
			r.pickUpAt(t, path, false)
			r.stop()
			if got := string(next.all()); got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

// `existing: skip` leaves what is there, not what comes.
func TestPickUpSkips(t *testing.T) {
	path := below(t, "old\n")
	w := appender(t, path)
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	r.pickUpAt(t, path, true)
	mustWrite(t, w, "new\n")
	sink.waitFor(t, "the new line", func() bool { return string(sink.all()) == "new\n" })
}

// What when_full: local writes below is picked up when there is room, also in a file that was made after the start.
func TestLocalIsPickedUpLater(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, func(o *Options) { o.MaxSize = 1 << 30 })
	f := r.file(t, "a.log")
	d := decision
	d.WhenFull = record.Local
	l, err := f.OpenLog(d, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	mustLog(t, l, "before\n")
	r.use.unseen.Store(2 << 30) // full until the next measurement
	mustLog(t, l, "while full\n")
	sink.waitFor(t, "both", func() bool { return len(sink.all()) == len("before\nwhile full\n") })
	if got := readAll(t, f); got != "before\nwhile full\n" {
		t.Fatalf("reader sees %q", got)
	}
}

// Many files below cost neither a descriptor each, nor are they followed when nobody writes to them.
func TestManyFilesBelow(t *testing.T) {
	const n = 3000
	dir := t.TempDir()
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	for i := range n {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte("line\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.pickUpAt(t, path, false).Close()
		r.mu.RLock()
		followed := len(r.follow)
		r.mu.RUnlock()
		if followed > 0 {
			t.Fatal("a quiet file is followed")
		}
	}
	sink.waitFor(t, "all lines", func() bool { return len(sink.all()) == 5*n })
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil || len(files) > 500 {
		t.Fatalf("%d descriptors, %v", len(files), err)
	}
}

// Files that were only looked at, and those that are removed, are forgotten.
func TestFilesAreForgotten(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	r.file(t, "seen.log").Close()
	f := r.file(t, "removed.log")
	l, err := f.OpenLog(decision, "m", "removed.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	mustLog(t, l, "line\n")
	l.Release()
	sink.waitFor(t, "the line", func() bool { return len(sink.all()) == 5 })
	f.Removed()
	f.Close()
	r.Release(sink.chunks[0].Extents)
	r.log.seal(false)
	sink.waitFor(t, "forgetting", func() bool { r.mu.RLock(); defer r.mu.RUnlock(); return len(r.files) == 0 })
}

// Saving costs what changed, not what there is, and what was saved comes back.
func TestViewsAreSavedByChange(t *testing.T) {
	dir := t.TempDir()
	c, err := New(Options{Dir: dir, Source: &record.Source{}})
	if err != nil {
		t.Fatal(err)
	}
	var key record.FileKey
	for i := range 2000 {
		key = record.FileKey{Dev: 1, Ino: uint64(i + 1)}
		f := c.lockFile(key)
		f.path, f.view = strings.Repeat("p", 50), view{size: 10, patches: []patch{{Len: 10, Spool: inHole}}}
		f.touch()
		f.mu.Unlock()
	}
	c.tidy(time.Now())
	before := c.views.size
	f := c.files[key]
	f.mu.Lock()
	f.view.truncate(20)
	f.touch()
	f.mu.Unlock()
	c.tidy(time.Now().Add(time.Minute))
	if grown := c.views.size - before; grown <= 0 || grown > 1000 {
		t.Fatalf("one change in 2000 files wrote %d bytes", grown)
	}
	c.Close()
	b, err := os.OpenFile(c.views.journal(c.views.gen), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, b, "\n00000000 {\"torn") // a crash while the next was written
	b.Close()
	if c, err = New(Options{Dir: dir, Source: &record.Source{}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}); err != nil {
		t.Fatal(err)
	}
	if err := c.Recover(Recovery{}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(c.files) != 2000 || c.files[key].view.size != 20 || c.Usage().Damaged != 1 {
		t.Fatalf("%d files, the last of %d bytes, %d damaged", len(c.files), c.files[key].view.size, c.Usage().Damaged)
	}
}

// A file that a mount has in use is picked up by its name, and renamed then: readers go on finding what lies below.
func TestPickUpLeavesTheMountsWay(t *testing.T) {
	path := below(t, "one\n")
	r := start(t, t.TempDir(), newChain(), Recovery{}, nil)
	f := r.fileAt(t, path)
	gone := func(int) (*os.File, error) { return nil, os.ErrNotExist }
	same, err := r.FileBelow(f.key, "old name", gone)
	if err != nil || same != f {
		t.Fatalf("got file %p and %v, want %p", same, err, f)
	}
	same.Close()
	if got := readAll(t, f); got != "one\n" || f.name() != "old.log" {
		t.Errorf("%s: readers see %q", f.name(), got)
	}
	f.Close()
	if _, err := r.FileBelow(f.key, "new name", gone); err != nil || f.name() != "new name" {
		t.Errorf("when no mount uses it: %v, it is called %s", err, f.name())
	}
}

// A file whose content below cannot be looked at, because the process is out of descriptors say, is not in use.
func TestFileThatCannotBeOpenedIsNotInUse(t *testing.T) {
	r := start(t, t.TempDir(), newChain(), Recovery{}, nil)
	full := func(int) (*os.File, error) { return nil, os.NewSyscallError("open", unix.EMFILE) }
	for i := range uint64(3) {
		if f, err := r.File(record.FileKey{Ino: 1 + i}, "a.log", full); !errors.Is(err, unix.EMFILE) || f != nil {
			t.Fatalf("got %v and %v, want EMFILE", f, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.files) != 0 {
		t.Errorf("%d files are kept", len(r.files))
	}
}
