package capture

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// unhurried is a capture whose follower looks when the test says so, and whose watcher has a goroutine that never gets a processor.
func unhurried(t *testing.T) *rig {
	t.Helper()
	sink := newChain()
	c, err := New(Options{Dir: t.TempDir(), Source: &record.Source{}, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{f: os.NewFile(uintptr(fd), "inotify"), wake: c.wakeUp, done: make(chan struct{}), byWd: map[int]*raw{}, wds: map[*raw]int{}}
	close(w.done)
	sink.store, c.pass.watch = c, w
	t.Cleanup(func() { w.close(); c.Close() })
	return &rig{Capture: c, sink: sink}
}

func (r *rig) open(t *testing.T, f *File) (*Spool, *os.File) {
	t.Helper()
	sp, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	return sp, kernel(t, sp)
}

// What was written to a file before it was opened anew comes before what is written then, however late the follower looks: when
// both were appended, the first by a handle that had been at rest, and when the second is write capture.
func TestEarlierHandleComesFirst(t *testing.T) {
	r, ctx, now := unhurried(t), context.Background(), time.Now()
	f := r.file(t, "a.log")
	first, a := r.open(t, f)
	mustWrite(t, a, "1\n")
	for range 3 {
		r.turn(ctx, now)
		now = now.Add(time.Second)
	}
	if len(r.pass.idle) != 1 {
		t.Fatalf("%d idle spools, want 1", len(r.pass.idle))
	}
	mustWrite(t, a, "2\n") // and its close is not known yet
	second, b := r.open(t, f)
	mustWrite(t, b, "3\n")
	r.turn(ctx, r.pass.tidied)
	mustWrite(t, b, "4\n")
	l, err := f.OpenLog(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	mustLog(t, l, "5\n")
	third, c := r.open(t, f)
	mustWrite(t, c, "6\n")
	first.Release()
	second.Release()
	l.Release()
	third.Release()
	r.turn(ctx, now)
	if got, want := r.inOrder(t), "1\n2\n3\n4\n5\n6\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// inOrder returns all bytes in the order in which they were registered.
func (r *rig) inOrder(t *testing.T) string {
	t.Helper()
	var got []byte
	for _, ch := range r.sink.chunks {
		for _, e := range ch.Extents {
			p := make([]byte, e.Len)
			if err := r.ReadExtent(e, p); err != nil {
				t.Fatal(err)
			}
			got = append(got, p...)
		}
	}
	return string(got)
}

// Also when the earlier handle has left more than the follower takes of one spool before it looks at the next.
func TestEarlierHandleComesFirstThoughLarge(t *testing.T) {
	r := unhurried(t)
	f := r.file(t, "a.log")
	large := strings.Repeat(strings.Repeat("x", 1023)+"\n", perTurn*window>>10+1)
	first, a := r.open(t, f)
	mustWrite(t, a, large)
	first.Release()
	second, b := r.open(t, f)
	mustWrite(t, b, "end\n")
	second.Release()
	other, c := r.open(t, r.file(t, "b.log"))
	mustWrite(t, c, "other\n")
	other.Release()
	for r.turn(context.Background(), time.Now()) {
	}
	got := r.inOrder(t)
	at := strings.Index(got, "other\n")
	if at < 0 || at+len("other\n") == len(got) {
		t.Errorf("%d bytes: another file waits for all of this one", len(got))
	}
	if got = strings.Replace(got, "other\n", "", 1); got != large+"end\n" {
		t.Errorf("got %d bytes that end in %q, want %d and the last handle's line behind", len(got), got[max(0, len(got)-10):], len(large)+4)
	}
}
