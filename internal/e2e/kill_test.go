package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The receiver dies at random points, again and again: nothing is lost, nothing comes twice, writers do not notice.
func TestReceiverKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.startBoth()
	l := s.loads(300*time.Microsecond, false)
	for range soak(25) {
		time.Sleep(time.Duration(rnd.Intn(60)) * time.Millisecond)
		s.receiver.kill()
		s.startReceiver()
	}
	s.settle(l)
	total := 0
	for _, w := range l {
		if len(w.failed)+len(w.other) > 0 {
			t.Errorf("writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
		total += len(w.ok)
	}
	t.Logf("%d lines over %d kills", total, soak(25))
	if total == 0 {
		t.Error("nothing was written")
	}
}

// The sender dies at random points. Handles of open capture go on: their writes and closes never fail. What
// write(2) returned for arrives, once; spools still held are followed on; the dead mount is replaced.
func TestSenderKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.startBoth()
	l := s.loads(300*time.Microsecond, true)
	for _, w := range l {
		w.reopens = true
	}
	steady := s.load("steady", "steady.log", "-pause", "200us") // never opens again
	s.until("the steady writer has opened its file", 20*time.Second, func() bool { return steady.written() > 0 })
	for range soak(20) {
		time.Sleep(time.Duration(20+rnd.Intn(150)) * time.Millisecond)
		s.sender.kill()
		s.startSender()
	}
	s.settle(append(l, steady))
	if len(steady.failed)+len(steady.other) > 0 {
		t.Errorf("a handle of open capture saw errors: %v %v", steady.failed, steady.other)
	}
	total := len(steady.ok)
	for _, w := range l {
		total += len(w.ok)
		for n, why := range w.failed {
			if strings.HasPrefix(w.id, "open") || strings.HasPrefix(w.id, "shared") {
				t.Errorf("writer %s of open capture: line %d failed: %s", w.id, n, why)
			} else if why != "transport endpoint is not connected" && why != "software caused connection abort" {
				t.Errorf("writer %s: line %d failed with %s, want ENOTCONN or ECONNABORTED", w.id, n, why)
			}
		}
		for _, o := range w.other {
			if strings.HasPrefix(o, "close") && !strings.HasPrefix(w.id, "wc") && w.id != "flow" {
				t.Errorf("writer %s: %s", w.id, o)
			}
		}
	}
	s.neverBelow() // a dead mount is replaced without a moment in which the directory below shows
	t.Logf("%d lines over %d kills", total, soak(20))
}

// Both die, in any order.
func TestBothKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.startBoth()
	l := s.loads(500*time.Microsecond, true)
	for _, w := range l {
		w.reopens = true
	}
	for range soak(12) {
		time.Sleep(time.Duration(20+rnd.Intn(100)) * time.Millisecond)
		if rnd.Intn(2) == 0 {
			s.receiver.kill()
			s.sender.kill()
		} else {
			s.sender.kill()
			s.receiver.kill()
		}
		s.startReceiver()
		s.startSender()
	}
	s.settle(l)
}

// The receiver is away while programs write: what waits takes disk and not memory, and everything arrives after.
func TestReceiverAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.pad = 2000
	s.startSender()
	l := s.loads(0, false)
	wrote := func(most int64) func() bool {
		return func() bool {
			n := int64(0)
			for _, file := range []string{"open0.log", "open1.log", "shared.log", "thread.wc", "flow.log"} {
				n += s.size(file)
			}
			return n >= most
		}
	}
	s.until("32 MiB are written", 60*time.Second, wrote(32<<20))
	before := s.rss()
	s.until("128 MiB are written", 60*time.Second, wrote(128<<20))
	after := s.rss()
	for _, w := range l {
		w.end(t)
	}
	s.captured(l)
	backlog := s.status("sender").Sender.Queue.Bytes
	if backlog == 0 {
		t.Fatal("nothing is queued while the receiver is away")
	}
	s.startReceiver()
	s.drained()
	for _, w := range l {
		w.check(t, s.received(w.file))
	}
	t.Logf("backlog %d MiB, resident %d MiB, then %d MiB", backlog>>20, before>>20, after>>20)
	if !raced() && after > 96<<20 {
		t.Errorf("resident memory %d MiB with %d MiB of backlog", after>>20, backlog>>20)
	}
}

// rss returns the sender's resident memory in bytes.
func (s *site) rss() int64 {
	s.t.Helper()
	var pages, resident int64
	if _, err := fmt.Sscan(readFile(s.t, fmt.Sprintf("/proc/%d/statm", s.sender.cmd.Process.Pid)), &pages, &resident); err != nil {
		s.t.Fatal(err)
	}
	return resident * 4096
}

// Readers see after a kill what they saw before it, delivered or not.
func TestReadersAfterKill(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.startBoth()
	want := map[string]string{}
	for i := range 6 {
		name := fmt.Sprintf("r%d.log", i)
		if i%2 == 1 {
			name = fmt.Sprintf("r%d.wc", i)
		}
		text := strings.Repeat(fmt.Sprintf("line of %s\n", name), 20000)
		s.sh("cat " + s.write("text", text) + " >> " + name)
		want[name] = text
		time.Sleep(time.Duration(rnd.Intn(400)) * time.Millisecond)
		s.sender.kill()
		s.startSender()
		for name, text := range want {
			if got := s.sh("cat " + name); got != text {
				t.Errorf("after kill %d %s reads %s, want %s", i, name, brief(got), brief(text))
			}
		}
	}
	for name, text := range want {
		s.expect(name, text)
	}
}
