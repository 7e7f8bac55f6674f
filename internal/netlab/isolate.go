package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolated tells a process that it runs in namespaces of its own, and the folder that goes with it.
const isolated = "FTFUSE_NETLAB"

// Isolate has the tests of a package run in a mount and a network namespace of their own: run is called there, and the exit
// code is its. What is mounted there ends with the process, however it ends; its ports are no other process's, since the
// network has a loopback interface alone; and names are asked of the network that a process is in. The environment variable
// TMPDIR names a folder that is removed at the end. Where Lacks says something, run is called as it is.
func Isolate(run func() int) int {
	if Lacks() != "" {
		return run()
	}
	dir := os.Getenv(isolated)
	if dir == "" {
		code, err := again()
		if err != nil {
			fmt.Fprintf(os.Stderr, "netlab: error: %v\n", err)
			return 1
		}
		return code
	}
	os.Unsetenv(isolated) // a test may start this program again
	if err := arrange(dir); err != nil {
		fmt.Fprintf(os.Stderr, "netlab: error: %v\n", err)
		return 1
	}
	return run()
}

// arrange makes the mounts of the new namespace its own, has names asked of the network, and begins the network.
func arrange(dir string) error {
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("bring up the loopback interface: %w: %s", err, out)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	conf := filepath.Join(dir, "resolv.conf")
	if err := writeResolver(conf); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return fmt.Errorf("find resolv.conf: %w", err)
	}
	if err := unix.Mount(conf, real, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount resolv.conf: %w", err)
	}
	return nil
}

// again runs this program once more, in namespaces of its own.
func again() (int, error) {
	dir, err := os.MkdirTemp("", "ftfuse-netlab")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Args[0] = os.Args[0]
	c.Env = append(os.Environ(), isolated+"="+dir, "TMPDIR="+dir)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := c.Start(); err != nil {
		return 0, fmt.Errorf("start in namespaces of its own: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = c.Process.Signal(s)
		case err := <-ended:
			var failed *exec.ExitError
			if err != nil && !errors.As(err, &failed) || c.ProcessState.ExitCode() < 0 {
				return 0, fmt.Errorf("the tests ended with %w", err)
			}
			return c.ProcessState.ExitCode(), nil
		}
	}
}
