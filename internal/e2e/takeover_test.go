package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The sender is killed and started again while programs write: no program sees an error, nothing is lost or comes twice.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	s, m := startManaged(t, "")
	rnd := random(t)
	l := s.loads(300*time.Microsecond, false)
	for range soak(20) {
		time.Sleep(time.Duration(rnd.Intn(60)) * time.Millisecond)
		s.sender.kill()
		m.start()
	}
	s.settle(l)
	total := 0
	longest := time.Duration(0)
	for _, w := range l {
		if len(w.failed)+len(w.other) > 0 {
			t.Errorf("writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
		total += len(w.ok)
		longest = max(longest, w.longest)
	}
	t.Logf("%d lines over %d kills, longest write(2) or open(2) %v", total, soak(20), longest)
	if total == 0 {
		t.Error("nothing was written")
	}
}

// tool is a real program that writes numbered lines until the file "stop" appears, and ends with 0 if it saw no error.
type tool struct {
	name string
	cmd  *exec.Cmd
	out  *daemon
	done chan error
}

func (s *site) tool(name string, args ...string) *tool {
	s.t.Helper()
	p := &tool{name: name, cmd: exec.Command(args[0], args[1:]...), out: &daemon{}, done: make(chan error, 1)}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = s.mnt, p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p
}

const shellTool = `n=0; while [ ! -e "$0" ]; do n=$((n+1)); echo "$n" >> sh.log || exit 1; sleep 0.002; done; [ $n -gt 0 ]`

const pythonTool = `
import logging, logging.handlers, os, sys, time
def broken(self, record): raise
logging.Handler.handleError = broken
h = logging.handlers.RotatingFileHandler("py.log", maxBytes=5000, backupCount=3)
log = logging.getLogger(); log.addHandler(h); log.setLevel(logging.INFO)
n = 0
while not os.path.exists(sys.argv[1]):
    n += 1
    log.info("%d", n)
    time.sleep(.0005)
`

const stdioTool = `
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
	for (int n = 0; access(argv[1], F_OK) != 0;) {
		FILE *f = fopen("c.log", "a");
		if (!f) { perror("fopen"); return 1; }
		for (int i = 0; i < 50; i++) {
			if (fprintf(f, "%d\n", ++n) < 0 || fflush(f) != 0) { perror("fprintf"); return 1; }
			usleep(200);
		}
		if (fclose(f) != 0) { perror("fclose"); return 1; }
	}
	return 0;
}`

// Real programs write while the sender is killed, stopped orderly, or crashes, again and again. None of
// them is so busy that the machine has no time for the next process.
func TestTakeOverUnderPrograms(t *testing.T) {
	t.Parallel()
	need(t, "nginx", "curl", "/usr/bin/python3", "gcc")
	s, m := startManaged(t, "")
	rnd := random(t)
	stop := m.path("stop")
	s.write("stdio.c", stdioTool)
	if out, err := exec.Command("gcc", "-o", m.path("stdio"), m.path("stdio.c")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	addr, endNginx := s.nginx()
	get := `n=0; while [ ! -e "$0" ]; do n=$((n+1)); curl -sf "http://$1/$n" || exit 1; sleep 0.005; done`
	tools := []*tool{
		s.tool("sh", "sh", "-c", shellTool, stop), s.tool("py", "/usr/bin/python3", "-c", pythonTool, stop),
		s.tool("c", m.path("stdio"), stop), s.tool("nginx", "sh", "-c", get, stop, addr),
	}
	files := map[string]string{"sh.log": "%d\n", "py.log": "%d\n", "c.log": "%d\n", "access.log": "/%d 200\n"}
	for file := range files { // a program that has not begun when it is over has shown nothing
		s.until(file+" is written", 20*time.Second, func() bool { return s.size(file) > 0 })
	}
	for range soak(60) {
		time.Sleep(time.Duration(rnd.Intn(80)) * time.Millisecond)
		switch k := rnd.Intn(10); {
		case k < 6:
			s.sender.kill()
		case k < 8:
			s.sender.cmd.Process.Signal(unix.SIGTERM)
			<-s.sender.done
			if s.sender.err != nil {
				t.Fatalf("the sender ended with %v: %s", s.sender.err, s.sender.log())
			}
		default: // a crash of its own
			s.sender.cmd.Process.Signal(unix.SIGQUIT)
			<-s.sender.done
		}
		m.start()
	}
	s.write("stop", "")
	for _, p := range tools {
		if err := <-p.done; err != nil {
			t.Errorf("%s: %v: %s", p.name, err, p.out.log())
		}
	}
	endNginx()
	wrote := map[string]int{}
	for file, line := range files {
		wrote[file] = s.highest(file, line)
		s.until(fmt.Sprintf("%d lines of %s arrive", wrote[file], file), 20*time.Second, func() bool { // of many handles, in any order
			return strings.Count(s.received(file), "\n") >= wrote[file]
		})
	}
	s.drained()
	for file, line := range files {
		s.everyNumber(file, line, wrote[file])
	}
}

// highest is the highest number in a file of the mount: what is rotated away has lower ones.
func (s *site) highest(file, line string) (most int) {
	s.t.Helper()
	for text := range strings.Lines(readFile(s.t, s.mnt+"/"+file)) {
		n := 0
		if _, err := fmt.Sscanf(text, line, &n); err != nil {
			s.t.Errorf("%s in the mount: damaged line %q", file, text)
		}
		most = max(most, n)
	}
	return most
}

// everyNumber expects the numbers from 1 to most in a file of the receiver's, each once.
func (s *site) everyNumber(file, line string, most int) {
	s.t.Helper()
	seen := map[int]int{}
	for text := range strings.Lines(s.received(file)) {
		n := 0
		if _, err := fmt.Sscanf(text, line, &n); err != nil {
			s.t.Errorf("%s at the receiver: damaged line %q", file, text)
		}
		if seen[n]++; n > most {
			s.t.Errorf("%s at the receiver: got line %d, want %d at most", file, n, most)
		}
	}
	for n := 1; n <= most; n++ {
		if seen[n] != 1 {
			s.t.Errorf("%s at the receiver: line %d of %d came %d times", file, n, most, seen[n])
		}
	}
	s.t.Logf("%s: %d lines", file, most)
	if most == 0 {
		s.t.Errorf("%s: nothing arrived", file)
	}
}

// A kernel that cannot send requests again: an orderly end leaves nothing that was read unanswered, so the next process
// goes on. After a crash the mount ends, is said to, and is made anew; nothing is lost or comes twice.
func TestTakeOverOldKernel(t *testing.T) {
	t.Parallel()
	s, m := startManaged(t, killable(t), "FTFUSE_OLD_KERNEL=1")
	rnd := random(t)
	l := s.loads(300*time.Microsecond, true)
	for range soak(10) {
		time.Sleep(time.Duration(rnd.Intn(100)) * time.Millisecond)
		s.sender.stop(t)
		m.start()
	}
	for _, w := range l {
		w.mu.Lock()
		if len(w.failed)+len(w.other) > 0 {
			t.Errorf("after orderly ends writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
		w.reopens = true
		w.mu.Unlock()
	}
	said := 0
	for range soak(5) {
		time.Sleep(time.Duration(rnd.Intn(100)) * time.Millisecond)
		s.sender.kill()
		m.start()
		s.until("the descriptors are given up", 10*time.Second, func() bool { // before it serves, all is said of them
			_, n := m.count()
			return n == 0 && s.sender.serves()
		})
		if strings.Contains(s.sender.all(), "cannot be taken over") {
			said++ // not of one whose connection had ended before
		}
		m.mount()
	}
	if said == 0 {
		t.Errorf("nothing is said of mounts that ended: %s", s.sender.log())
	}
	s.settle(l)
	s.neverBelow()
}

// The service manager has lost the descriptors, as after `systemctl stop`: the mount is dead until it is made anew.
func TestStoreLost(t *testing.T) {
	t.Parallel()
	s, m := startManaged(t, "")
	l := s.loads(300*time.Microsecond, true)
	for _, w := range l {
		w.reopens = true
	}
	for i := range soak(6) {
		time.Sleep(100 * time.Millisecond)
		if i%2 == 0 {
			s.sender.stop(t)
		} else {
			s.sender.kill()
		}
		m.forget()
		m.start()
		m.mount()
	}
	s.settle(l)
	s.neverBelow()
}

// A mount is unmounted and mounted again while the sender runs: nothing of the earlier ones stays, and the last one
// stops in order too.
func TestMountedAgain(t *testing.T) {
	t.Parallel()
	s, m := startManaged(t, "")
	for i := range 4 {
		if i > 0 {
			m.mount()
		}
		s.sh(fmt.Sprintf("echo %d >> again.log", i))
		s.expect("again.log", "0\n1\n2\n3\n"[:2*(i+1)])
		if err := unix.Unmount(s.mnt, 0); err != nil {
			t.Fatal(err)
		}
		s.until("the descriptors leave the store", 10*time.Second, func() bool { _, stored := m.count(); return stored == 0 })
	}
	m.mount()
	s.sender.stop(t)
}

// A mistake in the configuration costs time and no mount.
func TestTakeOverAfterMistake(t *testing.T) {
	t.Parallel()
	s, m := startManaged(t, "")
	l := s.loads(time.Millisecond, false)
	time.Sleep(100 * time.Millisecond)
	s.sender.stop(t)
	s.sender = s.start("sender", s.write("sender.yaml", "mounts: 5\n"))
	s.until("the mistake is named", 10*time.Second, func() bool { return strings.Contains(s.sender.all(), "sender.yaml:1: mounts") })
	s.sender.cmd.Process.Signal(unix.SIGTERM)
	<-s.sender.done
	if code := s.sender.cmd.ProcessState.ExitCode(); code != 1 { // 78 would end the service, and the mounts
		t.Errorf("ended with %d, want 1: %s", code, s.sender.log())
	}
	m.start()
	s.settle(l)
	for _, w := range l {
		if len(w.failed)+len(w.other) > 0 {
			t.Errorf("writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
	}
}

// neverBelow expects that no line was written into the directory that the mount hides.
func (s *site) neverBelow() {
	s.t.Helper()
	for _, j := range s.jsonLines() {
		if j.Below {
			s.t.Errorf("written below the mount: %+v", j)
			return
		}
	}
}
