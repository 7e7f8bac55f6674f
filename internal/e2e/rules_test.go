package e2e

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/control"
)

// decided are filters that decide by the last digit of a line's number: 3 goes nowhere, 0 and 5 go to the output copy
// alone, 8 goes to main and alarm, 7 goes changed to main, the rest to main as it is.
const decided = `filters: [
      {action: deny, match: '^\S+ \d*3 '},
      {action: allow, match: '^\S+ \d*[05] ', targets: [copy]},
      {action: route, match: '^\S+ \d*8 ', targets: [alarm]},
      {action: rewrite, match: '^(\S+ \d*7) (x*)$', rewrite: '$1 now $2'},
      {action: deny, contains: "no line has this"}]`

// decidedAs is what decided makes of a line, for each target and output.
var decidedAs = map[string]form{
	"main": func(n int, line string) string {
		switch n % 10 {
		case 3, 0, 5:
			return ""
		case 7:
			at := strings.LastIndexByte(line, ' ')
			return line[:at] + " now" + line[at:]
		}
		return line
	},
	"alarm": func(n int, line string) string {
		if n%10 == 8 {
			return line
		}
		return ""
	},
	"copy": func(n int, line string) string {
		if n%5 == 0 {
			return line
		}
		return ""
	},
}

// withAlarm adds a second receiver as target alarm, and files of the sender's machine as output copy.
func (s *site) withAlarm() (alarm *site) {
	s.t.Helper()
	alarm = newSite(s.t)
	s.targetsX = fmt.Sprintf(`  - {name: alarm, address: "%s", backoff: {min: 10ms, max: 200ms}}`, alarm.addr)
	s.senderX = "outputs:\n" + s.copies("copy")
	return alarm
}

// copies are files of the sender's machine as an output of this name.
func (s *site) copies(name string) string {
	return fmt.Sprintf("  - {name: %s, base: %s, path: \"{path}\"}\n", name, filepath.Join(s.dir, name))
}

// inOrder returns what the files of a name have, rotated ones (NAME.1, NAME.2, ...) first.
func inOrder(t *testing.T, dir, name string) (all string) {
	t.Helper()
	for i := 1; ; i++ {
		b, err := os.ReadFile(fmt.Sprintf("%s/%s.%d", dir, name, i))
		if os.IsNotExist(err) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return all + string(b)
}

// tally is what writers have written, and what of it comes in some form.
type tally struct{ all, some control.Count }

// count counts the lines of the writers whose files a rule has: those that write(2) returned for.
func count(l []*load, of func(*load) bool, as form) (n tally) {
	for _, w := range l {
		if !of(w) {
			continue
		}
		wrote := w.lines(w.most())
		for _, k := range w.ok {
			one := control.Count{Bytes: uint64(len(wrote[k])), Records: 1}
			n.all = n.all.Plus(one)
			if as(k, wrote[k]) != "" {
				n.some = n.some.Plus(one)
			}
		}
	}
	return n
}

func (s *site) flow(rule, target string) control.Flow {
	s.t.Helper()
	f := s.flowing(rule, target)
	if f.Rule == "" {
		s.t.Fatalf("no flow of rule %s to %s", rule, target)
	}
	return f
}

// flowing is flow for one that may not have begun: it has counted nothing then.
func (s *site) flowing(rule, target string) (f control.Flow) {
	s.t.Helper()
	if st := s.status("sender").Sender; st != nil {
		for _, f := range st.Flows {
			if f.Rule == rule && f.Target == target {
				return f
			}
		}
	}
	return f
}

// counted holds the counters of a flow against what has been written and what is to come: nothing else was dropped.
func (s *site) counted(rule, target string, want tally) {
	s.t.Helper()
	f := s.flow(rule, target)
	filtered := control.Count{Bytes: want.all.Bytes - want.some.Bytes, Records: want.all.Records - want.some.Records}
	if !f.Balanced() || f.Captured != want.all || f.Delivered != want.some || f.Filtered != filtered || f.Dropped.Total() != (control.Count{}) {
		s.t.Errorf("rule %s to %s: got %+v, want %+v captured, %+v delivered, %+v filtered", rule, target, f, want.all, want.some, filtered)
	}
}

// ended ends the writers and waits until all has arrived. None may have seen an error.
func (s *site) ended(l []*load) {
	s.t.Helper()
	for _, w := range l {
		if w.end(s.t); len(w.failed)+len(w.other) > 0 {
			s.t.Errorf("writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
		if len(w.ok) == 0 {
			s.t.Errorf("writer %s has written nothing", w.id)
		}
	}
	s.captured(l)
	s.drained()
}

// toRule says which rule of the test's a file has.
func toRule(name string) func(*load) bool {
	return func(w *load) bool { return strings.HasSuffix(w.file, ".wc") == (name == "cutwrites") }
}

const decidedRules = `
  - {name: cutwrites, match: ["**/*.wc"], capture: write, targets: [main], ` + decided + `}
  - {name: cut, match: ["**"], targets: [main], ` + decided + `}`

// Lines are denied, changed and sent elsewhere while sender and receivers are killed: each destination gets what is for it,
// once, in order and in the right form, and what filters took is counted to the byte.
func TestFiltersUnderKills(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alarm := s.withAlarm()
	s.rulesX = decidedRules
	m, rnd := s.manage(), random(t)
	s.startReceiver()
	alarm.startReceiver()
	m.start()
	m.mount()
	l := s.loads(300*time.Microsecond, false)
	for range soak(14) {
		time.Sleep(time.Duration(rnd.Intn(80)) * time.Millisecond)
		s.killOne(rnd, alarm)
	}
	s.ended(l)
	for _, w := range l {
		w.checkAs(t, s.received(w.file), decidedAs["main"])
		w.checkAs(t, alarm.received(w.file), decidedAs["alarm"])
		w.checkAs(t, inOrder(t, s.dir+"/copy", w.file), decidedAs["copy"])
	}
	s.orderWithinHandles()
	for _, rule := range []string{"cut", "cutwrites"} {
		for target, as := range decidedAs {
			s.counted(rule, target, count(l, toRule(rule), as))
		}
	}
}

// killOne kills the sender, its receiver, the other receiver, or the first two, and starts them again.
func (s *site) killOne(rnd *rand.Rand, alarm *site) {
	s.t.Helper()
	switch rnd.Intn(4) {
	case 0:
		s.sender.kill()
		s.manager.start()
	case 1:
		s.receiver.kill()
		s.startReceiver()
	case 2:
		alarm.receiver.kill()
		alarm.startReceiver()
	default:
		s.receiver.kill()
		s.sender.kill()
		s.startReceiver()
		s.manager.start()
	}
}

// A sender that nobody takes over from: handles of open capture go on over its death, and what they write meanwhile is
// filtered by the next one.
func TestFiltersWhileSenderIsAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	alarm := s.withAlarm()
	s.rulesX = decidedRules
	alarm.startReceiver()
	s.startBoth()
	l := []*load{s.load("one", "one.log", "-pause", "200us"), s.load("two", "two.log", "-pause", "200us")}
	s.until("both have opened their files", 20*time.Second, func() bool { return l[0].written() > 0 && l[1].written() > 0 })
	for range soak(8) {
		time.Sleep(time.Duration(20+rnd.Intn(100)) * time.Millisecond)
		s.sender.kill()
		time.Sleep(time.Duration(rnd.Intn(50)) * time.Millisecond)
		s.startSender()
	}
	s.ended(l)
	for _, w := range l {
		w.checkAs(t, s.received(w.file), decidedAs["main"])
		w.checkAs(t, alarm.received(w.file), decidedAs["alarm"])
		w.checkAs(t, inOrder(t, s.dir+"/copy", w.file), decidedAs["copy"])
	}
	for target, as := range decidedAs {
		s.counted("cut", target, count(l, toRule("cut"), as))
	}
	if slices.ContainsFunc(s.jsonLines(), func(j jsonLine) bool { return j.Gap != nil }) {
		t.Error("filters leave a gap: want none, what they take is not missing")
	}
}

// One line in three passes. Which ones is decided by their place, so after a crash the same ones pass again: every
// destination gets the same lines, once, and as many as the counters say.
func TestSampleUnderKills(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.senderX = "outputs:\n" + s.copies("copy")
	s.rulesX = `
  - {name: cutwrites, match: ["**/*.wc"], capture: write, sample: 3, targets: [main, copy]}
  - {name: cut, match: ["**"], sample: 3, targets: [main, copy]}`
	m := s.manage()
	s.startReceiver()
	m.start()
	m.mount()
	l := s.loads(300*time.Microsecond, false)
	for range soak(10) {
		time.Sleep(time.Duration(rnd.Intn(80)) * time.Millisecond)
		s.sender.kill()
		m.start()
	}
	s.writeMore(l, 60) // of few lines it may be more than about a third
	s.ended(l)
	arrived := map[string]control.Count{}
	for _, w := range l {
		w.lossy = true
		w.check(t, s.received(w.file))
		if text := inOrder(t, s.dir+"/copy", w.file); sorted(text) != sorted(s.received(w.file)) {
			t.Errorf("%s: the output got other lines than the target", w.file)
		}
	}
	for _, file := range []string{"open0.log", "open1.log", "shared.log", "flow.log", "thread.wc"} {
		rule := "cut"
		if file == "thread.wc" {
			rule = "cutwrites"
		}
		text := s.received(file)
		arrived[rule] = arrived[rule].Plus(control.Count{Bytes: uint64(len(text)), Records: uint64(strings.Count(text, "\n"))})
	}
	for rule, got := range arrived {
		for _, target := range []string{"main", "copy"} {
			s.counted(rule, target, tally{count(l, toRule(rule), unchanged).all, got})
		}
		if all := count(l, toRule(rule), unchanged).all.Records; got.Records < all/4 || got.Records > all/2 {
			t.Errorf("rule %s: %d of %d lines passed, want about a third", rule, got.Records, all)
		}
	}
}
