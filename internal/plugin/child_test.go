package plugin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// run starts a script that writes to the file got, feeds it nothing and returns what it wrote.
func (r *rig) run(script string) string {
	r.t.Helper()
	r.sh("{ " + script + "; } >got 2>&1; echo >ready; exec cat")
	p := r.start()
	until(r.t, "it has run", func() bool { return r.read("ready") != "" })
	p.end()
	return r.read("got")
}

// The environment is the fixed one, and what the configuration says beside and above it.
func TestEnvironment(t *testing.T) {
	r := newRig(t)
	t.Setenv("SECRET", "x")
	r.Host, r.Ack, r.Format = "web1", true, "json"
	r.Environment = []string{"A=1 2", "LANG=C", "EMPTY="}
	got := r.run("env; pwd")
	for _, want := range []string{"A=1 2", "EMPTY=", "LANG=C", "FTFUSE_ACK=3", "FTFUSE_FORMAT=json", "FTFUSE_HOST=web1", "FTFUSE_OUTPUT=out",
		"PATH=" + fixedPath, "PWD=" + r.dir, r.dir} {
		if !strings.Contains("\n"+got, "\n"+want+"\n") {
			t.Errorf("no line %q", want)
		}
	}
	if n := strings.Count(got, "\n"); n > 11 { // and sh's own _ or OLDPWD
		t.Errorf("got %d lines:\n%s", n, got)
	}
}

// It has its own three descriptors, the fourth if it acknowledges, and no other; whatever we have open.
func TestDescriptors(t *testing.T) {
	null, err := os.Open("/dev/null")
	must(t, err)
	defer null.Close()
	given, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD, 100) // by a parent that leaves it open at an exec; sh's own begin at 10
	must(t, err)
	defer unix.Close(given)
	for _, ack := range []bool{false, true} {
		r := newRig(t)
		r.Ack = ack
		want := "0 1 2"
		if ack {
			want += " 3"
		}
		got := strings.Join(strings.Fields(r.run(`for n in 0 1 2 3 4 5 6 7 8 9 `+strconv.Itoa(given)+`; do test ! -e /proc/$$/fd/$n || echo $n; done`)), " ")
		if got != want { // above are sh's own
			t.Errorf("ack=%v: got %q, want %q", ack, got, want)
		}
	}
}

// It is in a group of its own, which we can end as one.
func TestProcess(t *testing.T) {
	r := newRig(t)
	r.sh("echo $$ >pid; exec cat")
	p := r.start()
	until(t, "it has run", func() bool { return r.read("pid") != "" && p.Stats().PID != 0 })
	pid := p.Stats().PID
	if got := strings.TrimSpace(r.read("pid")); got != fmt.Sprint(pid) {
		t.Errorf("got pid %d, want %s", pid, got)
	}
	if g, err := unix.Getpgid(pid); err != nil || g != pid {
		t.Errorf("got the group %d, %v, want its own", g, err)
	}
}

func TestUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("run as root")
	}
	r := newRig(t)
	must(t, os.Chmod(r.dir, 0o777))
	for d := r.dir; d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) { // the way there
		must(t, os.Chmod(d, 0o777))
	}
	r.Credential = &Credential{UID: 4242, GID: 4243, Groups: []uint32{4244, 4245}}
	got := r.run("id -u; id -g; id -G; grep -E 'CapEff|CapPrm|CapAmb' /proc/self/status")
	want := "4242\n4243\n4243 4244 4245\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Limits hold for the program from its start, also as another user, and are ours where none are given.
func TestLimits(t *testing.T) {
	r := newRig(t)
	r.Memory, r.Files = 256<<20, 77
	got := r.run(`ulimit -n; ulimit -Hn; ulimit -v; echo "$0" "$@"`)
	if want := "77\n77\n262144\nsh\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	own, err := exec.Command("sh", "-c", "ulimit -n; ulimit -Hn; ulimit -v").Output()
	must(t, err)
	r = newRig(t)
	if got := r.run("ulimit -n; ulimit -Hn; ulimit -v"); got != string(own) {
		t.Errorf("without limits: got %q, want %q", got, own)
	}
	r = newRig(t)
	r.Memory, r.Command = 1<<30, []string{"/no/such/program"}
	p := r.start()
	until(t, "it has failed", func() bool { return p.Stats().Restarts > 0 && p.Stats().StderrLines > 0 })
	p.end()
	text := ""
	r.jd.Drain(&text)
	if s := p.Stats(); s.LastExit != "exit status 127" || !strings.Contains(text, "plug-in /no/such/program: execve: no such file") {
		t.Errorf("got %+v and %q", s, text)
	}
}

// What cannot be run says what is missing: of a script its interpreter, which execve(2) does not tell from the script itself.
func TestUnfit(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"#!/no/such/sh -e\n", `its first line wants the interpreter "/no/such/sh": no such file or directory`},
		{"#! /bin/sh\r\n", `its first line wants the interpreter "/bin/sh\r": no such file or directory`},
		{"echo x\n", "exec format error: want a program for this machine, or a script whose first line is #!"},
		{"", "exec format error: want a program"},
	} {
		for _, memory := range []uint64{0, 1 << 30} {
			r := newRig(t)
			r.Memory, r.Command = memory, []string{r.dir + "/unfit"}
			must(t, os.WriteFile(r.dir+"/unfit", []byte(c.file), 0o755))
			p := r.start()
			until(t, "it has failed", func() bool { return p.Stats().Restarts > 0 && (memory == 0 || p.Stats().StderrLines > 0) })
			p.end()
			text := p.Stats().LastExit
			if memory > 0 {
				r.jd.Drain(&text)
			}
			if !strings.Contains(text, c.want) {
				t.Errorf("%q with memory %d: got %q, want %q", c.file, memory, text, c.want)
			}
		}
	}
}

// When this process dies, its plug-ins are told by SIGTERM, whichever thread started them.
func TestParentDeath(t *testing.T) {
	if dir := os.Getenv(parentDir); dir != "" {
		playParent(t, dir)
		return
	}
	r := newRig(t)
	r.sh(`trap 'echo told >told; exit' TERM; echo >ready; while :; do sleep 0.01; done`)
	cmd := exec.Command(os.Args[0], "-test.run=^TestParentDeath$", "-test.v")
	cmd.Env = append(os.Environ(), parentDir+"="+r.dir, "TMPDIR="+r.dir) // it is killed, and leaves its folders
	must(t, cmd.Start())
	until(t, "it is up", func() bool { return r.read("ready") != "" })
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	until(t, "it was told", func() bool { return r.read("told") != "" })
}

// parentDir is what the other process of TestParentDeath knows itself by.
const parentDir = "FTFUSE_PLUGIN_TEST_DIR"

// playParent is that other process.
func playParent(t *testing.T, dir string) {
	r := newRig(t)
	r.Directory = dir
	r.sh(`trap 'echo told >told; exit' TERM; echo >ready; while :; do sleep 0.01; done`)
	p := r.start()
	<-p.done
}

func TestNewRefuses(t *testing.T) {
	for want, change := range map[string]func(o *Options){
		"a program and its arguments": func(o *Options) { o.Command = nil },
		"an absolute path, or a name": func(o *Options) { o.Command = []string{"bin/x"} },
		"want NAME=VALUE":             func(o *Options) { o.Environment = []string{"X"} },
		"want both":                   func(o *Options) { o.Backlog = nil },
		"capital letters":             func(o *Options) { o.Fields = map[string][]string{"a": {"b"}} },
		"want one in a line":          func(o *Options) { o.Name = "" },
		"a NUL":                       func(o *Options) { o.Command = []string{"x", "\x00"} },
		"nobody who takes":            func(o *Options) { o.Stdout = Records },
		"want an absolute path":       func(o *Options) { o.Stdout, o.StdoutFile = File, "x" },
	} {
		r := newRig(t)
		r.Backlog, r.Command = r.cursor("out"), []string{"cat"}
		change(&r.Options)
		if _, err := New(r.Options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
