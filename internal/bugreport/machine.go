package bugreport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Command returns what a program prints. Its complaints become the error; one that exits with a status of its own and
// does not complain, as systemctl does for units that rest, has not failed.
func Command(name string, args ...string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		c := exec.CommandContext(ctx, name, args...)
		c.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "SYSTEMD_LESS=")
		var out, complaints bytes.Buffer
		c.Stdout, c.Stderr = &out, &complaints
		c.WaitDelay = time.Second // a child of it that lives on must not keep us
		err := c.Run()
		if complaints.Len() == 0 && out.Len() > 0 && errors.As(err, new(*exec.ExitError)) && ctx.Err() == nil {
			return out.Bytes(), nil
		}
		if text := strings.TrimSpace(complaints.String()); err != nil && text != "" {
			err = fmt.Errorf("%s: %w: %s", name, err, text)
		}
		return out.Bytes(), err
	}
}

// Files returns the content of files one after the other, each below its name. Patterns that fit nothing are an error.
func Files(patterns ...string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		var out bytes.Buffer
		var failed error
		for _, p := range patterns {
			names, err := filepath.Glob(p)
			if len(names) == 0 {
				failed = errors.Join(failed, err, fmt.Errorf("no %s", p))
			}
			for _, name := range names {
				text, err := os.ReadFile(name)
				if err != nil {
					failed = errors.Join(failed, err)
					continue
				}
				fmt.Fprintf(&out, "# %s\n%s\n\n", name, bytes.TrimRight(text, "\n"))
			}
		}
		return out.Bytes(), failed
	}
}

// Join returns the texts of several, one after the other.
func Join(several ...func(context.Context) ([]byte, error)) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		var out []byte
		var failed error
		for _, get := range several {
			text, err := get(ctx)
			failed = errors.Join(failed, err)
			if len(out) > 0 && len(text) > 0 {
				out = append(out, '\n')
			}
			out = append(out, text...)
		}
		return out, failed
	}
}

// Machine returns the parts that are the same whatever runs. pids are those of our processes and of plug-ins.
func Machine(pids []int) []Part {
	limits := []string{"/proc/sys/fs/file-max", "/proc/sys/fs/file-nr", "/proc/sys/fs/nr_open", "/proc/sys/fs/mount-max", "/proc/sys/fs/inotify/*",
		"/proc/sys/vm/dirty_*", "/proc/sys/vm/overcommit_memory", "/proc/sys/net/core/somaxconn", "/sys/module/fuse/parameters/*", "/sys/fs/fuse/connections/*/waiting"}
	for _, pid := range pids {
		for _, file := range []string{"limits", "status", "cgroup", "io"} {
			limits = append(limits, fmt.Sprintf("/proc/%d/%s", pid, file))
		}
	}
	return []Part{
		{"system.txt", "kernel, distribution, processors, memory, pressure", Join(kernel, Files("/etc/os-release", "/proc/meminfo", "/proc/loadavg", "/proc/pressure/*", "/sys/kernel/security/lsm"))},
		{"mounts.txt", "the mount table's lines that are ours", ourMounts},
		{"limits.txt", "kernel settings that matter; limits and memory of our processes and of plug-ins", Files(limits...)},
	}
}

func kernel(context.Context) ([]byte, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	s := unix.ByteSliceToString
	return fmt.Appendf(nil, "%s %s %s %s\nprocessors %d\n", s(u.Sysname[:]), s(u.Release[:]), s(u.Version[:]), s(u.Machine[:]), runtime.NumCPU()), nil
}

// ourMounts picks the lines of /proc/self/mountinfo whose type is ours (proc(5): it follows a separate dash).
func ourMounts(context.Context) ([]byte, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []byte
	for line := range bytes.Lines(table) {
		if bytes.Contains(line, []byte(" - fuse.ftfuse ")) {
			out = append(out, line...)
		}
	}
	return out, nil
}

// Room says how much room there is on the file systems of folders.
func Room(folders []string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		var out []byte
		var failed error
		for _, dir := range folders {
			var st unix.Statfs_t
			if err := unix.Statfs(dir, &st); err != nil {
				failed = errors.Join(failed, &os.PathError{Op: "statfs", Path: dir, Err: err})
				continue
			}
			unit := uint64(st.Bsize)
			out = fmt.Appendf(out, "%s: %d bytes, %d free, %d for everybody; %d inodes, %d free; type %#x\n", dir,
				st.Blocks*unit, st.Bfree*unit, st.Bavail*unit, st.Files, st.Ffree, st.Type)
		}
		return out, failed
	}
}

const listLimit = 5000 // entries of a listing

// List names what lies in our own folders, with sizes and times. It opens nothing.
func List(folders []string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		var out []byte
		var failed error
		n := 0
		for _, dir := range folders {
			err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err != nil {
					failed = errors.Join(failed, err)
					return nil
				}
				if n++; n > listLimit {
					return fmt.Errorf("more than %d files", listLimit)
				}
				info, err := d.Info()
				if err != nil {
					return nil // gone since
				}
				out = fmt.Appendf(out, "%s %12d %s %s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format("2006-01-02T15:04:05Z"), path)
				return ctx.Err()
			})
			failed = errors.Join(failed, err)
		}
		return out, failed
	}
}
