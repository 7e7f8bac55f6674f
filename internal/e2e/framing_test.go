package e2e

import (
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/control"
)

// appended opens a file in the mount for this process to append to.
func (s *site) appended(name string) *os.File {
	s.t.Helper()
	f, err := os.OpenFile(s.mnt+"/"+name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	return f
}

func say(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// recordsOf returns the records and the gaps of a file, as the json output has them.
func (s *site) recordsOf(file string) (records []string, missing map[string]control.Count) {
	s.t.Helper()
	missing = map[string]control.Count{}
	for _, j := range s.jsonLines() {
		if j.Path != file {
			continue
		}
		if g := j.Gap; g != nil {
			missing[g.Reason] = missing[g.Reason].Plus(control.Count{Bytes: g.Bytes, Records: g.Records})
			continue
		}
		if j.Continues || j.Continued {
			s.t.Errorf("%s: a piece came, want whole records: %+v", file, j)
		}
		records = append(records, j.Data)
	}
	return records, missing
}

// Stack traces of several lines each are one record of the json output, over kills of the sender between any two lines,
// in open capture and in write capture.
func TestJoinedRecords(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // in write capture what another thread writes begins a record
	defer runtime.UnlockOSThread()
	s := newSite(t)
	rnd := random(t)
	join := `join: {start: '^\d{4}-', wait: 1h}, max_age: 0s, targets: [main], filters: [{action: deny, match: 'at minor'}, {action: rewrite, match: '(?s)^(\S+ \d+)(.*) by hand$', rewrite: '$1 tamed$2'}]}`
	s.rulesX = `
  - {name: cutwrites, match: ["**/*.wc"], capture: write, ` + join + `
  - {name: cut, match: ["**"], ` + join
	m := s.manage()
	s.startReceiver()
	m.start()
	m.mount()
	for _, name := range []string{"trace.log", "trace.wc"} {
		f := s.appended(name)
		var want []string
		var denied, all control.Count
		for i := range 300 {
			lines := traceLines(rnd, i)
			for _, l := range lines {
				say(t, f, l+"\n")
				if rnd.Intn(60) == 0 {
					s.sender.kill()
					m.start()
				}
			}
			text := strings.Join(lines, "\n")
			one := control.Count{Bytes: uint64(len(text) + 1), Records: 1}
			all = all.Plus(one)
			switch {
			case strings.Contains(text, "at minor"):
				denied = denied.Plus(one)
			case strings.HasSuffix(text, " by hand"):
				head := fmt.Sprintf("2026-11-29 %d", i)
				want = append(want, head+" tamed"+strings.TrimSuffix(strings.TrimPrefix(text, head), " by hand"))
			default:
				want = append(want, text)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		rule := map[string]string{"trace.log": "cut", "trace.wc": "cutwrites"}[name]
		s.until("all of "+name+" is captured", 20*time.Second, func() bool { return s.flowing(rule, "main").Captured == all })
		s.drained()
		got, missing := s.recordsOf(name)
		if strings.Join(got, "\x00") != strings.Join(want, "\x00") || len(missing) > 0 {
			t.Errorf("%s: got %d records, want %d; missing %v; first difference: %s", name, len(got), len(want), missing, difference(got, want))
		}
		if f := s.flow(rule, "main"); !f.Balanced() || f.Captured != all || f.Filtered != denied {
			t.Errorf("%s: got %+v, want %+v captured and %+v filtered", name, f, all, denied)
		}
	}
}

func traceLines(rnd *rand.Rand, i int) []string {
	lines := []string{fmt.Sprintf("2026-11-29 %d error", i)}
	for range rnd.Intn(6) {
		lines = append(lines, "    at "+[]string{"main", "minor", "other by hand"}[rnd.Intn(3)])
	}
	return lines
}

// difference says where two lists of records differ first.
func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("record %d is missing: %s", i, brief(want[i]))
		case i >= len(want):
			return fmt.Sprintf("record %d is too many: %s", i, brief(got[i]))
		case got[i] != want[i]:
			return fmt.Sprintf("record %d: got %s, want %s", i, brief(got[i]), brief(want[i]))
		}
	}
	return "none"
}

// Lines that are too long are cut or dropped, in their place, and the bytes that do not come are counted, over kills.
func TestTooLong(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.rulesX = `
  - {name: cut, match: ["cut.log"], max_record: 100B, too_long: truncate, max_age: 0s, targets: [main]}
  - {name: drop, match: ["drop.log"], max_record: 100B, too_long: drop, max_age: 0s, targets: [main]}`
	m := s.manage()
	s.startReceiver()
	m.start()
	m.mount()
	f := map[string]*os.File{"cut": s.appended("cut.log"), "drop": s.appended("drop.log")}
	want, lost, all := map[string]string{}, map[string]control.Count{}, map[string]uint64{}
	for i := range 2000 {
		for rule, file := range f {
			line := fmt.Sprintf("%d %s\n", i, strings.Repeat("y", rnd.Intn(20)*rnd.Intn(20)))
			half := rnd.Intn(len(line))
			say(t, file, line[:half])
			if rnd.Intn(300) == 0 {
				s.sender.kill()
				m.start()
			}
			say(t, file, line[half:])
			all[rule] += uint64(len(line))
			switch {
			case len(line) <= 100:
				want[rule] += line
			case rule == "cut":
				want[rule] += line[:100] + "\n"
				lost[rule] = lost[rule].Plus(control.Count{Bytes: uint64(len(line) - 101)})
			default:
				lost[rule] = lost[rule].Plus(control.Count{Bytes: uint64(len(line)), Records: 1})
			}
		}
	}
	for _, file := range f {
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for rule := range f {
		s.expect(rule+".log", want[rule])
	}
	s.drained()
	for rule := range f {
		s.gapsCome(lost[rule], func(j jsonLine) bool { return j.Path == rule+".log" && j.Gap.Reason == "too_long" })
		x := s.flow(rule, "main")
		if !x.Balanced() || x.Captured != (control.Count{Bytes: all[rule], Records: 2000}) || x.Dropped["too_long"] != lost[rule] || x.Dropped.Total() != lost[rule] {
			t.Errorf("rule %s: got %+v, want %d bytes captured and %+v dropped", rule, x, all[rule], lost[rule])
		}
	}
}

// gapsCome waits until some gaps in the json output stand for all that was dropped. They have no bytes that would be queued: one
// at the end may be under way when the queue has drained.
func (s *site) gapsCome(dropped control.Count, some func(jsonLine) bool) {
	s.t.Helper()
	var gone control.Count
	if !happens(60*time.Second, func() bool {
		gone = control.Count{}
		for _, j := range s.jsonLines() {
			if j.Gap != nil && some(j) {
				gone = gone.Plus(control.Count{Bytes: j.Gap.Bytes, Records: j.Gap.Records})
			}
		}
		return gone == dropped
	}) {
		s.t.Errorf("gaps at the receiver stand for %+v, %+v were dropped", gone, dropped)
	}
}

// Records that wait for company go when there are enough of them, not before, and a kill while they wait loses none.
func TestBatch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.rulesX = `
  - {name: batch, match: ["batch.*"], batch: {records: 50, wait: 1h}, targets: [main]}`
	m := s.manage()
	s.startReceiver()
	m.start()
	m.mount()
	f := s.appended("batch.log")
	want, other := "", ""
	for round := range 3 {
		for i := range 49 {
			line := fmt.Sprintf("%d %d\n", round, i)
			want += line
			say(t, f, line)
			if i == 20 {
				s.sender.kill()
				m.start()
			}
		}
		other += "passes by\n"
		s.sh("echo passes by >> other.log")
		s.expect("other.log", other)
		if got := s.received("batch.log"); strings.Contains(got, fmt.Sprintf("%d ", round)+"0\n") {
			t.Errorf("round %d: 49 records came, want none before there are 50", round)
		}
		want += fmt.Sprintf("%d 49\n", round)
		say(t, f, fmt.Sprintf("%d 49\n", round))
		s.expect("batch.log", want)
	}
	say(t, f, "alone\n")
	if err := f.Close(); err != nil { // what waits goes with the handle
		t.Fatal(err)
	}
	s.expect("batch.log", want+"alone\n")
	s.until("all is counted", 20*time.Second, func() bool { return s.flowing("batch", "main").Delivered.Records == 151 })
}
