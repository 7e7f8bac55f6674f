package mount

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// permit checks an open of a file that appeared between the kernel's lookup, which found nothing, and its CREATE:
// the one open whose permission the kernel has not checked.
func (m *Mount) permit(st *unix.Statx_t, who fuse.Caller, flags uint32) error {
	if !isRegular(st) {
		return unix.EEXIST
	}
	if who.Uid == 0 {
		return nil
	}
	var a fuse.Attr
	m.fill(&a, st, nil)
	need := [...]uint32{unix.O_RDONLY: 4, unix.O_WRONLY: 2, unix.O_RDWR: 6}[min(flags&unix.O_ACCMODE, 2)]
	if flags&unix.O_TRUNC != 0 {
		need |= 2
	}
	have := a.Mode
	switch {
	case who.Uid == a.Uid:
		have >>= 6
	case who.Gid == a.Gid || inGroup(who.Pid, a.Gid):
		have >>= 3
	}
	if have&need != need {
		return unix.EACCES
	}
	return nil
}

// inGroup reports whether thread tid has gid among its supplementary groups (proc(5), /proc/PID/status).
func inGroup(tid, gid uint32) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(b, []byte("\nGroups:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	for _, g := range bytes.Fields(line) {
		if string(g) == strconv.FormatUint(uint64(gid), 10) {
			return true
		}
	}
	return false
}
