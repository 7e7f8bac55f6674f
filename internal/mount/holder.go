package mount

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// endedPoll is how often a waiter looks whether the process that holds its lock has ended.
const endedPoll = 100 * time.Millisecond

// born returns the start time of process pid in clock ticks since boot, 0 when it has ended or cannot be seen
// (proc(5), /proc/PID/stat: the state is the first field after the name, the start time the 20th).
func born(pid uint32) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return 0
	}
	if f[0][0] == 'Z' || f[0][0] == 'X' {
		// A main thread that ended before its siblings looks like a process that ended.
		if threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)); err != nil || len(threads) < 2 {
			return 0
		}
	}
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return 0
	}
	return start
}

// ended reports whether the process that took l is known to have ended.
func (l *lock) ended() bool { return l.born != 0 && born(l.pid) != l.born }

// ofdCall reports whether thread tid waits in fcntl(2) with F_OFD_SETLK or F_OFD_SETLKW. The FUSE request does
// not tell, but such a lock belongs to the open file and outlives the process, while the other kind does not.
// The source is /proc/TID/syscall, which shows number and arguments of the call a thread is blocked in.
func ofdCall(tid uint32) bool {
	for range 3 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", tid))
		if err != nil {
			return false
		}
		f := strings.Fields(string(b))
		if len(f) > 3 {
			return f[0] == fmt.Sprint(unix.SYS_FCNTL) &&
				(f[2] == fmt.Sprintf("%#x", unix.F_OFD_SETLK) || f[2] == fmt.Sprintf("%#x", unix.F_OFD_SETLKW))
		}
		runtime.Gosched() // "running": it has sent the request and not gone to sleep yet
	}
	return false
}
