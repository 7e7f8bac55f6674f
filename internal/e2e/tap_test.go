package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// looker is a tap that runs, and what it has printed.
type looker struct {
	*daemon
	said daemon // on standard error
}

// tap starts a tap on the sender or the receiver.
func (s *site) tap(role string, args ...string) *looker {
	s.t.Helper()
	l := &looker{daemon: &daemon{name: "tap", done: make(chan struct{})}}
	l.cmd = exec.Command(program, append([]string{"tap", "--config", s.dir + "/" + role + ".yaml"}, args...)...)
	l.cmd.Stdout, l.cmd.Stderr = l.daemon, &l.said
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { l.err = l.cmd.Wait(); close(l.done) }()
	s.t.Cleanup(func() { l.cmd.Process.Kill(); <-l.done })
	return l
}

// text is all that it has printed.
func (l *looker) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.daemon.text.String()
}

func (l *looker) code(t *testing.T) int {
	t.Helper()
	select {
	case <-l.done:
		return l.cmd.ProcessState.ExitCode()
	case <-time.After(60 * time.Second):
		t.Fatal("tap does not end")
		return 0
	}
}

func TestTap(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startBoth()
	onSender := s.tap("sender", "--path", s.mnt+"/app/*.log", "--json")
	onReceiver := s.tap("receiver", "--path", "app/*.log", "--host", "send*")
	other := s.tap("receiver", "--rule", "no-such-rule")
	s.sh("mkdir app")
	s.until("both taps listen", 20*time.Second, func() bool { // who listens later than a line was written does not see it
		s.sh("echo are you there >> app/a.log; echo not asked for >> other.log")
		return onSender.text() != "" && onReceiver.text() != ""
	})
	s.sh(`printf 'esc \033[31m bad \377\n' >> app/a.log; echo last >> app/a.log`)
	s.until("both taps show the last lines", 20*time.Second, func() bool { // which are of two handles: any of them may come first
		atSender, atReceiver := onSender.text(), onReceiver.text()
		return strings.Contains(atSender, `"data":"last"`) && strings.Contains(atSender, `"data_base64":`) &&
			strings.Contains(atReceiver, " last\n") && strings.Contains(atReceiver, " esc ")
	})
	var rec struct {
		Data, Host, Mount, Path, Rule, Writer, Comm string
		Base64                                      []byte `json:"data_base64"`
	}
	bad := false
	for line := range strings.Lines(onSender.text()) {
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		bad = bad || string(rec.Base64) == "esc \x1b[31m bad \xff"
	}
	if !bad || rec.Host != "sendhost" || rec.Mount != "log" || rec.Path != "app/a.log" || rec.Rule != "rest" || rec.Writer != "opener" || rec.Comm != "sh" {
		t.Errorf("bad bytes seen: %v; the last record is %+v", bad, rec)
	}
	if got := onReceiver.text(); !strings.Contains(got, ` sendhost app/a.log sh[`) || !strings.Contains(got, `] esc \x1b[31m bad \xff`+"\n") || strings.Contains(got, "not asked for") {
		t.Errorf("at the receiver: %q", got)
	}
	if got := other.text(); got != "" {
		t.Errorf("a tap for another rule shows %q", got)
	}
	onReceiver.cmd.Process.Signal(syscall.SIGINT)
	if code := onReceiver.code(t); code != 0 {
		t.Errorf("Ctrl-C ends it with %d: %s", code, onReceiver.said.log())
	}
	s.sender.stop(t)
	if code, said := onSender.code(t), onSender.said.log(); code != 69 || !strings.Contains(said, "ftfuse: error: the sender has ended") {
		t.Errorf("the sender's end: code %d, %s", code, said)
	}
}

// A tap that nobody reads holds up nothing, and says later what it left out.
func TestTapThatIsNotRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.recvX = fmt.Sprintf("\n  - {name: files, base: %s, path: \"{path}\", format: raw}", s.out) // one is enough, and less work
	s.startBoth()
	var stuck []*exec.Cmd
	var pipes []*os.File
	for _, role := range []string{"sender", "receiver"} {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		c := exec.Command(program, "tap", "--config", s.dir+"/"+role+".yaml", "--json", "--rate", "0")
		c.Stdout, c.Stderr = out, &bytes.Buffer{}
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		out.Close()
		stuck, pipes = append(stuck, c), append(pipes, in)
	}
	s.sh("mkdir d")
	listen := make(chan error, len(pipes))
	for _, in := range pipes {
		go func() { _, err := in.Read(make([]byte, 1)); listen <- err }()
	}
	s.until("both taps listen", 20*time.Second, func() bool {
		s.sh("echo hello >> d/first.log")
		return len(listen) == len(pipes)
	})
	big := numbers(60_000, 450)
	file := s.write("big", big)
	s.sh("cat " + file + " >> d/big.log")
	s.until("all of it arrives", 20*time.Second, func() bool {
		st, err := os.Stat(s.out + "/d/big.log")
		return err == nil && st.Size() >= int64(len(big))
	})
	if got := s.received("d/big.log"); got != big {
		t.Errorf("got %s, want %s", brief(got), brief(big))
	}
	for i, c := range stuck {
		rest := make(chan string, 1)
		go func() { b, _ := io.ReadAll(pipes[i]); rest <- string(b) }()
		c.Process.Signal(syscall.SIGINT)
		text := <-rest
		if err := c.Wait(); err != nil {
			t.Errorf("tap ended with %v: %s", err, c.Stderr)
		}
		if n := strings.Count(text, "\n"); n > 59_000 {
			t.Errorf("%d of 60,000 lines came out of a tap that nobody read", n)
		}
	}
}
