package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/control"
)

// keeper is an output that runs `actor plug`.
func (s *site) keeper(name, more string) string {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Join(s.dir, name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf(`{name: %s, type: plugin, plugin: {command: ["%s", plug, "%s"], restart: {min: 10ms, max: 50ms}%s}}`,
		name, actor, filepath.Join(s.dir, name), more)
}

// lives returns what each life of a plug-in has read, in the order of their beginnings.
func (s *site) lives(name string) (texts []string) {
	s.t.Helper()
	list, err := os.ReadDir(filepath.Join(s.dir, name)) // sorted by time
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range list {
		texts = append(texts, readFile(s.t, filepath.Join(s.dir, name, e.Name())))
	}
	return texts
}

// plugged returns how a plug-in does, nil if that is not known.
func (s *site) plugged(role, name string) *control.PluginStatus {
	s.t.Helper()
	st := s.status(role)
	var list []control.OutputStatus
	if st.Sender != nil {
		list = st.Sender.Outputs
	} else if st.Receiver != nil {
		list = st.Receiver.Outputs
	}
	for _, o := range list {
		if o.Name == name {
			return o.Plugin
		}
	}
	return nil
}

// killPlugin kills the life that a plug-in has now, if it has one.
func (s *site) killPlugin(role, name string) {
	s.t.Helper()
	if p := s.plugged(role, name); p != nil && p.PID != 0 {
		syscall.Kill(p.PID, syscall.SIGKILL)
	}
}

// atLeastOnce waits until every line of the writers is in the lives of a plug-in. In each life every writer's lines come in
// order, without one left out, and none twice; a life begins at the latest where those before ended.
func (s *site) atLeastOnce(name string, l []*load) {
	s.t.Helper()
	s.until("all is in plug-in "+name, 30*time.Second, func() bool {
		all := strings.Join(s.lives(name), "")
		return !slices.ContainsFunc(l, func(w *load) bool { return !strings.Contains(all, lastLine(w)) })
	})
	again := 0
	for _, w := range l {
		reached, wrote := 0, w.lines(w.most())
		for life, text := range s.lives(name) {
			last := 0
			for line := range strings.Lines(text) {
				if !strings.HasPrefix(line, w.id+" ") {
					continue
				}
				n := numberOf(line)
				switch {
				case n < 1 || n >= len(wrote):
					s.t.Errorf("plug-in %s, life %d: line %q is damaged", name, life, line)
				case line != wrote[n] && strings.HasSuffix(line, "\n"):
					s.t.Errorf("plug-in %s, life %d: line %q is damaged", name, life, line)
				case last != 0 && n != last+1, last == 0 && n > reached+1:
					s.t.Errorf("plug-in %s, life %d: line %d of writer %s comes after %d, earlier lives came to %d", name, life, n, w.id, last, reached)
				}
				if n <= reached {
					again++
				}
				last = n
			}
			reached = max(reached, last)
		}
		if reached != w.most() {
			s.t.Errorf("plug-in %s: writer %s came to line %d, want %d", name, w.id, reached, w.most())
		}
	}
	s.t.Logf("plug-in %s: %d lives, %d lines came again", name, len(s.lives(name)), again)
}

func lastLine(w *load) string { all := w.lines(w.most()); return all[len(all)-1] }

const toFeed = `
  - {name: cutwrites, match: ["**/*.wc"], capture: write, targets: [main, feed]}
  - {name: cut, match: ["**"], targets: [main, feed]}`

// Plug-ins on both sides that acknowledge, and everything is killed at random, they too: they get every line at least once,
// the files get each once.
func TestPluginsKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.rulesX, s.senderX = toFeed, "outputs:\n  - "+s.keeper("feed", ", ack: true")
	s.recvX = s.plainOutputs() + "\n  - " + s.keeper("taken", ", ack: true")
	m := s.manage()
	s.startReceiver()
	m.start()
	m.mount()
	l := s.loads(400*time.Microsecond, false)
	for range soak(16) {
		time.Sleep(time.Duration(rnd.Intn(120)) * time.Millisecond)
		switch k := rnd.Intn(10); {
		case k < 3:
			s.killPlugin("sender", "feed")
		case k < 6:
			s.killPlugin("receiver", "taken")
		case k < 8:
			s.sender.kill()
			m.start()
		default:
			s.receiver.kill()
			s.startReceiver()
		}
	}
	s.ended(l)
	s.settled(l)
	s.atLeastOnce("feed", l)
	s.atLeastOnce("taken", l)
	for _, rule := range []string{"cut", "cutwrites"} {
		for _, target := range []string{"main", "feed"} {
			s.counted(rule, target, count(l, toRule(rule), unchanged))
		}
	}
}

// Each reload begins plug-ins anew. One that ends as it is asked to loses nothing by that and gets nothing twice, with
// acknowledgements and without.
func TestPluginsReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.rulesX = strings.ReplaceAll(toFeed, "feed]", "feed, mute]")
	outputs := func(i int) {
		s.senderX = "outputs:\n  - " + s.keeper("feed", ", ack: true") + "\n  - " + s.keeper("mute", fmt.Sprintf(", files: %d", 100+i))
		s.recvX = s.plainOutputs() + "\n  - " + s.keeper("taken", fmt.Sprintf(", ack: true, files: %d", 100+i))
	}
	outputs(0)
	s.startBoth()
	l := s.loads(400*time.Microsecond, false)
	all := []string{"feed", "mute", "taken"}
	for i := range soak(6) {
		for _, name := range all { // one that is ended before it has begun is no life
			s.until("plug-in "+name+" has begun", 20*time.Second, func() bool { return len(s.lives(name)) > i })
		}
		time.Sleep(time.Duration(rnd.Intn(100)) * time.Millisecond)
		outputs(i % 3)
		if i%2 == 0 {
			s.hup("sender")
			s.hup("receiver")
		} else {
			s.reloaded("sender")
			s.reloaded("receiver")
		}
	}
	s.ended(l)
	s.settled(l)
	for _, name := range all {
		s.until("all is in plug-in "+name, 30*time.Second, func() bool {
			all := strings.Join(s.lives(name), "")
			return !slices.ContainsFunc(l, func(w *load) bool { return !strings.Contains(all, lastLine(w)) })
		})
		for _, w := range l {
			w.check(t, strings.Join(s.lives(name), ""))
		}
		if n := len(s.lives(name)); n < soak(6) {
			t.Errorf("plug-in %s had %d lives over %d reloads", name, n, soak(6))
		}
	}
}

// A plug-in that never reads holds up nobody else; what waits for it is bounded, and what goes beyond is dropped for it
// alone, the oldest first.
func TestPluginThatNeverReads(t *testing.T) {
	t.Parallel()
	const bound = 1 << 20
	s := newSite(t)
	stuck := func(name string) string {
		return "{name: " + name + ", type: plugin, plugin: {command: [/bin/sleep, infinity], stop_timeout: 100ms, backlog: 1MiB}}"
	}
	s.rulesX = strings.ReplaceAll(toFeed, "feed]", "feed, stuck]")
	s.senderX = "outputs:\n  - " + s.keeper("feed", ", ack: true") + "\n  - " + stuck("stuck")
	s.recvX = s.plainOutputs() + "\n  - " + s.keeper("taken", ", ack: true") + "\n  - " + stuck("stuck")
	s.startBoth()
	var l []*load
	for i := range 2 {
		l = append(l, s.load(fmt.Sprintf("open%d", i), fmt.Sprintf("open%d.log", i), "-pad", "8000", "-pause", "200us"),
			s.load(fmt.Sprintf("wc%d", i), fmt.Sprintf("own%d.wc", i), "-pad", "8000", "-pause", "200us"))
	}
	for _, w := range l {
		s.until("writer "+w.id+" has written more than what may wait", 60*time.Second, func() bool { return s.size(w.file) > 3*bound })
	}
	for _, rule := range []string{"cut", "cutwrites"} {
		s.until("something of rule "+rule+" is dropped", 60*time.Second, func() bool { return s.flowing(rule, "stuck").Dropped.Total().Records > 0 })
	}
	for _, w := range l {
		if w.end(t); len(w.failed)+len(w.other) > 0 {
			t.Errorf("writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
	}
	s.captured(l)
	s.until("the others have it all, and what waits for the stuck one is within its bound", 60*time.Second, func() bool {
		return s.onlyStuckWaits(bound)
	})
	for _, w := range l {
		w.check(t, s.received(w.file))
	}
	s.atLeastOnce("feed", l)
	s.atLeastOnce("taken", l)
	for _, rule := range []string{"cut", "cutwrites"} {
		want := count(l, toRule(rule), unchanged)
		s.counted(rule, "main", want)
		s.counted(rule, "feed", want)
		f := s.flow(rule, "stuck")
		if !f.Balanced() || f.Captured != want.all || f.Dropped["queue_full"] != f.Dropped.Total() || f.Dropped.Total() == (control.Count{}) || f.Delivered != (control.Count{}) {
			t.Errorf("rule %s to the stuck plug-in: %+v, want %+v captured, nothing delivered, and dropped for queue_full alone", rule, f, want.all)
		}
	}
}

// onlyStuckWaits says whether nothing is queued but for the target stuck, and for that not much more than its bound.
func (s *site) onlyStuckWaits(bound uint64) bool {
	s.t.Helper()
	st := s.status("sender").Sender
	if st == nil || st.Unseen > 0 {
		return false
	}
	waits := uint64(0)
	for _, f := range st.Flows {
		if f.Target == "stuck" {
			waits += f.Queued.Bytes
		} else if f.Queued.Bytes > 0 {
			return false
		}
	}
	return waits <= bound+8<<20 // it may have been handed 8 MiB, which are not dropped
}

// A plug-in's output becomes records that go elsewhere: here each line with a word before it, to another receiver.
func TestPluginMakesRecords(t *testing.T) {
	t.Parallel()
	need(t, "sed")
	s := newSite(t)
	alarm := s.withAlarm()
	s.rulesX = toFeed
	s.senderX = `outputs:
  - {name: feed, type: plugin, plugin: {command: [/bin/sed, -u, -n, 's/^\(open0 [0-9]*[05] \)/\1seen /p'], stdout: records, stdout_targets: [alarm, copy]}}
` + s.copies("copy")
	alarm.startReceiver()
	s.startBoth()
	l := s.loads(300*time.Microsecond, false)
	time.Sleep(2 * time.Second) // the load itself
	s.ended(l)
	s.settled(l)
	seen := func(n int, line string) string {
		if !strings.HasPrefix(line, "open0 ") || n%5 != 0 {
			return ""
		}
		at := strings.LastIndexByte(line, ' ') + 1
		return line[:at] + "seen " + line[at:]
	}
	for _, w := range l {
		s.until("what the plug-in said has arrived", 20*time.Second, func() bool {
			n := count([]*load{w}, func(*load) bool { return true }, seen).some.Records
			return strings.Count(alarm.received("feed"), w.id+" ") >= int(n) && strings.Count(inOrder(t, s.dir+"/copy", "feed"), w.id+" ") >= int(n)
		})
		w.checkAs(t, alarm.received("feed"), seen)
		w.checkAs(t, inOrder(t, s.dir+"/copy", "feed"), seen)
	}
	s.drained()
	for _, f := range s.status("sender").Sender.Flows {
		if !f.Balanced() || f.Dropped.Total() != (control.Count{}) {
			t.Errorf("counters do not agree, or something was dropped: %+v", f)
		}
	}
}
