package mount

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// seenMount is a line of mountinfo.
type seenMount struct {
	minor uint32
	fs    string
}

// topMount returns the mount that path shows, nil if path is not a mount point (proc(5), /proc/PID/mountinfo).
func topMount(path string) (*seenMount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var top *seenMount
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) < 7 || unescape(w[4]) != path {
			continue
		}
		_, minor, _ := strings.Cut(w[2], ":")
		n, err := strconv.ParseUint(minor, 10, 32)
		if err != nil {
			continue
		}
		for i := 6; i+1 < len(w); i++ {
			if w[i] == "-" {
				top = &seenMount{uint32(n), w[i+1]}
				break
			}
		}
	}
	return top, lines.Err()
}

// unescape undoes mountinfo's \040 and the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// clearPath makes path fit to mount on: it takes away mounts that an earlier life left dead there, and refuses a live
// one. It returns path without symbolic links.
func clearPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("mount on %s: %w", path, err)
	}
	for range 100 {
		real, err := filepath.EvalSymlinks(abs)
		if errors.Is(err, unix.ENOTCONN) {
			real, err = resolveParent(abs)
		}
		if err != nil {
			return "", fmt.Errorf("mount on %s: %w", path, err)
		}
		top, err := topMount(real)
		if err != nil {
			return "", err
		}
		if top == nil || top.fs != fsType {
			return real, directory(real)
		}
		// Statfs asks the connection; what stat(2) says may come from the kernel's cache when nobody serves any more.
		var st unix.Statfs_t
		if err := unix.Statfs(real, &st); !errors.Is(err, unix.ENOTCONN) {
			return "", fmt.Errorf("mount on %s: it is an ftfuse mount already: stop the sender that serves it, or unmount it: %w", real, unix.EBUSY)
		}
		if err := unix.Unmount(real, unix.MNT_DETACH); err != nil {
			return "", fmt.Errorf("take away the dead mount at %s: %w", real, err)
		}
	}
	return "", fmt.Errorf("mount on %s: too many dead mounts there: unmount them by hand", path)
}

// resolveParent resolves all but the last name, which cannot be looked at.
func resolveParent(abs string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	return filepath.Join(dir, filepath.Base(abs)), err
}

func directory(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("mount on %s: %w", path, err)
	}
	if !st.IsDir() {
		return fmt.Errorf("mount on %s: got a %s, want a directory: %w", path, st.Mode().Type(), unix.ENOTDIR)
	}
	return nil
}
