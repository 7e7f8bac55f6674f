package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// space is a network namespace. It lives as long as this descriptor, or a process in it.
type space struct{ file *os.File }

// newSpace makes a namespace that has a loopback device, down, and nothing else.
func newSpace() (s *space, err error) {
	err = away(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		s = &space{f}
		return err
	})
	return s, err
}

func (s *space) close() { s.file.Close() }

// do runs f on a thread that is in the namespace: sockets that it makes and processes that it starts are of there.
func (s *space) do(f func() error) error {
	return away(func() error {
		if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network: %w", err)
		}
		return f()
	})
}

// away runs f on a thread of its own, and brings the thread back to the network where it was. It lives on, as processes
// that it has started may be tied to its life (PR_SET_PDEATHSIG, prctl(2)).
func away(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network: %w", err)
	}
	defer home.Close()
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("leave network: %w", back)) // still locked: the thread ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// ip runs commands of ip(8), tc those of tc(8), one after the other until one fails.
func (s *space) ip(commands ...string) error { return s.batch("ip", commands) }
func (s *space) tc(commands ...string) error { return s.batch("tc", commands) }

func (s *space) batch(program string, commands []string) error {
	c := exec.Command(program, "-batch", "-")
	c.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var said strings.Builder
	c.Stdout, c.Stderr = &said, &said
	if err := s.do(c.Start); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	if err := c.Wait(); err != nil {
		return fmt.Errorf("%s %q: %w: %s", program, commands, err, strings.TrimSpace(said.String()))
	}
	return nil
}
