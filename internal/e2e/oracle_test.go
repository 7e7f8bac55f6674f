package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/control"
)

const plain = syscall.O_WRONLY | syscall.O_CREAT // without O_APPEND: write capture

// loads starts writers of every kind on files of their own and on shared ones. With the race detector, to which a line is
// many times the work, they pause three times as long: else the machine is busy with lines, and not with what befalls them.
func (s *site) loads(pause time.Duration, again bool) []*load {
	var l []*load
	for i := range 2 {
		common := []string{"-pause", pause.String(), fmt.Sprintf("-again=%v", again)}
		l = append(l,
			s.load(fmt.Sprintf("open%d", i), fmt.Sprintf("open%d.log", i), common...),
			s.load(fmt.Sprintf("shared%d", i), "shared.log", append(common, "-reopen", "50")...),
			s.load(fmt.Sprintf("wc%d", i), "thread.wc", common...),
		)
	}
	return append(l, s.load("flow", "flow.log", "-pause", pause.String(), fmt.Sprintf("-again=%v", again), "-flags", fmt.Sprint(plain)))
}

// settle ends the loads, waits until all has arrived, and asks the oracle.
func (s *site) settle(l []*load) {
	s.t.Helper()
	for _, w := range l {
		w.end(s.t)
	}
	s.settled(l)
}

// settled is settle for loads that have ended.
func (s *site) settled(l []*load) {
	s.t.Helper()
	s.captured(l)
	s.drained()
	for _, w := range l {
		w.check(s.t, s.received(w.file))
	}
	s.orderWithinHandles()
	s.identities(l)
}

// writtenBy expects that every line of a file carries one of these program names, and a process id.
func (s *site) writtenBy(file string, comms ...string) {
	s.t.Helper()
	lines := 0
	for _, j := range s.jsonLines() {
		if j.Path != file || j.Gap != nil {
			continue
		}
		lines++
		if !slices.Contains(comms, j.Comm) || j.PID == 0 || j.Exe == "" || j.Host != "sendhost" {
			s.t.Errorf("line of %s has writer %+v, want one of %v", file, j, comms)
			return
		}
	}
	if lines == 0 {
		s.t.Errorf("no line of %s in the json output", file)
	}
}

// jsonLines returns the whole lines that the json output has.
func (s *site) jsonLines() []jsonLine {
	s.t.Helper()
	all := readFile(s.t, s.out+".json/all.json")
	all = all[:strings.LastIndexByte(all, '\n')+1]
	s.lines = append(s.lines, parseLines(s.t, all[s.parsed:])...) // it only grows
	s.parsed = len(all)
	return s.lines
}

func parseLines(t *testing.T, all string) (lines []jsonLine) {
	t.Helper()
	for text := range strings.Lines(all) {
		var j jsonLine
		if err := json.Unmarshal([]byte(text), &j); err != nil {
			t.Fatalf("%v in %s", err, brief(text))
		}
		lines = append(lines, j)
	}
	return lines
}

// orderWithinHandles holds the lines of every handle, as the json output has them, to their order.
func (s *site) orderWithinHandles() {
	s.t.Helper()
	type lane struct { // several writers share a handle only below the mount
		handle uint64
		writer string
	}
	last := map[lane]int{}
	for _, j := range s.jsonLines() {
		at, n := lane{handle: j.Handle}, 0
		if _, err := fmt.Sscan(j.Data, &at.writer, &n); err != nil || n <= last[at] {
			s.t.Fatalf("after line %d of the handle came %+v", last[at], j)
		}
		last[at] = n
	}
}

// captured waits until the sender has counted as many lines as these loads, all that there were, have written: how much is
// unseen is measured now and then, and may be from before they ended.
func (s *site) captured(l []*load) {
	s.t.Helper()
	wrote := uint64(0)
	for _, w := range l {
		wrote += uint64(len(w.ok))
	}
	s.until("all lines are captured", 60*time.Second, func() bool {
		st, most := s.status("sender").Sender, uint64(0)
		if st == nil {
			return false
		}
		sum := map[string]uint64{} // a target that is new has not counted what was before
		for _, f := range st.Flows {
			sum[f.Target] += f.Captured.Records
			most = max(most, sum[f.Target])
		}
		return most >= wrote
	})
}

// drained waits until all that was written before is delivered: the sender measures what it has not seen for that.
func (s *site) drained() {
	s.t.Helper()
	s.until("the queue drains", 60*time.Second, func() bool {
		st := statusAt(s.t, s.dir+"/sender.sock", control.PathStatus+"?"+control.AskWritten).Sender
		return st != nil && st.Unseen == 0 && !slices.ContainsFunc(st.Flows, func(f control.Flow) bool { return f.Queued.Bytes > 0 })
	})
}

// askDrained asks as an operator does whether all that was written is delivered.
func (s *site) askDrained() error {
	return exec.Command(program, "queue", "status", "--drained", "--config", filepath.Join(s.dir, "sender.yaml")).Run()
}

// status asks a running side over its control socket.
func (s *site) status(role string) control.Status {
	s.t.Helper()
	return statusOf(s.t, fmt.Sprintf("%s/%s.sock", s.dir, role))
}

func statusOf(t *testing.T, sock string) control.Status {
	t.Helper()
	return statusAt(t, sock, control.PathStatus)
}

func statusAt(t *testing.T, sock, path string) control.Status {
	t.Helper()
	var st control.Status
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := control.Call(ctx, sock, "GET", path, nil, &st); err != nil {
		t.Logf("status of %s: %v", filepath.Base(sock), err)
	}
	return st
}

func TestOracle(t *testing.T) {
	s := newSite(t)
	s.startBoth()
	l := s.loads(200*time.Microsecond, false)
	time.Sleep(3 * time.Second) // the load itself
	s.settle(l)
	total := 0
	for _, w := range l {
		if len(w.failed)+len(w.other) > 0 {
			t.Errorf("writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
		total += len(w.ok)
	}
	s.balance(total)
}

// balance holds the counters of both sides against each other and against what the writers wrote.
func (s *site) balance(lines int) {
	s.t.Helper()
	var captured, delivered control.Count
	for _, f := range s.status("sender").Sender.Flows {
		if !f.Balanced() {
			s.t.Errorf("flow %s: captured is not delivered + queued + filtered + dropped: %+v", f.Rule, f)
		}
		captured, delivered = captured.Plus(f.Captured), delivered.Plus(f.Delivered)
	}
	if captured != delivered || int(captured.Records) != lines {
		s.t.Errorf("captured %+v, delivered %+v, writers wrote %d lines", captured, delivered, lines)
	}
	for _, o := range s.status("receiver").Receiver.Outputs {
		if o.Written != captured {
			s.t.Errorf("output %s wrote %+v, captured were %+v", o.Name, o.Written, captured)
		}
	}
}

type jsonLine struct {
	Host   string `json:"host"`
	Path   string `json:"path"`
	Kind   string `json:"writer"`
	PID    int    `json:"pid"`
	TID    int    `json:"tid"`
	UID    int    `json:"uid"`
	Comm   string `json:"comm"`
	Exe    string `json:"exe"`
	Clock  string `json:"clock"`
	Data   string `json:"data"`
	BootID string `json:"boot_id"`
	Handle uint64 `json:"handle"`
	Below  bool   `json:"below"`
	Gap    *struct {
		Reason         string
		Bytes, Records uint64
	}

	Continues, Continued bool
}

// identities holds every line's attributes against who really wrote it.
func (s *site) identities(l []*load) {
	s.t.Helper()
	byID := map[string]*load{}
	for _, w := range l {
		byID[w.id] = w
	}
	checked, wrong := 0, 0
	for _, j := range s.jsonLines() {
		id, _, _ := strings.Cut(j.Data, " ")
		w := byID[id]
		if w == nil {
			s.t.Fatalf("line of nobody: %+v", j)
		}
		if j.Below { // nobody was seen writing it
			if j.Kind != "unknown" || !w.reopens {
				s.t.Errorf("line of writer %s came from below the mount: %+v", id, j)
			}
			continue
		}
		kind, clock := "opener", "seen"
		if w.file == "thread.wc" || w.file == "flow.log" || w.reopens && j.Kind == "thread" {
			kind, clock = "thread", "written"
		}
		checked++
		if j.PID != w.cmd.Process.Pid || j.Exe != actor || j.Kind != kind || j.Clock != clock || j.Host != "sendhost" || j.Path != w.file || j.BootID == "" {
			if wrong++; wrong < 4 {
				s.t.Errorf("line of writer %s (pid %d) has attributes %+v", id, w.cmd.Process.Pid, j)
			}
		}
	}
	s.t.Logf("%d lines have their writer's identity, %d not", checked-wrong, wrong)
}
