package output

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tended runs one round of what Run does.
func (r *rig) tended() {
	r.t.Helper()
	r.out.sweep()
	must(r.t, r.out.tend(r.t.Context()))
}

func (r *rig) names() []string {
	r.t.Helper()
	var names []string
	must(r.t, filepath.WalkDir(r.Base, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(p, r.Base+"/"))
		}
		return err
	}))
	slices.Sort(names)
	return names
}

func TestRotationBySizeWithRetention(t *testing.T) {
	now := time.Date(2026, 1, 15, 10, 11, 12, 0, time.UTC)
	r := newRig(t)
	r.now = func() time.Time { return now }
	r.Rotate = Rotate{Size: 10, Keep: 2, Compress: "none"}
	r.open()
	for i := range 5 {
		r.put(r.chunk("d/log", fmt.Sprintf("line %d of it\n", i)))
	}
	r.want("d/log-20260115-101112", "line 0 of it\n")
	r.want("d/log-20260115-101112.4", "line 3 of it\n")
	r.tended()
	want := []string{"d/log", "d/log-20260115-101112.3", "d/log-20260115-101112.4"}
	if got := r.names(); !slices.Equal(got, want) {
		t.Fatalf("files: got %v, want %v", got, want)
	}
	r.Rotate.KeepAge = time.Hour
	now = now.Add(2 * time.Hour)
	r.open()
	r.tended()
	if got := r.names(); !slices.Equal(got, []string{"d/log"}) {
		t.Fatalf("files after keep_age: got %v", got)
	}
	if s := r.out.Stats(); s.Removed != 2 {
		t.Fatalf("removed: got %d, want 2", s.Removed)
	}
}

func TestRotationByAgeOfAnIdleFile(t *testing.T) {
	now := time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)
	r := newRig(t)
	r.now = func() time.Time { return now }
	r.Rotate = Rotate{Age: time.Hour, Compress: "gzip"}
	r.Idle = time.Minute
	r.open()
	r.put(r.chunk("log", "one\n"))
	now = now.Add(59 * time.Minute)
	r.put(r.chunk("log", "two\n"))
	r.open() // the age is counted over restarts
	now = now.Add(2 * time.Minute)
	r.tended()
	if got := r.names(); !slices.Equal(got, []string{"log-20260115-110100.gz"}) {
		t.Fatalf("files: got %v", got)
	}
	f, err := os.Open(filepath.Join(r.Base, "log-20260115-110100.gz"))
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	if b, err := io.ReadAll(z); err != nil || string(b) != "one\ntwo\n" {
		t.Fatalf("content: got %q, %v", b, err)
	}
	r.put(r.chunk("log", "three\n"))
	now = now.Add(r.Idle + time.Second)
	r.tended()
	if s := r.out.Stats(); s.OpenFiles != 0 {
		t.Fatalf("open files: got %d, want none after the idle time", s.OpenFiles)
	}
	r.want("log", "three\n")
}

func TestOthersTouchRotatedFiles(t *testing.T) {
	r := newRig(t)
	now := time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)
	r.now = func() time.Time { now = now.Add(time.Second); return now }
	r.Rotate = Rotate{Size: 1, Compress: "zstd", Keep: 10}
	r.open()
	r.put(r.chunk("log", "1\n"))
	r.put(r.chunk("log", "2\n"))
	r.put(r.chunk("log", "3\n"))
	r.put(r.chunk("log", "4\n"))
	rotated, _ := filepath.Glob(r.Base + "/log-*")
	if len(rotated) != 3 {
		t.Fatalf("rotated: got %v", rotated)
	}
	must(t, os.Remove(rotated[0]))                                      // taken away
	must(t, os.WriteFile(rotated[1]+".zst", []byte("not ours"), 0o600)) // its name is taken
	must(t, os.Rename(rotated[2], rotated[2]+".moved"))                 // replaced
	must(t, os.WriteFile(rotated[2], []byte("not ours"), 0o600))
	r.tended()
	r.tended()
	for name, want := range map[string]string{rotated[1]: "2\n", rotated[1] + ".zst": "not ours", rotated[2] + ".moved": "3\n", rotated[2]: "not ours"} {
		if b, err := os.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("%s: got %q, %v, want %q", name, b, err, want)
		}
	}
	r.want("log", "4\n")
}

func TestRunEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	r.Rotate = Rotate{Size: 1, Compress: "zstd", Rate: 1} // would take days
	r.open()
	ctx, cancel := context.WithCancel(t.Context())
	packing := make(chan struct{})
	r.out.o.step = func(s string) {
		if s == "packing" {
			close(packing)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- r.out.Run(ctx) }()
	r.put(r.chunk("log", pages(300, "x")))
	r.put(r.chunk("log", "2\n"))
	<-packing
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if got := r.names(); len(got) != 2 {
		t.Fatalf("files: got %v, want the file and its rotated one", got)
	}
}
