package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tmpfs mounts a small memory file system at dir.
func (s *site) tmpfs(dir string, size string) {
	s.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
}

// fill takes all room on a file system; the result gives it back.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, block := range []int{1 << 16, 4096, 1} {
		p := make([]byte, block)
		for err = nil; err == nil; {
			_, err = f.Write(p)
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// site with its temporary file systems is ended before those are: cleanups run last in, first out.
func newSiteOn(t *testing.T, sizes map[string]string) *site {
	t.Helper()
	needRoot(t)
	s := newSite(t)
	for dir, size := range sizes {
		s.tmpfs(filepath.Join(s.dir, dir), size)
	}
	t.Cleanup(s.end)
	return s
}

func TestSpoolDiskFull(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, map[string]string{"spool": "12m"})
	s.pad = 2000
	s.rulesX = `
  - {name: cutwrites, match: ["**/*.wc"], capture: write, max_age: 0s, targets: [main]}
  - {name: cut, match: ["**"], max_age: 0s, targets: [main]}` // what of a line had room waits for the rest, however long there is none
	s.startSender()
	l := s.loads(100*time.Microsecond, false)
	for _, w := range l {
		w.reopens = true // a handle that gets no spool is captured the other way: order holds within handles
	}
	s.until("writers meet the full disk", 30*time.Second, func() bool {
		for _, w := range l {
			w.mu.Lock()
			n := len(w.failed)
			w.mu.Unlock()
			if n > 0 {
				return true
			}
		}
		return false
	})
	s.startReceiver()
	for _, w := range l { // every writer goes on when there is room again
		before := w.written()
		s.until("writer "+w.id+" goes on", 60*time.Second, func() bool { return w.written() > before+100 })
	}
	s.settle(l)
	for _, w := range l {
		for n, why := range w.failed {
			if why != "no space left on device" {
				t.Errorf("writer %s: line %d failed with %s, want ENOSPC", w.id, n, why)
			}
		}
	}
}

func (l *load) written() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ok)
}

func TestQueueDiskFull(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, map[string]string{"sender/queue": "32m"})
	s.startBoth()
	l := s.loads(time.Millisecond, false)
	for range 3 {
		empty := fill(t, s.dir+"/sender/queue")
		before := l[0].written()
		s.until("writers go on without the queue", 20*time.Second, func() bool { return l[0].written() > before+300 })
		empty()
		so := &load{file: l[0].file, id: l[0].id, ok: l[0].some()}
		s.until("the queue goes on", 20*time.Second, func() bool { return s.arrived(so) })
	}
	s.settle(l)
	for _, w := range l {
		if len(w.failed) > 0 {
			t.Errorf("writer %s saw errors: %v", w.id, w.failed)
		}
	}
}

// some returns a copy of the lines written so far.
func (l *load) some() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]int(nil), l.ok...)
}

func TestOutputDiskFull(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, map[string]string{"out": "64m", "receiver": "32m"})
	s.startBoth()
	l := s.loads(time.Millisecond, false)
	for _, where := range []string{"out", "receiver", "out"} {
		before := l[0].written()
		s.until("something arrives", 20*time.Second, func() bool { return l[0].written() > before+100 })
		empty := fill(t, filepath.Join(s.dir, where))
		before = l[0].written()
		s.until("writers go on", 20*time.Second, func() bool { return l[0].written() > before+300 })
		empty()
	}
	s.settle(l)
}

// A queue that is put back to an earlier copy begins a new epoch: what is written then is not taken for what the
// receiver has already.
func TestQueueRolledBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startBoth()
	s.sh("echo one >> a.log")
	s.expect("a.log", "one\n")
	s.drained() // what the receiver has and has not acknowledged would come again
	s.sender.stop(t)
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	run("cp", "-a", s.dir+"/sender", s.dir+"/copy")
	run("cp", "-a", s.spool, s.dir+"/spoolcopy")
	s.startSender()
	s.sh("for i in $(seq 100); do echo two $i >> a.log; done")
	s.until("the second part arrives", 20*time.Second, func() bool { return strings.HasSuffix(s.received("a.log"), "two 100\n") })
	s.sender.kill()
	run("rm", "-rf", s.dir+"/sender", s.spool)
	run("mv", s.dir+"/copy", s.dir+"/sender")
	run("mv", s.dir+"/spoolcopy", s.spool)
	s.startSender()
	s.sh("for i in $(seq 50); do echo three $i >> a.log; done")
	want := "one\n"
	for i := range 100 {
		want += fmt.Sprintf("two %d\n", i+1)
	}
	for i := range 50 {
		want += fmt.Sprintf("three %d\n", i+1)
	}
	s.expect("a.log", want)
}

// The receiver's own disk is lost and replaced: the sender goes on where the old one had acknowledged.
func TestReceiverReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startBoth()
	s.sh("echo one >> a.log")
	s.expect("a.log", "one\n")
	s.drained()
	s.receiver.kill()
	if err := errors.Join(os.RemoveAll(s.dir+"/receiver"), os.RemoveAll(s.out)); err != nil {
		t.Fatal(err)
	}
	s.sh("echo two >> a.log")
	s.startReceiver()
	s.expect("a.log", "two\n")
}

// Damage to any file of a stopped sender's queue costs at most what is counted: it starts, and new lines arrive.
func TestDamagedQueueStarts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.startSender()
	s.sh("for i in $(seq 200); do echo before $i >> a.log; done")
	s.until("lines are queued", 20*time.Second, func() bool {
		st := s.status("sender")
		return st.Sender != nil && st.Sender.Queue.Bytes > 2000
	})
	for round := range 6 {
		s.sender.kill()
		var files []string
		err := filepath.Walk(s.dir+"/sender/queue", func(p string, st os.FileInfo, err error) error {
			if err == nil && st.Mode().IsRegular() && st.Size() > 0 && !strings.Contains(p, "quarantine") && st.Name() != "LOCK" {
				files = append(files, p)
			}
			return err
		})
		if err != nil || len(files) == 0 {
			t.Fatal(err, files)
		}
		damage(t, files[rnd.Intn(len(files))], rnd.Int63(), round%2 == 0)
		s.startSender()
		s.sh(fmt.Sprintf("echo after %d >> b.log", round))
	}
	s.startReceiver()
	s.until("new lines arrive", 30*time.Second, func() bool { return strings.Contains(s.received("b.log"), "after 5\n") })
	s.drained()
	for _, f := range s.status("sender").Sender.Flows {
		if !f.Balanced() {
			t.Errorf("after damage the counters do not agree: %+v", f)
		}
	}
}

// damage flips a bit of a file or cuts it.
func damage(t *testing.T, path string, where int64, flip bool) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at := where % st.Size()
	t.Logf("damage %s of %d bytes at %d, flip %v", filepath.Base(path), st.Size(), at, flip)
	if !flip {
		if err := f.Truncate(at); err != nil {
			t.Fatal(err)
		}
		return
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	b[0] ^= 1 << (where % 8)
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}
