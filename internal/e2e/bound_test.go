package e2e

import (
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/control"
)

// used returns the bytes on disk under a folder.
func used(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone since it was listed
		}
		if st, err := e.Info(); err == nil {
			n += st.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// With the receiver away and a small bound the disk use holds, writers see nothing, and what had to go is counted: the lines
// that are missing at the end are the dropped records, no more and no fewer.
func TestDiskBound(t *testing.T) {
	t.Parallel()
	const bound = 24 << 20
	s := newSite(t)
	s.queueX = "  max_size: 24MiB\n  segment_size: 4MiB"
	s.startSender()
	l := []*load{s.load("open", "open.log", "-pad", "2000"), s.load("wc", "thread.wc", "-pad", "2000", "-pause", "50us")}
	peak := int64(0)
	within := func() bool { // whole blocks, and what the folder holds besides data
		now := used(t, s.spool)
		peak = max(peak, now)
		return now <= bound+bound/8
	}
	both := func(sig syscall.Signal) {
		for _, w := range l {
			if err := w.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 4 { // how fast they write is nothing that housekeeping is held to
		before := s.size("open.log")
		s.until("half the bound is written", 60*time.Second, func() bool { within(); return s.size("open.log") > before+bound/2 })
		both(syscall.SIGSTOP)
		s.until("what is over the bound is dropped", 20*time.Second, within)
		both(syscall.SIGCONT)
	}
	lines := 0
	for _, w := range l {
		lines += w.end(t)
		if len(w.failed) > 0 {
			t.Errorf("writer %s saw errors: %v", w.id, w.failed)
		}
	}
	s.captured(l)
	s.until("what is over the bound at the end is dropped", 20*time.Second, within)
	s.startReceiver()
	s.drained()
	var delivered uint64
	var gone control.Count
	for _, f := range s.status("sender").Sender.Flows {
		if !f.Balanced() {
			t.Errorf("counters do not agree: %+v", f)
		}
		delivered, gone = delivered+f.Delivered.Records, gone.Plus(f.Dropped.Total())
	}
	dropped, arrived := gone.Records, 0
	for _, w := range l {
		n := strings.Count(s.received(w.file), "\n")
		arrived += n
		w.lossy = true // lost lines are expected here, doubled or disordered ones are not
		w.check(t, s.received(w.file))
	}
	if arrived != int(delivered) || arrived+int(dropped) != lines || dropped == 0 {
		t.Errorf("%d lines written, %d arrived; counters say %d delivered, %d dropped", lines, arrived, delivered, dropped)
	}
	s.gapsCome(gone, func(jsonLine) bool { return true })
	t.Logf("peak %d MiB of %d MiB; %d lines, %d dropped", peak>>20, bound>>20, lines, dropped)
}

// What filters rewrite lies in the queue itself and no more in spools: the bound holds for it too, and the counters know what went.
func TestDiskBoundOfWhatIsRewritten(t *testing.T) {
	t.Parallel()
	const bound = 8 << 20
	s := newSite(t)
	s.queueX = "  max_size: 8MiB\n  segment_size: 1MiB"
	s.rulesX = `
  - {name: same, match: ["**"], targets: [main], filters: [{action: rewrite, match: '^.*$', rewrite: '$0'}]}`
	s.startSender()
	w := s.load("open", "open.log", "-pad", "8000", "-pause", "20us")
	s.until("much more than the bound is written", 60*time.Second, func() bool { return s.size("open.log") > 4*bound })
	lines := w.end(t)
	s.captured([]*load{w})
	s.until("what is over the bound is dropped", 20*time.Second, func() bool {
		return s.status("sender").Sender.Queue.Bytes <= bound && used(t, s.dir+"/sender/queue") <= 2*bound
	})
	s.startReceiver()
	s.drained()
	arrived := strings.Count(s.received(w.file), "\n")
	w.lossy = true
	w.check(t, s.received(w.file))
	var delivered, dropped uint64
	for _, f := range s.status("sender").Sender.Flows {
		if !f.Balanced() {
			t.Errorf("counters do not agree: %+v", f)
		}
		delivered, dropped = delivered+f.Delivered.Records, dropped+f.Dropped.Total().Records
	}
	if arrived != int(delivered) || arrived+int(dropped) != lines || dropped == 0 {
		t.Errorf("%d lines written, %d arrived; counters say %d delivered, %d dropped", lines, arrived, delivered, dropped)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.rulesX = `
  - {name: bin, match: ["*.bin"], unit: binary, targets: [main]}
  - {name: datagrams, match: ["*.dgram"], capture: write, unit: write, targets: [main]}`
	s.startBoth()
	blob := make([]byte, 5<<20)
	random(t).Read(blob)
	file := s.write("blob", string(blob))
	s.sh("cat " + file + " > a.bin; cat " + file + " >> b.bin")
	f, err := os.OpenFile(s.mnt+"/w.dgram", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	var all string
	rnd := rand.New(rand.NewSource(7))
	for i := range 100 {
		text := fmt.Sprintf("record %d\nwith lines %s", i, strings.Repeat("y", rnd.Intn(300)))
		all += text
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s.expect("a.bin", string(blob))
	s.expect("b.bin", string(blob))
	s.expect("w.dgram", all)
	s.drained()
	n := 0
	for _, j := range s.jsonLines() {
		if j.Path != "w.dgram" {
			continue
		}
		if !strings.HasPrefix(j.Data, fmt.Sprintf("record %d\nwith lines", n)) || j.Kind != "thread" || j.PID != os.Getpid() {
			t.Errorf("record %d is %+v", n, j)
		}
		n++
	}
	if n != 100 {
		t.Errorf("%d records of write(2), want 100", n)
	}
}

// A partial line waits for its end; when it has waited long enough it is sent as a piece, and never mixed with another
// handle's.
func TestPartialLines(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.rulesX = `
  - {name: soon, match: ["soon.*"], max_age: 200ms, targets: [main]}
  - {name: never, match: ["never.*"], max_age: 0s, targets: [main]}`
	s.startBoth()
	open := func(name string) *os.File {
		f, err := os.OpenFile(s.mnt+"/"+name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	say := func(f *os.File, text string) {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	a, b := open("never.log"), open("never.log")
	say(a, "a begins")
	say(b, "b begins")
	say(a, ", a ends\n")
	say(b, ", b ends\n")
	s.until("both lines arrive whole", 20*time.Second, func() bool {
		got := s.received("never.log")
		return got == "a begins, a ends\nb begins, b ends\n" || got == "b begins, b ends\na begins, a ends\n"
	})
	say(a, "a goes on") // which nobody has but this machine
	if err := s.askDrained(); err == nil {
		t.Error("queue status --drained says that all is delivered while a line waits for its end")
	}
	say(a, "\n")
	s.until("all is delivered", 20*time.Second, func() bool { return s.askDrained() == nil })
	if got := s.received("never.log"); !strings.HasSuffix(got, "a goes on\n") {
		t.Errorf("queue status --drained says that all is delivered, and the receiver has %q", got)
	}
	c := open("soon.log")
	say(c, "first half")
	s.expect("soon.log", "first half")
	say(c, ", second half\n")
	s.expect("soon.log", "first half, second half\n")
	s.drained()
	var pieces []string
	for _, j := range s.jsonLines() {
		if j.Path == "soon.log" {
			pieces = append(pieces, fmt.Sprint(j.Data, j.Continued, j.Continues))
		}
	}
	if want := "[first halftrue false , second halffalse true]"; fmt.Sprint(pieces) != want {
		t.Errorf("pieces are %v, want %s", pieces, want)
	}
}
