package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cell is one operation as a program does it. The sender dies when the kernel's request is at some stage, and another
// takes over; the program must not notice. X is the name of the file to use, P another path of it; arm() has the sender
// killed at the next request of that kind.
type cell struct {
	name   string
	opcode int
	before string
	do     string
	after  string
	want   string // what the receiver has of the file in the end; "-": nothing is asked
	stages string // besides those that all have
}

const made = `f = os.open(X, os.O_WRONLY|os.O_CREAT|os.O_APPEND); os.write(f, b"one\n"); os.close(f)`

var cells = []cell{
	{"LOOKUP", 1, made, `os.stat(X)`, `assert os.stat(X).st_size == 4`, "one\n", "noted"},
	{"FORGET", 42, made, `while os.path.exists(POINT): os.stat(X)`, `os.stat(X)`, "one\n", "forget"},
	{"GETATTR", 3, made + `; f = os.open(X, os.O_RDONLY)`, `s = os.fstat(f)`, `assert s.st_size == 4`, "one\n", ""},
	{"SETATTR chmod", 4, made, `os.chmod(X, 0o600)`, `assert os.stat(X).st_mode & 0o777 == 0o600`, "one\n", ""},
	{"SETATTR truncate", 4, made, `os.truncate(X, 0)`, `f = os.open(X, os.O_WRONLY|os.O_APPEND); os.write(f, b"two\n"); os.close(f); assert open(X).read() == "two\n"`, "one\ntwo\n", ""},
	{"READLINK", 5, `os.symlink("to", X)`, `assert os.readlink(X) == "to"`, ``, "-", ""},
	{"SYMLINK", 6, ``, `os.symlink("to", X)`, `assert os.readlink(X) == "to"`, "-", "done noted"},
	{"MKNOD", 8, ``, `os.mkfifo(X, 0o640)`, `assert stat.S_ISFIFO(os.stat(X).st_mode) and os.stat(X).st_mode & 0o777 == 0o640`, "-", "done noted"},
	{"MKDIR", 9, ``, `os.mkdir(X, 0o750)`, `assert os.stat(X).st_mode & 0o777 == 0o750; open(X + "/in", "w").close()`, "-", "done noted"},
	{"UNLINK", 10, made, `os.unlink(X)`, `assert not os.path.exists(X)`, "one\n", "done noted"},
	{"UNLINK open", 10, made + `; f = os.open(X, os.O_WRONLY|os.O_APPEND)`, `os.unlink(X)`, `os.write(f, b"two\n"); assert os.fstat(f).st_nlink == 0; os.close(f)`, "one\ntwo\n", "done noted"},
	{"RMDIR", 11, `os.mkdir(X)`, `os.rmdir(X)`, `assert not os.path.exists(X)`, "-", "done noted"},
	{"RENAME", 12, made, `os.rename(X, P)`, `assert open(P).read() == "one\n" and not os.path.exists(X)`, "one\n", "done noted"},
	{"RENAME over", 12, made + `; f = os.open(X, os.O_WRONLY|os.O_APPEND); open(P, "w").close()`, `os.rename(X, P)`,
		`os.write(f, b"two\n"); os.close(f); assert open(P).read() == "one\ntwo\n"`, "one\ntwo\n", "done noted"},
	{"LINK", 13, made, `os.link(X, P)`, `assert os.stat(X).st_ino == os.stat(P).st_ino and os.stat(P).st_nlink == 2`, "one\n", "done noted"},
	{"OPEN append", 14, made, `f = os.open(X, os.O_WRONLY|os.O_APPEND)`, `os.write(f, b"two\n"); os.write(f, b"three\n"); os.close(f)`, "one\ntwo\nthree\n", "noted"},
	{"OPEN write", 14, made, `f = os.open(X, os.O_RDWR)`, `os.lseek(f, 0, 2); os.write(f, b"two\n"); os.lseek(f, 0, 0); assert os.read(f, 99) == b"one\ntwo\n"; os.close(f)`, "one\ntwo\n", "noted"},
	{"OPEN read", 14, made, `f = os.open(X, os.O_RDONLY)`, `assert os.read(f, 99) == b"one\n"; os.close(f)`, "one\n", "noted"},
	{"OPEN stored", 14, `X += ".gz"; open(X, "w").write("old")`, `f = os.open(X, os.O_RDWR)`, `assert os.read(f, 9) == b"old"; os.write(f, b"+new"); os.close(f); assert open(X).read() == "old+new"`, "-", "noted"},
	{"READ", 15, made + `; f = os.open(X, os.O_RDONLY)`, `b = os.read(f, 99)`, `assert b == b"one\n"`, "one\n", ""},
	{"WRITE", 16, `f = os.open(X, os.O_WRONLY|os.O_CREAT); os.write(f, b"one\n")`, `assert os.write(f, b"two\n") == 4`, `os.write(f, b"three\n"); os.close(f); assert open(X).read() == "one\ntwo\nthree\n"`, "one\ntwo\nthree\n", ""},
	{"WRITE first", 16, `f = os.open(X, os.O_RDWR|os.O_CREAT)`, `assert os.write(f, b"one\n") == 4`, `os.close(f); assert open(X).read() == "one\n"`, "one\n", ""},
	{"WRITE sync", 16, `f = os.open(X, os.O_WRONLY|os.O_CREAT|os.O_SYNC)`, `assert os.write(f, b"one\n") == 4`, `os.close(f)`, "one\n", ""},
	{"WRITE part", 16, `f = os.open(X, os.O_WRONLY|os.O_CREAT); os.write(f, b"on")`, `os.write(f, b"e\nt")`, `os.write(f, b"wo\n"); os.close(f)`, "one\ntwo\n", ""},
	{"STATFS", 17, ``, `os.statvfs(".")`, ``, "-", ""},
	{"RELEASE", 18, made + `; f = os.open(X, os.O_WRONLY|os.O_APPEND); os.write(f, b"two\n")`, `os.close(f)`, `f = os.open(X, os.O_WRONLY|os.O_APPEND); os.write(f, b"three\n"); os.close(f)`, "one\ntwo\nthree\n", ""},
	{"FSYNC", 20, `f = os.open(X, os.O_WRONLY|os.O_CREAT|os.O_APPEND); os.write(f, b"one\n")`, `os.fsync(f)`, `os.close(f)`, "one\n", ""},
	{"OPENDIR", 27, `os.mkdir(X); open(X + "/in.gz", "w").close()`, `l = os.listdir(X)`, `assert l == ["in.gz"]`, "-", "noted"},
	{"READDIR", 28, `os.mkdir(X); open(X + "/in.gz", "w").close()`, `l = os.listdir(X)`, `assert l == ["in.gz"]`, "-", ""},
	{"RELEASEDIR", 29, `os.mkdir(X); f = os.open(X, os.O_RDONLY)`, `os.close(f)`, `assert os.listdir(X) == []`, "-", ""},
	{"FSYNCDIR", 30, `os.mkdir(X); f = os.open(X, os.O_RDONLY)`, `os.fsync(f)`, `os.close(f)`, "-", ""},
	{"GETLK", 31, `f = open(X, "w")`, `fcntl.fcntl(f, fcntl.F_GETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))`, `f.close()`, "-", ""},
	{"SETLK", 32, `f = open(X, "w")`, `fcntl.lockf(f, fcntl.LOCK_EX|fcntl.LOCK_NB)`, `assert locked(X); f.close(); assert not locked(X)`, "-", ""},
	{"SETLK flock", 32, `f = open(X, "w")`, `fcntl.flock(f, fcntl.LOCK_EX|fcntl.LOCK_NB)`, `assert flocked(X); f.close(); assert not flocked(X)`, "-", ""},
	{"SETLK unlock", 32, `f = open(X, "w"); fcntl.flock(f, fcntl.LOCK_EX)`, `fcntl.flock(f, fcntl.LOCK_UN|fcntl.LOCK_NB)`, `assert not flocked(X); f.close()`, "-", "unlock"},
	{"SETLKW", 33, `f = open(X, "w")`, `fcntl.lockf(f, fcntl.LOCK_EX)`, `assert locked(X); f.close(); assert not locked(X)`, "-", ""},
	{"CREATE", 35, ``, `f = os.open(X, os.O_WRONLY|os.O_CREAT|os.O_EXCL|os.O_APPEND, 0o640)`, `os.write(f, b"one\n"); os.close(f); assert os.stat(X).st_mode & 0o777 == 0o640`, "one\n", "done noted"},
	{"CREATE write", 35, ``, `f = os.open(X, os.O_RDWR|os.O_CREAT|os.O_EXCL)`, `os.write(f, b"one\n"); os.close(f)`, "one\n", "done noted"},
	{"FALLOCATE", 43, `f = os.open(X, os.O_WRONLY|os.O_CREAT); os.write(f, b"one\n")`, `os.posix_fallocate(f, 0, 100)`, `os.close(f)`, "one\n", ""},
	{"RENAME2", 45, made + `; open(P, "w").close()`, `r = renameat2(X, P, 2)`, `assert r == 0 and open(P).read() == "one\n" and open(X).read() == ""`, "one\n", "done noted"},
}

const cellProgram = `
import os, sys, stat, fcntl, struct, ctypes, time
X, P, POINT, WHAT = sys.argv[1:5]
def arm():
    with open(POINT + ".tmp", "w") as f: f.write(WHAT)
    os.rename(POINT + ".tmp", POINT)
    while WHAT.startswith("unread") and os.path.exists(POINT): time.sleep(.001)
def renameat2(a, b, flags):
    return ctypes.CDLL(None, use_errno=True).renameat2(-100, a.encode(), -100, b.encode(), flags)
def locked(name):
    return os.system("/usr/bin/python3 -c 'import fcntl,sys; fcntl.lockf(open(sys.argv[1], \"r+\"), fcntl.LOCK_EX|fcntl.LOCK_NB)' " + name + " 2>/dev/null") != 0
def flocked(name):
    return os.system("flock -n " + name + " true") != 0
`

// stagesOf returns the stages that a request of that kind goes through.
func (c *cell) stagesOf() []string {
	switch c.stages {
	case "forget": // it has no answer
		return []string{"read"}
	case "unlock": // the kernel sends SETLKW's number for some, the wait is none
		return []string{"unread", "read"}
	}
	all := []string{"unread", "read"}
	if strings.Contains(c.stages, "done") {
		all = append(all, "done")
	}
	all = append(all, "applied")
	if strings.Contains(c.stages, "noted") {
		all = append(all, "noted")
	}
	return append(all, "answered")
}

// Every operation, with the sender killed at every stage of its request.
func TestTakeOverTable(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"unread", "read", "done", "applied", "noted", "answered"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			s, m := startManaged(t, killable(t), "FTFUSE_KILLPOINT=killpoint")
			for i := range cells {
				for _, has := range cells[i].stagesOf() {
					if has == stage && !t.Failed() {
						m.cell(&cells[i], stage)
					}
				}
			}
			s.drained()
			s.until("every file is closed", 20*time.Second, func() bool { return s.status("sender").Sender.Mounts[0].Handles == 0 })
		})
	}
}

func (m *manager) cell(c *cell, stage string) {
	t, s := m.s.t, m.s
	t.Helper()
	x := strings.ReplaceAll(strings.ToLower(c.name), " ", "_") + "." + stage
	program := cellProgram + c.before + "\narm()\n" + c.do + "\n" + c.after + "\n"
	p := exec.Command("/usr/bin/python3", "-c", program, x, x+".to", m.path("killpoint"), fmt.Sprintf("%s %d", stage, c.opcode))
	p.Dir = s.mnt
	var out strings.Builder
	p.Stdout, p.Stderr = &out, &out
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	if stage == "unread" {
		m.killUnread(c, p.Process.Pid, ended)
	}
	what := fmt.Sprintf("%s, %s", c.name, stage)
	if !happens(time.Minute, s.sender.ended) { // the program may have ended long before: with its answer, or for want of one
		p.Process.Kill()
		t.Fatalf("%s: the request did not come: %v %s", what, <-ended, out.String())
	}
	m.start()
	s.until(what+": the program ends", 20*time.Second, func() bool { return len(ended) > 0 })
	if err := <-ended; err != nil {
		t.Fatalf("%s: %v: %s\nsender: %s", what, err, out.String(), s.sender.log())
	}
	if c.want != "-" {
		s.expect(x, c.want)
	}
}

// killUnread kills the sender when the program is about to ask, and lets it ask then.
func (m *manager) killUnread(c *cell, pid int, ended chan error) {
	s := m.s
	s.t.Helper()
	s.until(c.name+": the program is ready", 20*time.Second, func() bool {
		_, err := os.Stat(m.path("killpoint"))
		return err == nil || len(ended) > 0
	})
	s.sender.kill()
	if err := os.Remove(m.path("killpoint")); err != nil {
		s.t.Fatal(err)
	}
	s.until(c.name+": the request waits in the kernel", 20*time.Second, func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
		return strings.Contains(string(b), "request_wait_answer") || len(ended) > 0
	})
}
