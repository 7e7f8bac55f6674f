package appliance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// world is what the machines of all tests share.
type world struct {
	dir    string   // a tmpfs that only this process sees
	source string   // the module's folder
	net    *os.File // the network namespace with the bridge
	cgroup string

	mu    sync.Mutex
	next  int // number of the next machine
	roots map[string]func() (string, error)
	ready map[string]*installed
}

const tree = "/sys/fs/cgroup"

func newWorld(dir string) (*world, error) {
	source, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, source: source, roots: map[string]func() (string, error){}, ready: map[string]*installed{}}
	if err := w.mounts(); err != nil {
		return nil, err
	}
	for _, kind := range []string{"bookworm", "trixie", "rpm"} {
		w.roots[kind] = sync.OnceValues(func() (string, error) { return w.unpack(kind) })
		w.ready[kind] = &installed{}
	}
	w.cgroup = filepath.Join(tree, filepath.Base(dir))
	if w.net, err = newNetwork(); err != nil {
		return nil, err
	}
	return w, w.ip("link", "add", "bridge0", "type", "bridge")
}

// mounts arranges what systemd-nspawn wants: a pure cgroup2 tree, run directories of its own, this process's own /proc.
func (w *world) mounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Unmount(tree, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", tree, err)
	}
	if err := os.MkdirAll("/run/systemd", 0o755); err != nil {
		return err
	}
	for _, m := range []struct{ kind, at, options string }{
		{"cgroup2", tree, ""},
		{"proc", "/proc", ""},
		{"tmpfs", "/run/systemd", "mode=755"},
		{"tmpfs", w.dir, "mode=755,size=90%"},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.kind, m.at, err)
		}
	}
	return nil
}

// removeGroup removes a control group and those below it; systemd leaves its own behind when it is killed.
func removeGroup(dir string) {
	below, _ := os.ReadDir(dir)
	for _, d := range below {
		if d.IsDir() {
			removeGroup(filepath.Join(dir, d.Name()))
		}
	}
	os.Remove(dir)
}

// newNetwork makes a network namespace that lives as long as its descriptor.
func newNetwork() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- result{err: fmt.Errorf("make a network: %w", err)}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		made <- result{f, err}
	}()
	r := <-made
	return r.f, r.err
}

// ip runs ip(8) in the bridge's network.
func (w *world) ip(args ...string) error {
	return inNetwork(w.net, "ip", args...)
}

func inNetwork(net *os.File, program string, args ...string) error {
	c := exec.Command("nsenter", append([]string{"--net=/proc/self/fd/3", program}, args...)...)
	c.ExtraFiles = []*os.File{net}
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
	}
	return nil
}

// join connects a new network with the bridge and gives it an address.
func (w *world) join(net *os.File, n int, address string) error {
	port := fmt.Sprint("port", n)
	c := exec.Command("nsenter", "--net=/proc/self/fd/3", "ip", "link", "add", port, "type", "veth", "peer", "name", "host0", "netns", "/proc/self/fd/4")
	c.ExtraFiles = []*os.File{w.net, net}
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("connect machine %d: %v: %s", n, err, out)
	}
	for _, err := range []error{
		w.ip("link", "set", "bridge0", "up"),
		w.ip("link", "set", port, "master", "bridge0", "up"),
		inNetwork(net, "ip", "address", "add", address+"/16", "dev", "host0"),
		inNetwork(net, "ip", "link", "set", "host0", "up"),
		inNetwork(net, "ip", "link", "set", "lo", "up"),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) unpack(kind string) (string, error) {
	dir := filepath.Join(w.dir, "root", kind)
	c := exec.Command("scripts/debian-root.sh", kind, dir)
	c.Dir = w.source
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("debian-root.sh %s: %v: %s", kind, err, out)
	}
	return dir, nil
}
