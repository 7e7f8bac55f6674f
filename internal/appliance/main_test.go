package appliance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// inside tells the test process that it runs in namespaces of its own, and the folder to work in.
const inside = "FTFUSE_APPLIANCE"

// here is what all tests share; nil where machines cannot boot, with the reason in lacking.
var (
	here    *world
	lacking string
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	lacking = lacks()
	if lacking != "" || flag.Lookup("test.list").Value.String() != "" {
		return m.Run() // every test says why it cannot run
	}
	if os.Getenv(inside) == "" {
		return again()
	}
	var err error
	if here, err = newWorld(os.Getenv(inside)); err != nil {
		fmt.Fprintf(os.Stderr, "appliance: error: %v\n", err)
		return 1
	}
	return m.Run()
}

// lacks says what is missing on this machine, "" if nothing.
func lacks() string {
	if os.Geteuid() != 0 {
		return "needs root: boots machines"
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return "needs /dev/fuse: " + err.Error()
	}
	for _, p := range []string{"systemd-nspawn", "mmdebstrap", "nsenter", "ip", "zstd", "gcc"} {
		if _, err := exec.LookPath(p); err != nil {
			return "needs the program " + p + ": scripts/ci-deps.sh installs it"
		}
	}
	return ""
}

// again runs the tests in a process with a mount and a process namespace: all that the tests mount and start ends
// when that process ends, however it ends; the folder and the control groups, empty then, are removed here.
func again() int {
	dir, err := os.MkdirTemp("", "ftfuse-appliance")
	if err != nil {
		fmt.Fprintf(os.Stderr, "appliance: error: %v\n", err)
		return 1
	}
	defer os.Remove(dir)
	for _, tree := range []string{tree, tree + "/unified"} {
		defer removeGroup(filepath.Join(tree, filepath.Base(dir)))
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Args[0] = os.Args[0]
	c.Env = append(os.Environ(), inside+"="+dir)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	if err := c.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "appliance: error: start in namespaces: %v\n", err)
		return 1
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = c.Process.Signal(s)
		case err := <-ended:
			if err != nil && c.ProcessState.ExitCode() < 0 {
				fmt.Fprintf(os.Stderr, "appliance: error: the tests ended with %v\n", err)
				return 1
			}
			return c.ProcessState.ExitCode()
		}
	}
}
