package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// What is appended comes to the child as it is and in order, and at the end of its input it has time to finish.
func TestFeedAndStop(t *testing.T) {
	r := newRig(t)
	r.sh(`cat >got; sleep 0.2; echo end >>got`)
	p := r.start()
	var want []byte
	for _, d := range [][]byte{[]byte("a line\n"), {0, 1, 2, '\n', 255}, bytes.Repeat([]byte{0xfe, '\n', 'x'}, 300_000), []byte("no end")} {
		want = append(want, d...)
		r.append(d)
	}
	until(t, "all is read", func() bool { return r.drained("out") })
	if s := p.Stats(); s.State != Running || s.PID == 0 || s.Starts != 1 || s.Bytes != uint64(len(want)) || s.InFlight != 0 {
		t.Errorf("got %+v", s)
	}
	p.end()
	if got := r.read("got"); got != string(want)+"end\n" {
		t.Errorf("got %d bytes, want %d and an end", len(got), len(want))
	}
	if s := p.Stats(); s.State != Stopped || s.PID != 0 || s.LastExit != "exit status 0" || s.Uncertain != 0 || s.Restarts != 0 {
		t.Errorf("got %+v", s)
	}
}

// A stop in the middle of a stream loses and doubles nothing: what the child was given it has finished, and the rest waits.
func TestStopUnderLoad(t *testing.T) {
	for _, ack := range []bool{false, true} {
		t.Run(fmt.Sprintf("ack=%v", ack), func(t *testing.T) {
			r := newRig(t)
			r.number(60_000, 500, 100)
			r.Ack = ack
			r.Command = []string{"/usr/bin/python3", "-uc", slowEcho}
			for range 6 {
				p := r.start()
				began := len(r.read("got"))
				until(t, "it works", func() bool { return len(r.read("got")) > began || r.drained("out") })
				p.end()
			}
			last := r.start()
			until(t, "all is done", func() bool { return r.drained("out") })
			last.end()
			got, torn := numbers(r.read("got"))
			if len(torn) > 0 {
				t.Errorf("torn: %.3q", torn)
			}
			once(t, got, r.lines)
		})
	}
}

// slowEcho appends its input to got, and acknowledges if it is asked to.
const slowEcho = `
import os, sys, time
acks = os.fdopen(3, "w", 1) if os.environ.get("FTFUSE_ACK") else None
out, n = open("got", "ab", 0), 0
for line in sys.stdin.buffer:
    out.write(line)
    n += 1
    if n % 5000 == 0: time.sleep(0.001)
    if acks and n % 100 == 0: print(n, file=acks)
if acks: print(n, file=acks)
`

func once(t *testing.T, got map[int]int, lines int) {
	t.Helper()
	missing, twice := 0, 0
	for n := 1; n <= lines; n++ {
		switch {
		case got[n] == 0:
			missing++
		case got[n] > 1:
			twice++
		}
	}
	if missing > 0 || twice > 0 {
		t.Errorf("of %d lines: %d are missing, %d came more than once", lines, missing, twice)
	}
}

// A child that never reads holds back its own cursor, and nobody else's; nor does it hold up the stop for longer than it may.
func TestNeverReads(t *testing.T) {
	r := newRig(t)
	r.Backlog, r.StopTimeout = r.cursor("stuck"), 100*time.Millisecond
	r.sh("trap '' TERM; echo up >up; while :; do sleep 1; done")
	stuck := r.start()
	r.Name, r.Backlog, r.StopTimeout = "quick", r.cursor("quick"), 20*time.Second
	r.sh("cat >got")
	quick := r.start()
	until(t, "it is up", func() bool { return r.read("up") != "" })
	r.number(50_000, 100, 100)
	until(t, "the other is done", func() bool { return r.drained("quick") })
	until(t, "the pipe is full", func() bool { return stuck.Stats().Bytes >= 64<<10 })
	if r.drained("stuck") || stuck.Stats().Lag == 0 {
		t.Errorf("got %+v: want it to be behind", stuck.Stats())
	}
	stuck.end()
	if s := stuck.Stats(); s.Uncertain != 0 || s.LastExit != "killed by SIGKILL" {
		t.Errorf("it has read nothing: got %+v", s)
	}
	quick.end()
	got, _ := numbers(r.read("got"))
	once(t, got, r.lines)
	r.Name, r.Backlog = "stuck", r.cursor("stuck")
	r.sh("cat >later")
	later := r.start()
	until(t, "all came to the next one", func() bool { return r.drained("stuck") })
	later.end()
	got, _ = numbers(r.read("later"))
	once(t, got, r.lines)
}

// A child that does not acknowledge is given what the window has room for.
func TestWindow(t *testing.T) {
	r := newRig(t)
	r.Ack, r.Window = true, 1<<20
	r.sh("exec cat >got")
	r.number(40_000, 100, 100)
	p := r.start()
	until(t, "the window is full", func() bool {
		s := p.Stats()
		return s.InFlight > r.Window*3/4-100_000 && int64(len(r.read("got"))) == s.InFlight
	})
	if s := p.Stats(); s.InFlight > r.Window || s.Bytes > uint64(r.Window) {
		t.Errorf("got %+v, want at most %d", s, r.Window)
	}
}

// Ends in a row make the pauses longer, are counted and told, and lose nothing.
func TestBackOff(t *testing.T) {
	r := newRig(t)
	r.RestartMax = 8 * time.Millisecond
	r.sh(`echo x >>starts; test $(wc -l <starts) -gt 6 || exit 3; cat >got`)
	r.number(1000, 10, 10)
	p := r.start()
	until(t, "it works in the end", func() bool { return r.drained("out") })
	if s := p.Stats(); s.Restarts != 6 || s.Starts != 7 || s.LastExit != "exit status 3" || s.ExitedAt.IsZero() {
		t.Errorf("got %+v", s)
	}
	p.end()
	got, _ := numbers(r.read("got"))
	once(t, got, r.lines)
	log := r.log.String()
	for _, want := range []string{"status=\"exit status 3\"", "again_in=1ms", "again_in=2ms", "again_in=4ms", "again_in=8ms", "notice=plugin_ended"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, "again_in=16ms") {
		t.Errorf("a pause was longer than the longest:\n%s", log)
	}
}

// A life that was long is no failure in a row.
func TestBackOffForgets(t *testing.T) {
	r := newRig(t)
	r.steady = time.Nanosecond
	r.RestartMin, r.RestartMax = time.Nanosecond, time.Hour
	r.sh(`echo x >>starts; test $(wc -l <starts) -gt 50; exit 1`)
	p := r.start()
	until(t, "many starts", func() bool { return p.Stats().Starts > 50 })
}

func TestCannotStart(t *testing.T) {
	for _, command := range []string{"/no/such/program", "no-such-program", "/etc/passwd"} {
		r := newRig(t)
		r.Command = []string{command}
		p := r.start()
		until(t, "attempts", func() bool { return p.Stats().Restarts >= 3 })
		p.end()
		if s := p.Stats(); !strings.Contains(s.LastExit, command) || s.Uncertain != 0 {
			t.Errorf("got %+v", s)
		}
	}
}

// A child that closes its input and lives on is waited for and replaced; its successor gets what it has not read.
func TestClosesInput(t *testing.T) {
	r := newRig(t)
	r.sh(`if mkdir first; then exec 0<&-; sleep 0.1; echo end >>got; exit 0; fi; cat >>got`)
	p := r.start()
	until(t, "it is closed", func() bool { r.number(100, 10, 100); return p.Stats().Restarts > 0 })
	until(t, "all came", func() bool { return r.drained("out") })
	p.end()
	text, found := strings.CutPrefix(r.read("got"), "end\n")
	if !found {
		t.Error("the first one was not waited for")
	}
	got, _ := numbers(text)
	once(t, got, r.lines)
}

// Nothing of a group is left when its leader ends, and a process that has left the group and holds the output does not hold us up for ever.
func TestGroup(t *testing.T) {
	r := newRig(t)
	r.StopTimeout = 100 * time.Millisecond
	r.sh(`sleep 1000 & echo $! >>pids; setsid sleep 1000 & echo $! >>apart; test -e second && { echo up >up; exec cat; }; touch second; exit 1`)
	p := r.start()
	until(t, "it runs again", func() bool { return r.read("up") != "" })
	p.end()
	for _, pid := range pids(t, r.read("apart")) {
		defer syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, pid := range pids(t, r.read("pids")) {
		until(t, "the rest of the group is gone", func() bool { return dead(pid) })
	}
}

// pids are the process ids of the two lives, one a line.
func pids(t *testing.T, text string) (list []int) {
	t.Helper()
	for line := range strings.Lines(text) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		must(t, err)
		list = append(list, pid)
	}
	if len(list) != 2 || list[0] <= 1 || list[1] <= 1 {
		t.Fatalf("got %q, want two process ids", text)
	}
	return list
}

// dead says whether a process has ended, though perhaps nobody has waited for it.
func dead(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(b, []byte(") Z "))
}

// What cannot be read is dropped alone, and counted by the queue.
func TestDamage(t *testing.T) {
	for _, cause := range []error{fmt.Errorf("x: %w", record.ErrGone), errors.New("input/output error")} {
		r := newRig(t)
		r.number(400, 4, 10)
		bad := int64(44 * 50)
		r.spool.bad = func(e record.Extent) error {
			if e.Off >= bad && e.Off < bad+44 {
				return cause
			}
			return nil
		}
		r.sh("cat >got")
		p := r.start()
		until(t, "the rest came", func() bool { return r.drained("out") })
		p.end()
		got, _ := numbers(r.read("got"))
		if len(got) != 396 || got[200] != 1 || got[201] != 0 || got[204] != 0 || got[205] != 1 {
			t.Errorf("%v: got %d lines", cause, len(got))
		}
		if s := p.Stats(); s.Gaps != 1 {
			t.Errorf("got %d gaps", s.Gaps)
		}
	}
}

// The queue's end ends Run.
func TestQueueEnds(t *testing.T) {
	r := newRig(t)
	r.sh("cat >got")
	r.number(10, 10, 10)
	r.Backlog = r.cursor("out")
	p, err := New(r.Options)
	must(t, err)
	done := make(chan error)
	go func() { done <- p.Run(t.Context()) }()
	until(t, "all came", func() bool { return r.drained("out") })
	r.queue.Close()
	if err := <-done; !errors.Is(err, record.ErrClosed) {
		t.Errorf("got %v, want closed", err)
	}
}
