package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ticks is the kernel's USER_HZ, the unit of times in /proc/PID/stat.
const ticks = 100

// process is a program under measurement, its output kept in a file.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended; err is valid then
	err  error
}

// launch starts a program. end must be called.
func launch(name, log, path string, args ...string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &process{name: name, cmd: exec.Command(path, args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours: we stop them in order
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// end stops the program, with force after a while.
func (p *process) end() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return p.failed("did not stop within 20 s")
	}
	if p.err != nil {
		return p.failed(p.err.Error())
	}
	return nil
}

// failed returns an error with the end of the program's log.
func (p *process) failed(what string) error {
	b, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s: %s\n%s", p.name, what, b[max(0, len(b)-3000):])
}

// await calls ready until it is true, every millisecond.
func (p *process) await(ctx context.Context, limit time.Duration, what string, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-p.done:
			return p.failed("ended while waiting for " + what)
		case <-ctx.Done():
			return p.failed("no " + what + ": " + ctx.Err().Error())
		case <-tick.C:
		}
	}
	return nil
}

// cpu returns the seconds of processor time that the program has used.
func (p *process) cpu() (float64, error) {
	b, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return 0, err
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the first is field 3
	if len(f) < 13 {
		return 0, fmt.Errorf("%s: got %d fields, want more", p.proc("stat"), len(f))
	}
	user, err1 := strconv.ParseFloat(string(f[11]), 64)
	system, err2 := strconv.ParseFloat(string(f[12]), 64)
	return (user + system) / ticks, errors.Join(err1, err2)
}

// memory returns the most memory that was ever resident, and how much of what is resident now is anonymous
// (not pages of files, which the kernel can take back), in MiB.
func (p *process) memory() (peak, anonymous float64, err error) {
	b, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return 0, 0, err
	}
	peak, err1 := mebibytes(b, "VmHWM:")
	anonymous, err2 := mebibytes(b, "RssAnon:")
	return peak, anonymous, errors.Join(err1, err2)
}

// mebibytes returns a value of /proc/PID/status, which counts in KiB.
func mebibytes(status []byte, key string) (float64, error) {
	_, rest, _ := bytes.Cut(status, []byte(key))
	f := bytes.Fields(rest)
	if len(f) == 0 {
		return 0, fmt.Errorf("/proc/PID/status: no %s", key)
	}
	kib, err := strconv.ParseFloat(string(f[0]), 64)
	return kib / 1024, err
}

// fresh makes memory's peak start anew.
func (p *process) fresh() error { return os.WriteFile(p.proc("clear_refs"), []byte("5"), 0) }

func (p *process) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), file)
}

// mounted reports whether something is mounted at path, which must hold nothing that mountinfo escapes.
// It asks the kernel's table and not the file system, which may not answer.
func mounted(path string) bool {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	return bytes.Contains(b, []byte(" "+path+" "))
}

// detach takes a mount away that its owner has left behind.
func detach(path string) {
	if mounted(path) {
		_ = syscall.Unmount(path, syscall.MNT_DETACH)
	}
}
