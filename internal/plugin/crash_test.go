package plugin

import (
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/format"
)

// killing kills the child at random points until everything is drained, and at least so often.
func killPID(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

func killing(t *testing.T, r *rig, p *running, times int) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range times {
		r.number(2000, 1+rng.IntN(300), 1+rng.IntN(300))
		until(t, "it runs", func() bool { return p.Stats().PID != 0 })
		began := p.Stats()
		most := began.Bytes + rng.Uint64N(200_000)
		until(t, "it gets on", func() bool { s := p.Stats(); return s.Bytes >= most || r.drained("out") || s.Starts != began.Starts })
		if pid := p.Stats().PID; pid != 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		until(t, "its end was seen", func() bool { return p.Stats().Restarts > began.Restarts })
	}
	until(t, "all is done", func() bool { return r.drained("out") })
	p.end()
}

// With acknowledgements kill -9 loses nothing.
func TestKillWithAck(t *testing.T) {
	r := newRig(t)
	r.Ack, r.Window = true, 256<<10
	r.Command = []string{"/usr/bin/python3", "-uc", slowEcho}
	p := r.start()
	killing(t, r, p, 25)
	got, torn := numbers(r.read("got"))
	for n := 1; n <= r.lines; n++ {
		if got[n] == 0 {
			t.Fatalf("line %d of %d is lost", n, r.lines)
		}
	}
	s := p.Stats()
	t.Logf("%d lines, %d torn, %d bytes came again, %+v", r.lines, len(torn), s.Again, s)
	if s.Uncertain != 0 {
		t.Errorf("got %d uncertain bytes, want 0", s.Uncertain)
	}
	if s.Again == 0 {
		t.Error("nothing ever came again: nothing was tested")
	}
}

// A plug-in that dies again and again within one chunk gets on, whatever way the chunk's bytes take.
func TestDiesWithinChunk(t *testing.T) {
	for name, render := range map[string]Renderer{"payload": nil, "viewed": format.Raw{}} {
		for _, ack := range []string{"acks = os.fdopen(3, 'w'); print(n, file=acks, flush=True)", ""} {
			t.Run(name+" ack "+strconv.FormatBool(ack != ""), func(t *testing.T) {
				r := newRig(t)
				r.Render, r.Cut, r.Ack, r.RestartMin, r.RestartMax = render, render != nil, ack != "", time.Millisecond, 2*time.Millisecond
				r.Command = []string{"/usr/bin/python3", "-c", `
import os
out = os.open("got", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
n = 0
while n < 300:
    line = b""
    while not line.endswith(b"\n"):
        b = os.read(0, 1)
        if not b: os._exit(0)
        line += b
    os.write(out, line)
    n += 1
` + ack + `
os._exit(3)`}
				r.number(2100, 2100, 0)
				p := r.start()
				until(t, "all is done", func() bool { return r.drained("out") })
				p.end()
				got, torn := numbers(r.read("got"))
				for n := 1; n <= r.lines; n++ {
					if got[n] != 1 {
						t.Fatalf("line %d came %d times, want once; torn: %q", n, got[n], torn)
					}
				}
				if s := p.Stats(); s.Restarts < 6 {
					t.Errorf("got %d restarts, want at least %d: nothing was tested", s.Restarts, 6)
				}
			})
		}
	}
}

// Without, what was unread comes again, and what is lost is no more than what is counted.
func TestKillWithoutAck(t *testing.T) {
	r := newRig(t)
	// It holds what it read for a moment, as programs that read by the block do.
	r.Command = []string{"/usr/bin/python3", "-c", `
import os, time
out = os.open("got", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
held = b""
while True:
    b = os.read(0, 50000)
    os.write(out, held)
    held = b
    if not b: break
    time.sleep(0.0005)
`}
	p := r.start()
	killing(t, r, p, 25)
	got, torn := numbers(r.read("got"))
	var lost, twice int
	for n := 1; n <= r.lines; n++ {
		switch {
		case got[n] == 0:
			lost++
		case got[n] > 1:
			twice++
		}
	}
	s := p.Stats()
	t.Logf("%d lines: %d lost, %d twice, %d torn; %+v", r.lines, lost, twice, len(torn), s)
	if missing := int64(len(r.spool.data)) - int64(len(r.read("got"))); missing > int64(s.Uncertain) {
		t.Errorf("%d bytes are missing, want at most the %d that are uncertain", missing, s.Uncertain)
	}
	if uint64(lost)*2 > s.Uncertain {
		t.Errorf("%d lines are lost, %d bytes uncertain", lost, s.Uncertain)
	}
	if twice > int(s.Restarts) {
		t.Errorf("%d lines came twice, want at most one for each of %d ends: the one that was half read", twice, s.Restarts)
	}
	if s.Again == 0 {
		t.Error("nothing ever came again: nothing was tested")
	}
}

// What a child has had nothing to read after, for a while, is not uncertain.
func TestQuiet(t *testing.T) {
	r := newRig(t)
	r.sh("exec cat >got")
	r.number(100, 10, 100)
	p := r.start()
	until(t, "all is read", func() bool { return r.drained("out") })
	until(t, "it is seen to be done with all of it", func() bool { written, _, quiet := p.track.progress(); return quiet == written })
	syscall.Kill(p.Stats().PID, syscall.SIGKILL)
	until(t, "it was started again", func() bool { return p.Stats().Starts == 2 })
	if s := p.Stats(); s.Uncertain != 0 || s.LastExit != "killed by SIGKILL" {
		t.Errorf("got %+v", s)
	}
}

// A child that dies with what it has not read leaves all of that to the next one, and only that.
func TestUnreadComesAgain(t *testing.T) {
	r := newRig(t)
	r.sh(`test -e first && exec cat >>got; touch first; head -c 100000 >>got; exec sleep 1000`)
	r.number(20_000, 1000, 100)
	p := r.start()
	until(t, "it has read what it reads", func() bool { return len(r.read("got")) == 100_000 })
	syscall.Kill(p.Stats().PID, syscall.SIGKILL)
	until(t, "all came", func() bool { return r.drained("out") })
	p.end()
	got, torn := numbers(r.read("got"))
	s := p.Stats()
	if len(torn) != 1 && len(torn) != 0 {
		t.Errorf("torn: %q", torn)
	}
	missing := 0
	for n := 1; n <= r.lines; n++ {
		if got[n] > 1 {
			t.Fatalf("line %d came %d times", n, got[n])
		} else if got[n] == 0 {
			missing++
		}
	}
	if missing > 1 { // the one that was torn lies behind its first half
		t.Errorf("%d lines are missing", missing)
	}
	if s.Uncertain != 100_000 {
		t.Errorf("got %d uncertain bytes, want those that it read", s.Uncertain)
	}
}
