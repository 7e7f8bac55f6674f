package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/control"

	"golang.org/x/sys/unix"
)

// site is one sender and one receiver on this machine, with all their folders.
type site struct {
	t        *testing.T
	dir      string
	mnt      string // the mounted directory
	pad      int    // longest padding of writers' lines: with more, fewer lines fill what is to be filled
	out      string // base of the receiver's files
	addr     string
	sender   *daemon
	receiver *daemon
	manager  *manager // holds what is to outlive the sender; nil: nobody does
	senderX  string   // more YAML for the sender
	recvX    string   // outputs of the receiver, if not the default
	queueX   string   // lines below queue:
	rulesX   string   // rules before the two that are always there
	members  string   // of target main, with its policy; "": the one at addr
	mainX    string   // more of target main
	targetsX string   // targets besides main
	host     string   // name of the sending machine
	spool    string
	ngx      *os.Process
	parsed   int // bytes of the json output that lines are of
	lines    []jsonLine
}

const rotated = `["**/*.gz", "**/*.xz", "**/*.zst", "**/*.[0-9]", "**/*.[0-9][0-9]", "**/*-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]", "**/*.[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"]`

func newSite(t *testing.T) *site {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	s := &site{t: t, dir: dir, mnt: filepath.Join(dir, "mnt"), out: filepath.Join(dir, "out"), addr: freePort(t), spool: filepath.Join(dir, "spool"), host: "sendhost"}
	if err := os.Mkdir(s.mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

// needRoot says why a test that mounts cannot run.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a file system")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("needs /dev/fuse: ", err)
	}
}

// lastPort is the last that freePort has given: below those that the kernel takes for connections, so that no sender that tries
// to reach a receiver which is away has its port when it comes back.
var lastPort atomic.Uint32

// freePort returns an address of this machine that nobody listens on, nor is given again.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12_000+lastPort.Add(1)%20_000))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("got no free port of 1000")
	return ""
}

func (s *site) senderConfig() string {
	return fmt.Sprintf(`host: %s
state_dir: %s/sender
spool_dir: %s
control: {socket: %s/sender.sock}
log: {level: debug, format: text}
mounts:
  - {name: log, path: %s}
rules:
%s
  - {name: rotated, match: %s, send: false}
  - {name: write, match: ["**/*.wc", "**/*.wc.*"], capture: write, targets: [main]}
  - {name: rest, match: ["**"], targets: [main]}
queue:
  min_free: 0
%s
targets:
  - {name: main, %s, backoff: {min: 10ms, max: 200ms}%s}
%s
%s
`, s.host, s.dir, s.spool, s.dir, s.mnt, s.rulesX, rotated, s.queueX, cmp.Or(s.members, fmt.Sprintf("address: %q", s.addr)), s.mainX, s.targetsX, s.senderX)
}

func (s *site) receiverConfig() string {
	outputs := s.recvX
	if outputs == "" {
		outputs = s.plainOutputs()
	}
	return fmt.Sprintf(`state_dir: %s/receiver
control: {socket: %s/receiver.sock}
log: {level: debug, format: text}
listen: ["%s"]
outputs:%s
`, s.dir, s.dir, s.addr, outputs)
}

// plainOutputs are the outputs that a receiver has when the test does not say.
func (s *site) plainOutputs() string {
	return fmt.Sprintf(`
  - {name: files, base: %s, path: "{path}", format: raw}
  - {name: json, base: %s.json, path: "all.json", format: json}`, s.out, s.out)
}

// write makes a file, in the place of the one before as a whole: a process that was told to reload may read it at any time, and an
// empty configuration is the default one.
func (s *site) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	err := os.WriteFile(path+".new", []byte(text), 0o644)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}

// startSender starts the sender and waits until it serves its mount, and whoever asks it.
func (s *site) startSender() {
	s.t.Helper()
	s.sender = s.start("sender", s.write("sender.yaml", s.senderConfig()))
	s.until("the mount appears", 20*time.Second, func() bool {
		var st unix.Statfs_t
		return unix.Statfs(s.mnt, &st) == nil && st.Type == 0x65735546 && answers(s.dir+"/sender.sock") || s.sender.ended() // FUSE_SUPER_MAGIC
	})
	if s.sender.ended() {
		s.t.Fatalf("sender ended: %s", s.sender.log())
	}
}

// startReceiver starts the receiver and waits until it listens, to senders and to whoever asks it.
func (s *site) startReceiver() {
	s.t.Helper()
	s.receiver = s.start("receiver", s.write("receiver.yaml", s.receiverConfig()))
	s.until("the receiver listens", 20*time.Second, func() bool {
		return listens(s.addr) && answers(s.dir+"/receiver.sock") || s.receiver.ended()
	})
	if s.receiver.ended() {
		s.t.Fatalf("receiver ended: %s", s.receiver.log())
	}
}

// listens reports whether somebody accepts connections at an address.
func listens(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// answers reports whether a daemon answers on its control socket: it does so after it has its port.
func answers(socket string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var st control.Status
	return control.Call(ctx, socket, "GET", control.PathStatus, nil, &st) == nil
}

func (s *site) startBoth() {
	s.t.Helper()
	s.startReceiver()
	s.startSender()
}

// patience is how many times the time that is usual a loaded machine and the race detector get: it only ends a test that hangs.
const patience = 6

// until polls: what it waits for happens in other processes and in files, which need the processor more than looking at
// them does.
func (s *site) until(what string, limit time.Duration, ok func() bool) {
	s.t.Helper()
	if limit *= patience; !happens(limit, ok) {
		s.t.Fatalf("%s: not within %v\nsender: %s\nreceiver: %s", what, limit, s.sender.log(), s.receiver.log())
	}
}

// happens polls until ok, and returns false when the limit has passed.
func happens(limit time.Duration, ok func() bool) bool {
	end := time.Now().Add(limit)
	for began := time.Now(); !ok(); began = time.Now() {
		if began.After(end) {
			return false
		}
		time.Sleep(min(max(10*time.Millisecond, 4*time.Since(began)), 5*time.Second))
	}
	return true
}

// end stops both sides, orderly, and sees that nothing of them stays.
func (s *site) end() {
	for _, d := range []*daemon{s.sender, s.receiver} {
		if d != nil && !d.ended() {
			d.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-d.done:
			case <-time.After(60 * time.Second):
				s.t.Errorf("%s does not stop: %s", d.name, d.log())
				d.kill()
			}
		}
	}
	if s.t.Failed() && os.Getenv("FTFUSE_E2E_LOGS") != "" {
		s.t.Logf("sender: %s\nreceiver: %s", s.sender.log(), s.receiver.log())
	}
	for range 10 {
		if unix.Unmount(s.mnt, unix.MNT_DETACH) != nil {
			break
		}
	}
}

// daemon is one process of ours.
type daemon struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	text bytes.Buffer
	err  error
}

func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

// log returns the end of what the process has said, or a data race if it found one.
func (d *daemon) log() string {
	if d == nil {
		return "(not started)"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.text.Bytes()
	if i := bytes.Index(b, []byte("DATA RACE")); i >= 0 {
		return string(b[i:min(len(b), i+6000)])
	}
	return string(b[max(0, len(b)-6000):])
}

// all returns all that the process has said.
func (d *daemon) all() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

func (d *daemon) ended() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

func (d *daemon) kill() {
	d.cmd.Process.Kill()
	<-d.done
}

// stop asks the process to end and expects it to end well.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(60 * time.Second):
		t.Fatalf("%s does not stop: %s", d.name, d.log())
	}
	if d.err != nil {
		t.Fatalf("%s ended with %v: %s", d.name, d.err, d.log())
	}
}

func (s *site) start(role, config string) *daemon {
	s.t.Helper()
	c := exec.Command(program, role, "--config", config)
	if role == "sender" && s.manager != nil {
		c = s.manager.command(program, role, "--config", config)
	}
	return startDaemon(s.t, role, c, c.Start)
}

// startDaemon has start start a process of ours.
func startDaemon(t *testing.T, name string, c *exec.Cmd, start func() error) *daemon {
	t.Helper()
	d := &daemon{name: name, cmd: c, done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = d, d
	for _, e := range os.Environ() { // what these tests are told is nothing to the program
		if !strings.HasPrefix(e, "FTFUSE_") {
			d.cmd.Env = append(d.cmd.Env, e)
		}
	}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		if raced := strings.Contains(d.log(), "DATA RACE"); raced {
			d.err = errors.Join(d.err, errors.New("data race"))
		}
		close(d.done)
	}()
	return d
}

// received returns one of the receiver's files, "" if it is not there.
func (s *site) received(name string) string {
	b, err := os.ReadFile(filepath.Join(s.out, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(b)
}

// expect waits until a file of the receiver's is exactly want.
func (s *site) expect(name, want string) {
	s.t.Helper()
	got := ""
	defer func() {
		if got != want {
			s.t.Logf("%s at the receiver: got %s, want %s", name, brief(got), brief(want))
		}
	}()
	s.until(name+" arrives", 20*time.Second, func() bool { got = s.received(name); return got == want })
}

func brief(s string) string {
	if len(s) > 300 {
		return fmt.Sprintf("%d bytes %q ... %q", len(s), s[:120], s[len(s)-120:])
	}
	return fmt.Sprintf("%q", s)
}

// sh runs a shell command in the mounted directory.
func (s *site) sh(command string) string {
	s.t.Helper()
	c := exec.Command("sh", "-ec", command)
	c.Dir = s.mnt
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s\nsender: %s", command, err, out, s.sender.log())
	}
	return string(out)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
