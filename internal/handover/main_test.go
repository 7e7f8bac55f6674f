package handover

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ftfuse/internal/attach"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain fails the run when a descriptor or a goroutine is left over.
func TestMain(m *testing.M) {
	before := openFiles()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		runtime.GC()
		if after := openFiles(); len(after) > len(before) {
			fmt.Fprintf(os.Stderr, "descriptors are left over: %q, before the tests %q\n", after, before)
			code = 1
		}
	}
	os.Exit(code)
}

func openFiles() (list []string) {
	all, _ := os.ReadDir("/proc/self/fd")
	for _, e := range all {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:") && !strings.Contains(to, "/cgroup") {
			list = append(list, to)
		}
	}
	return list
}

// tempDir is a directory that every user reaches.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ftfuse-handover-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ok(t, os.Chmod(dir, 0o755))
	return dir
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contains wants all of parts in an error.
func contains(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: got %v, want %q in it", what, err, p)
		}
	}
}

// listen makes a socket that everybody may connect to.
func listen(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	ok(t, err)
	ok(t, os.Chmod(path, 0o666))
	return l
}

// run calls serve in a goroutine until the result is called, which waits for it.
func run(t *testing.T, serve func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: got %v, want nil", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

var quiet = slog.New(slog.DiscardHandler)

// asUser calls f in a thread of another user.
func asUser(t *testing.T, uid int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if _, _, no := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); no != 0 {
			done <- no
			return
		}
		f()
	}()
	ok(t, <-done)
}

// superblock makes a mount that is nowhere to be seen. Both are closed when the test ends.
func superblock(t *testing.T) (fuse, mnt int) {
	t.Helper()
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	ok(t, err)
	t.Cleanup(func() { unix.Close(fuse) })
	mnt, err = attach.Superblock(fuse, "test", false)
	ok(t, err)
	t.Cleanup(func() { unix.Close(mnt) })
	return fuse, mnt
}

// answerInit answers the INIT that waits in fuse, with passthrough (struct fuse_init_out of linux/fuse.h).
func answerInit(fuse int) error {
	in := make([]byte, 1<<16)
	n, err := unix.Read(fuse, in)
	if err != nil {
		return err
	}
	const opInit = 26
	if op := binary.NativeEndian.Uint32(in[4:]); n < 40 || op != opInit {
		return fmt.Errorf("got a request %d of %d bytes, want INIT", op, n)
	}
	var out bytes.Buffer
	for _, v := range []any{
		uint32(16 + 64), int32(0), binary.NativeEndian.Uint64(in[8:]),
		uint32(7), uint32(40), uint32(0), uint32(1 << 30), // INIT_EXT
		uint16(0), uint16(0), uint32(4096), uint32(1), uint16(0), uint16(0),
		uint32(1 << 5), uint32(1), // PASSTHROUGH, max_stack_depth
		[24]byte{},
	} {
		if err := binary.Write(&out, binary.NativeEndian, v); err != nil {
			return err
		}
	}
	_, err = unix.Write(fuse, out.Bytes())
	return err
}

// request is a good one, with a mount of its own.
func request(t *testing.T) Request {
	t.Helper()
	fuse, _ := superblock(t)
	dir := tempDir(t)
	below, err := os.Open(dir)
	ok(t, err)
	fd, err := unix.FcntlInt(uintptr(fuse), unix.F_DUPFD_CLOEXEC, 0)
	ok(t, err)
	r := Request{Name: "app", Dir: dir, Options: []string{"rw", "nosuid"}, Fuse: os.NewFile(uintptr(fd), "/dev/fuse"), Below: below}
	t.Cleanup(func() { r.Fuse.Close(); r.Below.Close() })
	return r
}

func socketPath(t *testing.T) string { return filepath.Join(tempDir(t), "x.sock") }
