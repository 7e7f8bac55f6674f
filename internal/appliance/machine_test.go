package appliance

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machine is one booted Debian. Its methods belong to the goroutine of its test, unless they say otherwise.
type machine struct {
	t       *testing.T
	name    string
	address string
	dir     string // holds disk, the overlay; var, which is no overlay, since passthrough wants a plain file system
	group   string
	network *os.File
	heard   *net.UnixConn  // what systemd-nspawn says about the boot
	reading sync.WaitGroup // of heard
	up      chan int       // the PID 1 of each boot, when it is done
	nspawn  *exec.Cmd
	leader  int           // PID 1 of the machine, as this process sees it
	done    chan struct{} // closed when systemd-nspawn has ended
	console console
}

// boot makes a machine of a release and waits until everything that is started at boot runs.
func boot(t *testing.T, kind, name string) *machine {
	t.Helper()
	return bootOn(t, fresh(t, kind), name)
}

func bootOn(t *testing.T, d disk, name string) *machine {
	t.Helper()
	m := prepare(t, d, name)
	m.start()
	m.run("journalctl -q --cursor-file=/var/tmp/journal.cursor") // what follows is the test's
	return m
}

// prepare makes a machine that is switched off.
func prepare(t *testing.T, d disk, name string) *machine {
	t.Helper()
	here.mu.Lock()
	here.next++
	n := here.next
	here.mu.Unlock()
	m := &machine{t: t, name: name, address: fmt.Sprintf("10.77.%d.%d", n/250, n%250+1),
		dir: filepath.Join(here.dir, fmt.Sprint(n, "-", name)), group: filepath.Join(here.cgroup, fmt.Sprint(n))}
	t.Cleanup(m.end)
	if err := m.make(d, n); err != nil {
		t.Fatalf("machine %s: %v", name, err)
	}
	return m
}

func (m *machine) make(d disk, n int) error {
	for _, d := range []string{"upper", "work", "disk"} {
		if err := os.MkdirAll(filepath.Join(m.dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(m.group, 0o755); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%[2]s/upper,workdir=%[2]s/work", d.lower, m.dir)
	if err := unix.Mount("overlay", m.dir+"/disk", "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	if out, err := exec.Command("cp", "-a", d.vars, m.dir+"/var").CombinedOutput(); err != nil {
		return fmt.Errorf("copy /var: %v: %s", err, out)
	}
	id := make([]byte, 16)
	rand.Read(id)
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a version 4 UUID, as machine-id(5) wants
	if err := os.WriteFile(m.dir+"/disk/etc/machine-id", []byte(hex.EncodeToString(id)+"\n"), 0o444); err != nil {
		return err
	}
	var err error
	if m.heard, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.dir + "/notify", Net: "unixgram"}); err != nil {
		return err
	}
	m.up = make(chan int, 100) // boots of one test
	m.reading.Go(m.listen)
	if m.network, err = newNetwork(); err != nil {
		return err
	}
	return here.join(m.network, n, m.address)
}

// start switches the machine on.
func (m *machine) start() {
	m.t.Helper()
	group, err := os.Open(m.group)
	if err != nil {
		m.t.Fatal(err)
	}
	defer group.Close()
	c := exec.Command("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes",
		"--directory="+m.dir+"/disk", "--bind="+m.dir+"/var:/var", "--machine="+m.name, "--hostname="+m.name,
		"--bind=/dev/fuse", "--network-namespace-path=/proc/self/fd/3", "--console=read-only", "--link-journal=no",
		"--resolv-conf=off", "--timezone=off")
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.dir+"/notify")
	c.ExtraFiles = []*os.File{m.network}
	c.Stdout, c.Stderr = &m.console, &m.console
	c.WaitDelay = 5 * time.Second // what a machine leaves behind may still hold its console
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Setsid: true}
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.nspawn, m.done = c, make(chan struct{})
	go func(done chan struct{}) { // ended by end, which waits for it
		c.Wait()
		close(done)
	}(m.done)
	m.booted()
}

// booted waits for the end of a boot, and wants all of its units to have started.
func (m *machine) booted() {
	m.t.Helper()
	select {
	case m.leader = <-m.up:
	case <-m.done:
		m.t.Fatalf("machine %s: did not boot\n%s", m.name, m.console.text())
	case <-time.After(limit):
		m.t.Fatalf("machine %s: did not boot within %v\n%s", m.name, limit, m.console.text())
	}
	if state, err := m.try("systemctl is-system-running --wait"); err != nil {
		m.t.Fatalf("machine %s: booted %s\n%s", m.name, state, m.run("systemctl --failed; journalctl -b -p warning"))
	}
}

// listen reads what systemd-nspawn says until the socket is closed, and tells of each boot its PID 1. It reads all the
// time: systemd-nspawn and the machine's systemd wait for whoever does not.
func (m *machine) listen() {
	b := make([]byte, 4096)
	leader, told := 0, 0
	for {
		n, err := m.heard.Read(b)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(b[:n])) {
			line = strings.TrimSpace(line)
			if pid, ok := strings.CutPrefix(line, "X_NSPAWN_LEADER_PID="); ok {
				leader, _ = strconv.Atoi(pid)
			}
			if line == "READY=1" && leader != told {
				told = leader
				m.up <- leader
			}
		}
	}
}

// command returns a command that will run in the machine, with its namespaces and in none of its units.
func (m *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(m.leader), "--all", "--"}, args...)...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"}
	c.WaitDelay = time.Minute // nothing of it is to hold its output
	return c
}

// limit ends commands that hang; it is no expectation.
const limit = 3 * time.Minute

// try runs a shell command in the machine. It may be called from any goroutine.
func (m *machine) try(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := m.command(ctx, "sh", "-c", command).CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("%w after %v", ctx.Err(), limit)
	}
	return string(out), err
}

// run is try for a command that has to succeed.
func (m *machine) run(command string) string {
	m.t.Helper()
	out, err := m.try(command)
	if err != nil {
		m.t.Fatalf("%s: %s: %v\n%s", m.name, command, err, out)
	}
	return out
}

// refuse runs a command that has to fail with this exit status, and returns what it said.
func (m *machine) refuse(status int, command string) string {
	m.t.Helper()
	out, err := m.try(command)
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != status {
		m.t.Fatalf("%s: %s: got %v, want exit status %d\n%s", m.name, command, err, status, out)
	}
	return out
}

// path is where this process finds a file of the machine: only what is on its disk, not what is mounted inside.
func (m *machine) path(name string) string {
	if strings.HasPrefix(name, "/var/") {
		return m.dir + name
	}
	return filepath.Join(m.dir, "disk", name)
}

// put writes a file to the machine's disk.
func (m *machine) put(name, text string, mode os.FileMode) {
	m.t.Helper()
	path := m.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		m.t.Fatal(err)
	}
}

// console keeps what a machine prints.
type console struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(p)
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.b.Bytes()
	return string(b[max(0, len(b)-8000):])
}
