package attach

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Mount is a mount as /proc/self/mountinfo shows it (proc_pid_mountinfo(5)).
type Mount struct {
	Path    string // where it is to be seen
	Root    string // what of its file system: / but for bind mounts of a part
	FSType  string
	Source  string   // for an ftfuse mount its name in the configuration
	Options []string // of this mount
	Super   []string // options of its superblock
	minor   uint32
}

// List returns the ftfuse mounts in the order in which they were attached: where several lie on a path, the one on top
// is the last.
func List() ([]Mount, error) {
	return filter(func(m *Mount) bool { return m.FSType == FSType })
}

// ListDead returns the ftfuse mounts that are to be seen and that nobody serves.
func ListDead() ([]Mount, error) {
	all, err := filter(func(*Mount) bool { return true })
	if err != nil {
		return nil, err
	}
	top := map[string]int{} // by path, the last one in all
	for i, m := range all {
		top[m.Path] = i
	}
	var dead []Mount
	for i, m := range all {
		if m.FSType == FSType && top[m.Path] == i && Dead(m.Path) {
			dead = append(dead, m)
		}
	}
	return dead, nil
}

// SameSuperblock reports whether both show one file system, one being a bind mount of the other.
func (m *Mount) SameSuperblock(other *Mount) bool { return m.minor == other.minor }

// mountsAt returns the mounts that lie on path, the one on top last.
func mountsAt(path string) ([]Mount, error) {
	return filter(func(m *Mount) bool { return m.Path == path })
}

// topMount returns the mount that path shows, nil if path is not a mount point.
func topMount(path string) (*Mount, error) {
	all, err := mountsAt(path)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[len(all)-1], nil
}

func filter(wanted func(*Mount) bool) ([]Mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer f.Close()
	var all []Mount
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m, ok := parseMount(lines.Text()); ok && wanted(&m) {
			all = append(all, m)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return all, nil
}

// parseMount reads a line of mountinfo:
//
//	36 35 0:52 / /var/log/app rw,nosuid shared:1 - fuse.ftfuse app rw,allow_other
func parseMount(line string) (m Mount, ok bool) {
	own, super, found := strings.Cut(line, " - ")
	o, s := strings.Fields(own), strings.Fields(super)
	if !found || len(o) < 6 || len(s) < 1 {
		return m, false
	}
	_, minor, _ := strings.Cut(o[2], ":")
	n, err := strconv.ParseUint(minor, 10, 32)
	if err != nil {
		return m, false
	}
	m = Mount{Path: unescape(o[4]), Root: unescape(o[3]), FSType: unescape(s[0]), Options: strings.Split(o[5], ","), Super: strings.Split(s[len(s)-1], ","), minor: uint32(n)}
	if len(s) > 2 { // the source may be empty, and is missing then
		m.Source = unescape(s[1])
	}
	return m, true
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
