package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// reload puts the configuration of a role, as the site has it now, in force by `ftfuse reload`, and returns its exit code
// and what it said.
func (s *site) reload(role string) (int, string) {
	s.t.Helper()
	config := s.senderConfig
	if role == "receiver" {
		config = s.receiverConfig
	}
	return s.reloadText(role, config())
}

func (s *site) reloadText(role, config string) (int, string) {
	s.t.Helper()
	s.write(role+".yaml", config)
	return s.ask(role, role+".yaml")
}

// ask runs `ftfuse reload` with a file that says where the control socket is.
func (s *site) ask(role, file string) (int, string) {
	s.t.Helper()
	c := exec.Command(program, "reload", "--role", role, "--config", filepath.Join(s.dir, file))
	said, err := c.CombinedOutput()
	if c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(said)
}

// reloaded is reload, which must succeed.
func (s *site) reloaded(role string) string {
	s.t.Helper()
	config := s.senderConfig
	if role == "receiver" {
		config = s.receiverConfig
	}
	return s.reloadedText(role, config())
}

func (s *site) reloadedText(role, config string) string {
	s.t.Helper()
	d := map[string]*daemon{"sender": s.sender, "receiver": s.receiver}[role]
	before := d.reloads()
	code, said := s.reloadText(role, config)
	if code != 0 {
		s.t.Fatalf("reload of the %s: exit code %d, %s", role, code, said)
	}
	s.until("the "+role+" says that it has reloaded", 20*time.Second, func() bool { return d.reloads() > before || d.ended() }) // hup counts
	return said
}

// outputs are those of a receiver: raw files by host, a json file, and more.
func (s *site) outputs(more ...string) string {
	list := []string{
		fmt.Sprintf(`{name: files, base: %s, path: "{host}/{path}"}`, s.out),
		fmt.Sprintf(`{name: json, base: %s.json, path: "all.json", format: json}`, s.out),
	}
	return "\n  - " + strings.Join(append(list, more...), "\n  - ")
}

func (s *site) output(name string) string {
	return fmt.Sprintf(`{name: %s, base: %s, path: "{host}/{path}"}`, name, s.out+"."+name)
}

// Two machines send; the receiver's rules decide by path and by host which output gets what, and in what form.
func TestReceiverRules(t *testing.T) {
	t.Parallel()
	s, other := newSite(t), newSite(t)
	rnd := random(t)
	other.host, other.addr = "otherhost", s.addr
	s.recvX = s.outputs(s.output("extra")) + `
rules:
  - {name: theirs, match: ["**"], hosts: ["other*"], outputs: [files, extra], filters: [{action: deny, match: '^\S+ \d*[1-4] '}]}
  - {name: ours, match: ["open*.log"], hosts: ["send*"], outputs: [files, json], filters: [
      {action: allow, match: '^(\S+ \d*7) (x*)$', rewrite: '$1 now $2', targets: [extra]}, {action: deny, paths: ["open1.log"], contains: "3 x"}]}`
	s.startBoth()
	other.startSender()
	l, k := s.loads(400*time.Microsecond, false), other.loads(400*time.Microsecond, false)
	for range soak(8) {
		time.Sleep(time.Duration(rnd.Intn(100)) * time.Millisecond)
		s.receiver.kill()
		s.startReceiver()
	}
	s.ended(l)
	other.ended(k)
	nothing := func(int, string) string { return "" }
	seventh := func(n int, line string) string {
		if n%10 != 7 {
			return ""
		}
		return decidedAs["main"](n, line)
	}
	for _, w := range l {
		file, extra := unchanged, unchanged // what no rule has goes everywhere
		if strings.HasPrefix(w.file, "open") {
			extra = seventh
			file = func(n int, line string) string {
				if n%10 == 7 || w.file == "open1.log" && strings.Contains(line, "3 x") {
					return ""
				}
				return line
			}
		}
		w.checkAs(t, s.received("sendhost/"+w.file), file)
		w.checkAs(t, inOrder(t, s.out+".extra/sendhost", w.file), extra)
		w.checkAs(t, s.jsonTexts("sendhost", w.file), file)
	}
	for _, w := range k {
		some := func(n int, line string) string {
			if d := n % 10; d >= 1 && d <= 4 {
				return ""
			}
			return line
		}
		w.checkAs(t, s.received("otherhost/"+w.file), some)
		w.checkAs(t, inOrder(t, s.out+".extra/otherhost", w.file), some)
		w.checkAs(t, s.jsonTexts("otherhost", w.file), nothing)
	}
}

// jsonTexts returns the records of a host's file as the json output has them.
func (s *site) jsonTexts(host, file string) string {
	s.t.Helper()
	var b strings.Builder
	for _, j := range s.jsonLines() {
		if j.Host == host && j.Path == file {
			b.WriteString(j.Data + "\n")
		}
	}
	return b.String()
}

// An output is added, taken away and added again, by reloads or by restarts, while the receiver is killed all the while:
// it gets what comes from then on, the others miss nothing and get nothing twice, and senders are not told to go back.
func TestReceiverOutputAdded(t *testing.T) {
	t.Parallel()
	extra := func(s *site) string { return s.output("extra") }
	for _, c := range []struct {
		name    string
		output  func(*site) string
		first   bool // in the list
		restart bool
	}{
		{"last", extra, false, false}, {"first", extra, true, false}, {"restart", extra, true, true},
		{"plugin", func(s *site) string { return s.keeper("extra", ", ack: true") }, false, false},
		{"plugin restart", func(s *site) string { return s.keeper("extra", ", ack: true") }, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			rnd := random(t)
			with := s.outputs(c.output(s))
			if c.first {
				with = "\n  - " + c.output(s) + s.outputs()
			}
			s.recvX = s.outputs()
			s.startBoth()
			l := s.loads(400*time.Microsecond, false)
			since := map[string]int64{} // bytes that were written before it was added last
			for i := range soak(4) {
				time.Sleep(time.Duration(rnd.Intn(200)) * time.Millisecond)
				if s.recvX = s.outputs(); i%2 == 1 {
					s.recvX = with
				}
				if c.restart {
					s.receiver.stop(t)
					s.startReceiver()
				} else {
					s.reloaded("receiver")
				}
				for _, w := range l {
					since[w.file] = s.size(w.file)
				}
				for range 2 {
					time.Sleep(time.Duration(rnd.Intn(60)) * time.Millisecond)
					s.receiver.kill()
					s.startReceiver()
				}
			}
			s.ended(l)
			for _, w := range l {
				w.check(t, s.received("sendhost/"+w.file))
				if w.lossy = true; !strings.HasPrefix(c.name, "plugin") {
					w.check(t, inOrder(t, s.out+".extra/sendhost", w.file))
				}
				s.until("all since it was added is in "+c.name, 30*time.Second, func() bool {
					text := inOrder(t, s.out+".extra/sendhost", w.file)
					if strings.HasPrefix(c.name, "plugin") {
						text = strings.Join(s.lives("extra"), "\n") // the last line of one that was killed may have no end
					}
					return s.holdsFrom(w.file, text, since[w.file])
				})
			}
			for _, line := range strings.Split(s.sender.all(), "\n") {
				if strings.Contains(line, "receiver_behind") || strings.Contains(line, "new_epoch") {
					t.Errorf("the sender was told to go back: %s", line)
				}
			}
		})
	}
}

// holdsFrom reports whether text has all lines that lie in a file of the mount from an offset on.
func (s *site) holdsFrom(file, text string, from int64) bool {
	s.t.Helper()
	there := map[string]bool{}
	for line := range strings.Lines(text) {
		there[line] = true
	}
	all := readFile(s.t, filepath.Join(s.mnt, file))
	for line := range strings.Lines(all[from:]) {
		if !there[line] {
			return false
		}
	}
	return true
}
