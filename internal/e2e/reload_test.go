package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/control"
)

// hup has a role reload by signal, with the configuration as the site has it now, and waits until it has.
func (s *site) hup(role string) {
	s.t.Helper()
	d, config := s.sender, s.senderConfig
	if role == "receiver" {
		d, config = s.receiver, s.receiverConfig
	}
	s.write(role+".yaml", config())
	before := d.reloads()
	d.cmd.Process.Signal(syscall.SIGHUP)
	s.until("the "+role+" has reloaded", 20*time.Second, func() bool { return d.reloads() > before || d.ended() })
}

// reloads is how many reloads a process has said that it has done.
func (d *daemon) reloads() int { return strings.Count(d.all(), "msg=reloaded ") }

// harmless are rules that all let the same pass: everything, to main.
var harmless = []string{
	"",
	`
  - {name: cut, match: ["**"], targets: [main], filters: [{action: deny, contains: "nobody writes this"}]}`,
	`
  - {name: cut, match: ["**"], targets: [main], filters: [{action: allow, match: ' \d*3 '}, {action: route, match: '8', targets: [main]}]}
  - {name: cutwrites, match: ["**/*.wc"], capture: write, targets: [main], filters: [{action: rewrite, match: '^.* 7 .*$', rewrite: '$0'}]}`,
	`
  - {name: shared, match: ["shared*"], targets: [main], filters: [{action: deny, not: true, match: '^shared'}]}
  - {name: cut, match: ["**"], targets: [main]}`,
	`
  - {name: cut, match: ["**"], targets: [main]}
  - {name: shared, match: ["shared*"], targets: [main], filters: [{action: redact, redact: [email, jwt]}]}`,
}

// Rules, outputs and targets change many times under load, by signal and by command, without changing what passes:
// nothing is lost, nothing comes twice, and files that are open go on.
func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.startBoth()
	l := s.loads(300*time.Microsecond, false)
	for i := range soak(16) {
		time.Sleep(time.Duration(rnd.Intn(100)) * time.Millisecond)
		s.rulesX, s.senderX = harmless[i%len(harmless)], ""
		if i%3 == 0 {
			s.senderX = "outputs:\n" + s.copies("copy")
			s.rulesX += `
  - {name: both, match: ["open0.log"], targets: [main, copy]}`
		}
		s.recvX = s.outputsOfBoth(i)
		s.mainX = []string{"", ", window: 1MiB", ", compression: zstd, window: 2MiB"}[rnd.Intn(3)] // a change is a new connection
		if rnd.Intn(2) == 0 {
			s.hup("sender")
		} else {
			s.reloaded("sender")
		}
		s.hup("receiver")
	}
	s.senderX = "outputs:\n" + s.copies("copy") // without it what waits for it would wait for ever
	s.reloaded("sender")
	for _, w := range l {
		if w.end(t); len(w.failed)+len(w.other) > 0 {
			t.Errorf("writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
	}
	s.settled(l)
	for _, f := range s.status("sender").Sender.Flows {
		if !f.Balanced() || f.Dropped.Total() != (control.Count{}) {
			t.Errorf("counters do not agree, or something was dropped: %+v", f)
		}
	}
	for _, w := range l {
		if w.file == "open0.log" {
			w.lossy = true // it got what was written while it was there
			w.check(t, inOrder(t, s.dir+"/copy", w.file))
		}
	}
}

// The sender and the receiver are told to reload, and killed before or after they have: what is in force then is the file, and
// nothing is lost or comes twice.
func TestReloadsAndKills(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	m := s.manage()
	s.senderX = "outputs:\n" + s.copies("copy")
	s.startReceiver()
	m.start()
	m.mount()
	l := s.loads(300*time.Microsecond, false)
	for i := range soak(16) {
		s.rulesX, s.recvX = harmless[i%len(harmless)], s.outputsOfBoth(i)
		s.mainX = []string{"", ", window: 1MiB"}[rnd.Intn(2)]
		s.write("sender.yaml", s.senderConfig())
		s.write("receiver.yaml", s.receiverConfig())
		s.sender.cmd.Process.Signal(syscall.SIGHUP)
		s.receiver.cmd.Process.Signal(syscall.SIGHUP)
		time.Sleep(time.Duration(rnd.Intn(40)) * time.Millisecond)
		if rnd.Intn(3) > 0 {
			s.sender.kill()
			m.start()
		}
		if rnd.Intn(3) > 0 {
			s.receiver.kill()
			s.startReceiver()
		}
	}
	s.ended(l)
	s.settled(l)
	for _, f := range s.status("sender").Sender.Flows {
		if !f.Balanced() || f.Dropped.Total() != (control.Count{}) {
			t.Errorf("counters do not agree, or something was dropped: %+v", f)
		}
	}
}

// outputsOfBoth are a receiver's two outputs, with rules that change nothing.
func (s *site) outputsOfBoth(i int) string {
	return s.plainOutputs() + []string{"", `
rules: [{name: all, match: ["**"], filters: [{action: deny, contains: "nobody writes this"}]}]`, `
rules: [{name: all, match: ["*.log"], hosts: ["send*"], filters: [{action: deny, contains: "nobody writes this"}]}, {name: rest, match: ["**"], outputs: [json, files]}]`}[i%3]
}

// What is denied changes while files stay open: each handle is cut once for each reload, a prefix by the old rules and
// the rest by the new ones; what is written after the reload has been answered is by the new ones.
func TestReloadCutsCleanly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	denies := []string{"3", "4"}
	rules := func(i int) string {
		f := fmt.Sprintf(`filters: [{action: deny, match: '^\S+ \d*%s '}]}`, denies[i%2])
		return `
  - {name: cutwrites, match: ["**/*.wc"], capture: write, targets: [main], ` + f + `
  - {name: cut, match: ["**"], targets: [main], ` + f
	}
	s.rulesX = rules(0)
	s.startBoth()
	var l []*load
	for i := range 3 {
		l = append(l, s.load(fmt.Sprintf("open%d", i), fmt.Sprintf("open%d.log", i), "-pause", "200us"),
			s.load(fmt.Sprintf("wc%d", i), fmt.Sprintf("own%d.wc", i), "-pause", "200us"))
	}
	after := make([]map[*load]int64, soak(6)) // bytes that were written before the answer
	for i := range after {
		s.writeMore(l, 60)
		s.rulesX = rules(i + 1)
		if i%2 == 0 {
			s.reloaded("sender")
		} else {
			s.hup("sender")
		}
		after[i] = map[*load]int64{}
		for _, w := range l {
			after[i][w] = s.size(w.file)
		}
	}
	s.writeMore(l, 60)
	s.ended(l)
	for _, w := range l {
		s.cutAt(w, after)
	}
	for _, f := range s.status("sender").Sender.Flows {
		if !f.Balanced() || f.Dropped.Total() != (control.Count{}) {
			t.Errorf("counters do not agree, or something was dropped: %+v", f)
		}
	}
}

// writeMore waits until each writer has written about so many lines more.
func (s *site) writeMore(l []*load, lines int) {
	s.t.Helper()
	from := map[string]int64{}
	for _, w := range l {
		from[w.file] = s.size(w.file)
	}
	for _, w := range l {
		s.until("writer "+w.id+" goes on", 30*time.Second, func() bool { return s.size(w.file) >= from[w.file]+int64(lines*(w.pad/2+10)) })
	}
}

// cutAt holds what came of a writer's lines against rules that deny those that end in 3, then in 4, then in 3 and so on:
// rule i+1 is in force at the latest for what lies behind after[i] in the file.
func (s *site) cutAt(w *load, after []map[*load]int64) {
	s.t.Helper()
	there := map[int]bool{}
	for line := range strings.Lines(s.received(w.file)) {
		there[numberOf(line)] = true
	}
	rule, began, at := 0, 0, int64(0)
	wrote := w.lines(w.most())
	for _, n := range w.ok {
		for rule < len(after) && at >= after[rule][w] { // by now the next one is in force
			rule, began = rule+1, n
		}
		at += int64(len(wrote[n]))
		tells := n%10 == 3 || n%10 == 4
		if !tells {
			if !there[n] {
				s.t.Errorf("writer %s: line %d is lost", w.id, n)
			}
			continue
		}
		if by := (n%10 == 3) != there[n]; by != (rule%2 == 0) { // by the rule after this one
			if rule == len(after) {
				s.t.Errorf("writer %s: line %d is by an older rule, the last one is in force since line %d", w.id, n, began)
				return
			}
			rule, began = rule+1, n
		}
	}
	w.lossy = true // besides
	w.check(s.t, s.received(w.file))
}

// A file with a mistake changes nothing: the command says so with code 78, the log with reload_failed, and the rules
// before stay in force, for what is open too.
func TestReloadOfMistakes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	deny := func(what string) string {
		return `
  - {name: cut, match: ["**"], targets: [main], filters: [{action: deny, ` + what + `}]}`
	}
	s.rulesX = deny(`match: '^\S+ \d*3 '`)
	s.startBoth()
	w := s.load("open", "open.log", "-pause", "200us")
	outputs := s.recvX
	failed := func(d *daemon) int { return strings.Count(d.all(), "notice=reload_failed") }
	s.write("good-sender.yaml", s.senderConfig())
	s.write("good-receiver.yaml", s.receiverConfig())
	for _, wrong := range []struct{ role, rules, outputs, said string }{
		{"sender", deny(`match: '('`), "", "rules[cut].filters[1].match"},
		{"sender", deny(`matches: 'x'`), "", "matches"},
		{"sender", deny(`field: x, redact: [card]`), "", "rules[cut].filters[1]"},
		{"sender", "\n  - {name: cut, match: [\"**\"], targets: [nowhere]}", "", "nowhere"},
		{"receiver", "", "\n  - {name: files, base: " + s.out + ", path: \"{paht}\"}", "outputs[files]"},
		{"receiver", "", "\n  - {name: files, base: " + s.out + "}\nrules: [{name: r, match: [\"**\"], outputs: [nowhere]}]", "nowhere"},
	} {
		s.writeMore([]*load{w}, 30)
		good, d := s.rulesX, s.sender
		s.rulesX, s.recvX = wrong.rules, wrong.outputs
		if wrong.role == "receiver" {
			s.rulesX, d = good, s.receiver
		}
		before := failed(d)
		code, said := s.reload(wrong.role)
		if code != 78 || !strings.Contains(said, wrong.said) {
			t.Errorf("reload by the command: exit code %d, want 78; said %q, want something about %s", code, said, wrong.said)
		}
		code, said = s.ask(wrong.role, "good-"+wrong.role+".yaml") // the command sees no mistake, the daemon does
		if code != 78 || !strings.Contains(said, wrong.said) || !strings.Contains(said, "what was in force stays in force") {
			t.Errorf("the daemon's answer: exit code %d, want 78; said %q, want something about %s", code, said, wrong.said)
		}
		d.cmd.Process.Signal(syscall.SIGHUP)
		s.until("the log says reload_failed of the command and of the signal", 20*time.Second, func() bool { return failed(d) == before+2 })
		s.rulesX, s.recvX = good, outputs
	}
	s.writeMore([]*load{w}, 30)
	s.ended([]*load{w})
	w.checkAs(t, s.received(w.file), func(n int, line string) string {
		if n%10 == 3 {
			return ""
		}
		return line
	})
	if s.sender.ended() || s.receiver.ended() {
		t.Error("a reload has ended a process")
	}
}

// What cannot change while a process runs is named, and what can is in force nevertheless.
func TestReloadNamesWhatNeedsRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startBoth()
	s.queueX, s.rulesX = "  max_size: 1GiB", `
  - {name: cut, match: ["**"], targets: [main], filters: [{action: deny, prefix: "no"}]}`
	config := strings.Replace(s.senderConfig(), "path: "+s.mnt, "existing: skip, path: "+s.mnt, 1)
	code, said := s.reloadText("sender", strings.Replace(config, "level: debug", "level: info", 1))
	if code != 0 || !strings.Contains(said, "rule cut added\n") || !strings.HasSuffix(said, "needs a restart: log, mounts, queue\n") {
		t.Errorf("exit code %d, said %q", code, said)
	}
	s.sh("echo no >> a.log; echo yes >> a.log")
	s.expect("a.log", "yes\n")
	said = s.reloadedText("receiver", strings.Replace(s.receiverConfig(), "listen:", "limits: {connections: 7}\nlisten:", 1))
	if !strings.HasSuffix(said, "needs a restart: limits\n") {
		t.Errorf("the receiver said %q", said)
	}
	s.sender.cmd.Process.Signal(syscall.SIGHUP)
	s.until("the log says reload_partly", 20*time.Second, func() bool { return strings.Contains(s.sender.all(), "notice=reload_partly") })
}

// size returns how many bytes a file in the mount has, 0 if it is not there yet.
func (s *site) size(file string) int64 {
	s.t.Helper()
	st, err := os.Stat(filepath.Join(s.mnt, file))
	if os.IsNotExist(err) {
		return 0
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return st.Size()
}
