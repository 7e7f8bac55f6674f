package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// need says why a test that runs another program cannot run.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs the program %s: %v", p, err)
		}
	}
}

func numbers(n, pad int) string {
	var b strings.Builder
	blanks := strings.Repeat(" ", pad) // which fmt makes one by one, slowly with the race detector
	for i := range n {
		fmt.Fprintf(&b, "line %d of a larger file, long enough to matter%s\n", i, blanks)
	}
	return b.String()
}

func TestShellAndCoreutils(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startBoth()
	big := numbers(5_000, 450) // more than two chunks
	file := s.write("big", big)
	s.sh("for i in 1 2 3; do echo append $i >> a.log; done")
	s.expect("a.log", "append 1\nappend 2\nappend 3\n")
	s.sh("echo one > b.log; echo two > b.log; cat b.log > seen")
	s.expect("b.log", "one\ntwo\n")
	if got := s.sh("cat b.log"); got != "two\n" {
		t.Errorf("b.log reads %q after two truncating opens", got)
	}
	s.sh("cat " + file + " >> big1.log")
	s.expect("big1.log", big)
	s.sh("cat " + file + " > big2.log")
	s.expect("big2.log", big)
	s.sh("cat " + file + " | tee -a tee.log | wc -c")
	s.expect("tee.log", big)
	s.sh("dd if=" + file + " of=dd.log oflag=append conv=notrunc bs=10000 2>/dev/null")
	s.expect("dd.log", big)
	if got := s.sh("cmp big2.log " + file + " && stat -c %s big1.log"); got != fmt.Sprintln(len(big)) {
		t.Errorf("size of big1.log: %s, want %d", got, len(big))
	}
	s.sh("mkdir -p deep/er && printf 'no newline' >> deep/er/x.log")
	s.expect("deep/er/x.log", "no newline")
	s.sh(`printf 'nul\000 cr\r bad\377utf8\n' >> bytes.log`)
	s.expect("bytes.log", "nul\x00 cr\r bad\xffutf8\n")
	s.drained()
	s.writtenBy("a.log", "sh")
	s.writtenBy("b.log", "sh")
	s.writtenBy("big1.log", "cat", "sh") // the shell opened it, and may have written nothing by then
	s.writtenBy("big2.log", "cat")
	s.writtenBy("tee.log", "tee")
	s.writtenBy("dd.log", "dd")
}

func TestHugeLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startBoth()
	line := strings.Repeat("0123456789abcdef", 3<<19) // 24 MiB without an end: more than may be under way
	file := s.write("line", line)
	s.sh("cat " + file + " >> huge.log")
	s.sh("cat " + file + " > huge.wc")
	s.expect("huge.log", line)
	s.expect("huge.wc", line)
}

const pythonRotating = `
import logging, logging.handlers, sys
kind = sys.argv[1]
if kind == "size":
    h = logging.handlers.RotatingFileHandler("size.log", maxBytes=1500, backupCount=3)
elif kind == "time":
    h = logging.handlers.TimedRotatingFileHandler("time.log", when="S", interval=1, backupCount=2)
else:
    h = logging.handlers.WatchedFileHandler("watched.log")
h.setFormatter(logging.Formatter("%(message)s"))
log = logging.getLogger(); log.addHandler(h); log.setLevel(logging.INFO)
import os, time
for i in range(500):
    log.info("python %d", i)
    if kind == "time" and i % 100 == 50: time.sleep(1.1)
    if kind == "watched" and i == 250: os.rename("watched.log", "watched.log.1")
`

func TestPythonLogging(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/python3")
	s := newSite(t)
	s.startBoth()
	script := s.write("log.py", pythonRotating)
	var want strings.Builder
	for i := range 500 {
		fmt.Fprintf(&want, "python %d\n", i)
	}
	for _, kind := range []string{"size", "time", "watched"} {
		s.sh("/usr/bin/python3 " + script + " " + kind)
		s.expect(kind+".log", want.String())
	}
	if got := s.sh("ls size.log size.log.1 size.log.2 size.log.3"); got == "" {
		t.Error("rotation left no files")
	}
	s.onlySent("size.log", "time.log", "watched.log")
	for _, kind := range []string{"size", "time", "watched"} {
		s.writtenBy(kind+".log", "python3", "python", "python3.11")
	}
}

// onlySent expects that the receiver has these files and no other: what is rotated is not sent again.
func (s *site) onlySent(names ...string) {
	s.t.Helper()
	s.drained()
	want := map[string]bool{}
	for _, n := range names {
		want[n] = true
	}
	err := filepath.Walk(s.out, func(path string, st os.FileInfo, err error) error {
		if err == nil && st.Mode().IsRegular() {
			if name, _ := filepath.Rel(s.out, path); !want[name] {
				s.t.Errorf("the receiver has %s, want only %v", name, names)
			}
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}

func TestLogrotate(t *testing.T) {
	t.Parallel()
	need(t, "logrotate", "gzip")
	s := newSite(t)
	s.startBoth()
	conf := s.write("rotate.conf", fmt.Sprintf(`
%[1]s/create.log { rotate 3
 size 1
 create 0644 root root
 compress
 su root root
}
%[1]s/copy.log { rotate 3
 size 1
 copytruncate
 compress
 su root root
}
`, s.mnt))
	os.Chmod(conf, 0o600)
	var want strings.Builder
	for i := range 3 {
		line := fmt.Sprintf("before rotation %d\n", i)
		want.WriteString(line)
		s.sh(fmt.Sprintf("printf '%s' >> create.log; printf '%s' >> copy.log", line, line))
		s.sh("logrotate -f -s " + s.dir + "/rotate.state " + conf)
	}
	s.sh("echo after >> create.log; echo after >> copy.log")
	want.WriteString("after\n")
	s.expect("create.log", want.String())
	s.expect("copy.log", want.String())
	if got := s.sh("zcat create.log.1.gz copy.log.1.gz"); got != "before rotation 2\nbefore rotation 2\n" {
		t.Errorf("rotated files hold %q", got)
	}
	s.onlySent("create.log", "copy.log")
	s.writtenBy("create.log", "sh")
}

func TestNginx(t *testing.T) {
	t.Parallel()
	need(t, "nginx", "curl")
	s := newSite(t)
	s.startBoth()
	addr, end := s.nginx()
	defer end()
	want := ""
	for i := range 60 {
		if i == 30 { // rotate as its packages do
			s.sh("mv access.log access.log.1")
			if err := s.ngx.Signal(unix.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			s.until("nginx reopens", 10*time.Second, func() bool { _, err := os.Stat(s.mnt + "/access.log"); return err == nil })
		}
		if err := exec.Command("curl", "-sf", fmt.Sprintf("http://%s/%d", addr, i)).Run(); err != nil {
			t.Fatal(err)
		}
		want += fmt.Sprintf("/%d 200\n", i)
	}
	s.until("access.log arrives", 20*time.Second, func() bool { // nginx answers before it writes
		return sorted(s.received("access.log")) == sorted(want) // two workers
	})
	s.drained()
	s.writtenBy("access.log", "nginx")
}

// nginx starts one that writes into the mount, and returns its address and what ends it.
func (s *site) nginx() (addr string, end func()) {
	s.t.Helper()
	addr = freePort(s.t)
	conf := s.write("nginx.conf", fmt.Sprintf(`
pid %[1]s/nginx.pid;
error_log %[1]s/mnt/error.log;
worker_processes 2;
user root;
events {}
http {
 log_format f '$request_uri $status';
 access_log %[1]s/mnt/access.log f;
 client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
 server { listen %[2]s; location /up { access_log off; return 200 ok; } location / { return 200 ok; } }
}`, s.dir, addr))
	ngx := exec.Command("nginx", "-g", "daemon off;", "-c", conf)
	out := &daemon{}
	ngx.Stderr = out
	if err := ngx.Start(); err != nil {
		s.t.Fatal(err)
	}
	end = sync.OnceFunc(func() { ngx.Process.Signal(unix.SIGTERM); ngx.Wait() })
	s.t.Cleanup(end)
	s.until("nginx answers", 10*time.Second, func() bool { return exec.Command("curl", "-sf", "http://"+addr+"/up").Run() == nil })
	s.ngx = ngx.Process
	return addr, end
}

func sorted(s string) string {
	lines := strings.Split(s, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestRsyslog(t *testing.T) {
	t.Parallel()
	need(t, "rsyslogd", "logger")
	s := newSite(t)
	s.startBoth()
	conf := s.write("rsyslog.conf", fmt.Sprintf(`
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="%[1]s/syslog.sock" CreatePath="on" RateLimit.Interval="0")
template(name="bare" type="string" string="%%msg%%\n")
*.* action(type="omfile" file="%[1]s/mnt/syslog" template="bare")
global(workDirectory="%[1]s")
`, s.dir))
	d := exec.Command("rsyslogd", "-n", "-f", conf, "-i", s.dir+"/rsyslog.pid")
	out := &daemon{}
	d.Stdout, d.Stderr = out, out
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { d.Process.Signal(unix.SIGTERM); d.Wait() }()
	s.until("rsyslogd listens", 10*time.Second, func() bool { _, err := os.Stat(s.dir + "/syslog.sock"); return err == nil })
	for i := range 20 {
		if b, err := exec.Command("logger", "-u", s.dir+"/syslog.sock", fmt.Sprintf("message-%d", i)).CombinedOutput(); err != nil {
			t.Fatalf("logger: %v %s", err, b)
		}
	}
	s.until("all messages arrive", 20*time.Second, func() bool { return strings.Contains(s.received("syslog"), "message-19\n") })
	for i := range 20 {
		if n := strings.Count(s.received("syslog"), fmt.Sprintf("message-%d\n", i)); n != 1 {
			t.Errorf("message %d came %d times", i, n)
		}
	}
	s.drained()
	s.writtenBy("syslog", "rs:main Q:Reg", "rsyslogd")
}

const stdioC = `
#include <stdio.h>
int main(int c, char **v) {
 FILE *f = fopen(v[1], v[2]);
 if (!f) { perror(v[1]); return 1; }
 for (int i = 0; i < 20000; i++) fprintf(f, "stdio %d\n", i);
 return fclose(f) != 0;
}`

func TestStdio(t *testing.T) {
	t.Parallel()
	need(t, "gcc")
	s := newSite(t)
	s.startBoth()
	src := s.write("stdio.c", stdioC)
	if b, err := exec.Command("gcc", "-O1", "-o", s.dir+"/stdio", src).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v %s", err, b)
	}
	var want strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&want, "stdio %d\n", i)
	}
	s.sh(s.dir + "/stdio append.log a && " + s.dir + "/stdio write.log w")
	s.expect("append.log", want.String())
	s.expect("write.log", want.String())
	s.drained()
	s.writtenBy("append.log", "stdio")
	s.writtenBy("write.log", "stdio")
}

func TestTailFollowsAndBindMount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startBoth()
	s.sh("echo first >> t.log")
	tail := exec.Command("tail", "-F", "-n", "+1", "-s", "0.05", s.mnt+"/t.log")
	seen := &daemon{}
	tail.Stdout = seen
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { tail.Process.Kill(); tail.Wait() }()
	shows := func(want string) { // what it looks at next may be the next file
		t.Helper()
		s.until(fmt.Sprintf("tail shows %q", want), 20*time.Second, func() bool { return seen.log() == want })
	}
	shows("first\n")
	bound := filepath.Join(s.dir, "bound")
	if err := os.Mkdir(bound, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(s.mnt, bound, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(bound, unix.MNT_DETACH)
	s.sh("echo through the bind mount >> " + bound + "/t.log")
	shows("first\nthrough the bind mount\n")
	s.sh("mv t.log t.log.1; echo after rotation >> t.log")
	want := "first\nthrough the bind mount\nafter rotation\n"
	s.expect("t.log", want)
	shows(want)
}

// What lies below the mount is picked up once, also over restarts, and so is what earlier openers go on writing.
func TestBelowTheMount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	early, err := os.OpenFile(s.mnt+"/early.log", os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	fmt.Fprintln(early, "before the mount")
	s.startBoth()
	s.expect("early.log", "before the mount\n")
	fmt.Fprintln(early, "by an earlier opener")
	s.expect("early.log", "before the mount\nby an earlier opener\n")
	s.sh("echo through the mount >> early.log")
	want := "before the mount\nby an earlier opener\nthrough the mount\n"
	s.expect("early.log", want)
	if got := s.sh("cat early.log"); got != want {
		t.Errorf("reads %q, want %q", got, want)
	}
	s.sender.stop(t)
	fmt.Fprintln(early, "while away")
	s.startSender()
	s.expect("early.log", want+"while away\n")
	s.sender.kill()
	s.startSender()
	s.sh("echo last >> early.log")
	s.expect("early.log", want+"while away\nlast\n")
}
