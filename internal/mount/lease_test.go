package mount

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// lease takes a lease for writing on a file below, as a file server does.
func (r *rig) lease(name string) int {
	r.Helper()
	fd, err := unix.Open(r.below+"/"+name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	r.ok("open below", err)
	r.Cleanup(func() { _ = unix.Close(fd) })
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK)
	r.ok("take a lease", err)
	return fd
}

// While the kernel takes another program's lease back, who needs the file waits, as without the mount. Nobody else does.
func TestLeaseBelow(t *testing.T) {
	for what, use := range map[string]func(path string) error{
		"a.stored": func(path string) error {
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
			_ = unix.Close(fd)
			return err
		},
		"a.log": func(path string) error {
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
			_ = unix.Close(fd)
			return err
		},
		"cut.log": func(path string) error { return unix.Truncate(path, 0) },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.sh("echo one > " + what + "; touch before")
			fd := r.lease(what)
			used := make(chan error, 1)
			go func() { used <- use(r.path(what)) }()
			r.becomes("the lease is taken back", func() string {
				now, err := unix.FcntlInt(uintptr(fd), unix.F_GETLEASE, 0)
				return fmt.Sprint(now != unix.F_WRLCK, err)
			}, "true <nil>")
			r.ok("rename meanwhile", os.Rename(r.path("before"), r.path("after")))
			if what != "cut.log" {
				_, err := unix.Open(r.path(what), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
				r.fails("open that does not wait", err, unix.EAGAIN)
			}
			select {
			case err := <-used:
				t.Errorf("the lease is still there: got %v, want that it is waited for", err)
				return
			default:
			}
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
			r.ok("give the lease back", err)
			r.ok("when it is given back", <-used)
		})
	}
}
