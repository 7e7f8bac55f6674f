package main

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/attach"
	"ftfuse/internal/handover"

	"golang.org/x/sys/unix"
)

// TestMain runs the program itself when asked to.
func TestMain(m *testing.M) {
	if os.Getenv("FTFUSE_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// broker is the running program. What it says goes to said.
type broker struct {
	*testing.T
	cmd    *exec.Cmd
	said   bytes.Buffer
	socket string
}

func command(t *testing.T, args ...string) *broker {
	t.Helper()
	dir := t.TempDir()
	b := &broker{T: t, cmd: exec.Command(args[0], args[1:]...), socket: filepath.Join(dir, "broker.sock")}
	for i, arg := range b.cmd.Args {
		b.cmd.Args[i] = strings.ReplaceAll(arg, "SOCKET", b.socket)
	}
	b.cmd.Stdout, b.cmd.Stderr = &b.said, &b.said
	b.cmd.Env = append(os.Environ(), "FTFUSE_TEST_MAIN=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	return b
}

// start starts the program and waits until it says to be ready.
func (b *broker) start() {
	b.Helper()
	path := filepath.Join(filepath.Dir(b.socket), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(b.T, err)
	must(b.T, os.Chmod(path, 0o666))
	for dir := filepath.Dir(path); dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(b.T, os.Chmod(dir, 0o777))
	}
	defer c.Close()
	must(b.T, b.cmd.Start())
	b.Cleanup(func() { _ = b.cmd.Process.Kill() })
	must(b.T, c.SetReadDeadline(time.Now().Add(60*time.Second)))
	for ready := false; !ready; {
		p := make([]byte, 1000)
		n, err := c.Read(p)
		if err != nil {
			_ = b.cmd.Process.Kill()
			_ = b.cmd.Wait()
			b.Fatalf("the broker is not ready: %v: %s", err, &b.said)
		}
		ready = strings.Contains(string(p[:n]), "READY=1")
	}
}

// stop stops the program and wants an exit code.
func (b *broker) stop() {
	b.Helper()
	must(b.T, b.cmd.Process.Signal(syscall.SIGTERM))
	if err := b.cmd.Wait(); err != nil {
		b.Errorf("stop: %v: %s", err, &b.said)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// connection makes a FUSE connection that does passthrough: its INIT is answered by hand (struct fuse_init_out).
func connection(t *testing.T) int {
	t.Helper()
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	mnt, err := attach.Superblock(fuse, "test", false)
	must(t, err)
	t.Cleanup(func() { unix.Close(mnt); unix.Close(fuse) })
	in := make([]byte, 1<<16)
	_, err = unix.Read(fuse, in)
	must(t, err)
	out := make([]byte, 80)
	for at, v := range map[int]uint32{0: 80, 16: 7, 20: 40, 28: 1 << 30, 36: 4096, 40: 1, 48: 1 << 5, 52: 1} {
		binary.NativeEndian.PutUint32(out[at:], v)
	}
	copy(out[8:16], in[8:16])
	_, err = unix.Write(fuse, out)
	must(t, err)
	return fuse
}

func (b *broker) registers() error {
	b.Helper()
	fuse := connection(b.T)
	file, err := os.OpenFile(filepath.Join(b.TempDir(), "f"), os.O_CREATE|os.O_RDWR, 0o600)
	must(b.T, err)
	defer file.Close()
	client := &handover.Broker{Socket: b.socket}
	defer client.Close()
	id, err := client.Register(fuse, int(file.Fd()))
	if err == nil {
		err = client.Unregister(fuse, id)
	}
	return err
}

// One capability is all that the broker needs, and it need not be root: its socket comes from the service manager.
func TestBroker(t *testing.T) {
	b := command(t, "sh", "-c", `export LISTEN_PID=$$ LISTEN_FDS=1; exec setpriv --reuid=65533 --regid=65533 --clear-groups --no-new-privs \
		--inh-caps=-all,+sys_admin --ambient-caps=+sys_admin --bounding-set=-all,+sys_admin /proc/self/fd/9 --user nobody`)
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: b.socket, Net: "unixpacket"})
	must(t, err)
	defer l.Close()
	socket, err := l.File()
	must(t, err)
	defer socket.Close()
	b.give(map[int]*os.File{3: socket, 9: self(t)})
	b.start()
	must(t, b.registers())
	b.stop()
	if b.said.Len() > 0 {
		t.Errorf("said %s", &b.said)
	}
}

// self is this program, also for a user who does not come to where it lies.
func self(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open("/proc/self/exe")
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// give hands descriptors to the program under their numbers, which begin with 3.
func (b *broker) give(files map[int]*os.File) {
	b.cmd.ExtraFiles = make([]*os.File, 7)
	for n, f := range files {
		b.cmd.ExtraFiles[n-3] = f
	}
}

func TestWithoutCapability(t *testing.T) {
	b := command(t, "setpriv", "--inh-caps=-all", "--bounding-set=-sys_admin", "/proc/self/fd/9", "--socket", "SOCKET", "--user", "root")
	b.give(map[int]*os.File{9: self(t)})
	b.start()
	if err := b.registers(); err == nil || !strings.Contains(err.Error(), "operation not permitted") {
		t.Errorf("got %v, want EPERM", err)
	}
	b.stop()
	if !strings.Contains(b.said.String(), "want CAP_SYS_ADMIN") {
		t.Errorf("said %s", &b.said)
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitFailed, "ftfuse-broker: error: got no socket: start ftfuse-broker.socket"},
		{[]string{"--socket", "/does/not/exist"}, exitFailed, "listen on /does/not/exist"},
		{[]string{"--user", "no such"}, exitFailed, "find the user to serve: user: unknown user no such"},
		{[]string{"x"}, exitUsage, `got ["x"], want options only`},
		{[]string{"-x"}, exitUsage, "usage: ftfuse-broker"},
		{[]string{"--help"}, exitOK, "exit codes: 0 stopped"},
		{[]string{"--version"}, exitOK, "ftfuse-broker dev (unknown)"},
	} {
		args := c.args
		if len(args) < 2 || args[0] != "--user" {
			args = append([]string{"--user", "root"}, args...)
		}
		b := command(t, append([]string{"/proc/self/exe"}, args...)...)
		_ = b.cmd.Run()
		if code := b.cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(b.said.String(), c.want) {
			t.Errorf("%q: got %d, %q, want %d, %q", c.args, code, &b.said, c.code, c.want)
		}
	}
}

// A socket that a killed broker has left is taken over, one that answers is not.
func TestSocketLeftOver(t *testing.T) {
	first := command(t, "/proc/self/exe", "--socket", "SOCKET", "--user", "root")
	first.start()
	second := command(t, "/proc/self/exe", "--socket", first.socket, "--user", "root")
	if err := second.cmd.Run(); err == nil || !strings.Contains(second.said.String(), "another broker answers there") {
		t.Errorf("got %v: %s", err, &second.said)
	}
	must(t, first.cmd.Process.Kill())
	_ = first.cmd.Wait()
	third := command(t, "/proc/self/exe", "--socket", first.socket, "--user", "root")
	third.start()
	third.socket = first.socket
	must(t, third.registers())
	third.stop()
	if _, err := os.Stat(first.socket); err == nil {
		t.Error("the socket is left over")
	}
}
