package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gdamore/tcell/v3/vt"
	"golang.org/x/sys/unix"
)

// console is a pseudo-terminal with a program on it, and a screen that understands what it writes.
type console struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	screen vt.MockTerm
	cmd    *exec.Cmd
	ended  chan error
	raw    daemon // every byte
	read   chan struct{}
}

func openConsole(t *testing.T) *console {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, master: master, slave: slave, screen: vt.NewMockTerm(vt.MockOptSize{X: 80, Y: 24}), ended: make(chan error, 1), read: make(chan struct{})}
	if err := c.screen.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.read)
		io.Copy(io.MultiWriter(&c.raw, c.screen), master) // EIO when no one has the other end open
	}()
	t.Cleanup(func() {
		if c.cmd != nil {
			c.cmd.Process.Kill() // which has the terminal open, if it has not ended
		}
		slave.Close()
		<-c.read
		master.Close()
		c.screen.Stop()
	})
	return c
}

// start runs the program on the terminal.
func (c *console) start(args ...string) {
	c.t.Helper()
	c.cmd = exec.Command(program, args...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = c.slave, c.slave, c.slave
	c.cmd.Env = append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8", "NO_COLOR=")
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { c.ended <- c.cmd.Wait() }()
}

func (c *console) text() string {
	var b strings.Builder
	for y := range 24 {
		for x := range 80 {
			b.WriteString(c.screen.GetCell(vt.Coord{X: vt.Col(x), Y: vt.Row(y)}).C)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// restored reports whether the terminal is as it was: cooked, on the first screen, with a cursor.
func (c *console) restored(before *unix.Termios) {
	c.t.Helper()
	after, err := unix.IoctlGetTermios(int(c.slave.Fd()), unix.TCGETS)
	if err != nil {
		c.t.Fatal(err)
	}
	if *after != *before {
		c.t.Errorf("the terminal's modes are %+v, were %+v", after, before)
	}
	end := time.Now().Add(60 * time.Second)
	for {
		raw := c.raw.log()
		if strings.LastIndex(raw, "\x1b[?1049l") > strings.LastIndex(raw, "\x1b[?1049h") && strings.LastIndex(raw, "\x1b[?25h") > strings.LastIndex(raw, "\x1b[?25l") {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("the first screen and the cursor do not come back: %q", raw[max(0, len(raw)-300):])
		}
		time.Sleep(3 * time.Millisecond)
	}
}

func (c *console) exit() (code int) {
	c.t.Helper()
	select {
	case err := <-c.ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			c.t.Fatal(err)
		}
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(60 * time.Second):
		c.cmd.Process.Kill()
		c.t.Fatalf("top does not end:\n%s", c.text())
		return 0
	}
}

func TestTop(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startBoth()
	c := openConsole(t)
	before, err := unix.IoctlGetTermios(int(c.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	c.start("top", "--interval", "200ms", "--config", s.dir+"/sender.yaml", "--config", s.dir+"/receiver.yaml")
	s.until("rates and the connection are shown", 20*time.Second, func() bool {
		s.sh("echo some line >> a.log")
		text := c.text()
		return strings.Contains(text, "sender sendhost") && strings.Contains(text, "rec/s") && strings.Contains(text, "rest > main") && strings.Contains(text, "connected")
	})
	c.master.WriteString("\t")
	s.until("the receiver is shown", 20*time.Second, func() bool { return strings.Contains(c.text(), "OUTPUT") })
	c.master.WriteString("\t")
	s.until("the sender is shown again", 20*time.Second, func() bool { return strings.Contains(c.text(), "MOUNT") })
	s.sender.stop(t)
	s.until("the sender is away", 20*time.Second, func() bool { return strings.Contains(c.text(), "! nobody answers on") })
	s.startSender()
	s.until("the sender is back", 20*time.Second, func() bool { return strings.Contains(c.text(), "1 mount served") })
	c.master.WriteString("q")
	if code := c.exit(); code != 0 {
		t.Errorf("q ends it with %d", code)
	}
	c.restored(before)

	c.start("top", "--config", s.dir+"/receiver.yaml")
	s.until("the receiver is shown", 20*time.Second, func() bool { return strings.Contains(c.text(), "OUTPUT") })
	c.cmd.Process.Signal(syscall.SIGTERM)
	if code := c.exit(); code != 1 {
		t.Errorf("SIGTERM ends it with %d, want 1", code)
	}
	c.restored(before)
}
