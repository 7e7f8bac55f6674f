package receivertest

import (
	"bufio"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Soak multiplies the number of kills: 1 unless FTFUSE_SOAK says more.
func Soak() int {
	if k, err := strconv.Atoi(os.Getenv("FTFUSE_SOAK")); err == nil && k > 0 {
		return k
	}
	return 1
}

var listening = regexp.MustCompile(`listening on (\S+)\n`)

// Program is a receiver as a process of its own.
type Program struct {
	Address string // where it listens

	t    testing.TB
	cmd  *exec.Cmd
	read chan struct{} // closed when its standard error has ended
}

// Run starts cmd, which must say where it listens on its standard error. It is killed with the test.
func Run(t testing.TB, cmd *exec.Cmd) *Program {
	t.Helper()
	p := &Program{t: t, cmd: cmd, read: make(chan struct{})}
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	lines := bufio.NewReader(out)
	for p.Address == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%v has ended: %q", cmd, line)
		}
		if m := listening.FindStringSubmatch(line); m != nil {
			p.Address = m[1]
		}
	}
	go func() {
		defer close(p.read)
		_, _ = io.Copy(os.Stderr, lines) // shown when the test fails
	}()
	return p
}

// KillWithin kills the program at a random moment of the time given.
func (p *Program) KillWithin(d time.Duration, random *rand.Rand) {
	time.Sleep(time.Duration(random.Int64N(int64(d))))
	p.Kill()
}

// Kill ends the program by SIGKILL.
func (p *Program) Kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.read
	_ = p.cmd.Wait()
}

// Stop ends the program by SIGTERM, and wants exit status 0.
func (p *Program) Stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.read
	if err := p.cmd.Wait(); err != nil {
		p.t.Error(err)
	}
}
