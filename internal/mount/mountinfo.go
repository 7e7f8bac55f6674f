package mount

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// seenMount is a line of mountinfo.
type seenMount struct {
	minor uint32
	fs    string
}

// topMount returns the mount that path shows, nil if path is not a mount point.
func topMount(path string) (*seenMount, error) {
	all, err := mountsAt(path)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[len(all)-1], nil
}

// mountsAt returns the mounts that lie on path, the one on top last (proc(5), /proc/PID/mountinfo).
func mountsAt(path string) ([]seenMount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []seenMount
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
				all = append(all, seenMount{uint32(n), w[i+1]})
				break
			}
		}
	}
	return all, lines.Err()
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
