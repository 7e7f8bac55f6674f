package identify

import (
	"bytes"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// readMax bounds what is read of one proc file. A cgroup file has a line per hierarchy; what does not fit is left out.
const readMax = 32 << 10

var buffers = sync.Pool{New: func() any { return new([readMax]byte) }}

// load reads one thread. Everything of the thread is opened relative to one descriptor of its directory, which
// belongs to the thread and not to its number, so the parts cannot come from two threads. Its comm is read last:
// while it can be read, the thread group exists too, so what was read by the group's number is the group's.
func (r *Reader) load(tid uint32) (entry, bool) {
	e := entry{tid: tid, fd: -1}
	dir, err := r.open(tid)
	if err != nil {
		return e, false
	}
	defer unix.Close(dir)
	buf := buffers.Get().(*[readMax]byte)
	defer buffers.Put(buf)

	var ok bool
	if e.start, ok = startTime(slurp(dir, "stat", buf[:])); !ok {
		return e, false
	}
	if e.pid, e.fsuid, ok = groupAndUser(slurp(dir, "status", buf[:])); !ok {
		return e, false
	}
	e.unit, e.container = parseCgroup(slurp(dir, "cgroup", buf[:]))
	if n, err := unix.Readlinkat(dir, "exe", buf[:]); err == nil {
		e.exe = string(buf[:n]) // kernel threads have none; a replaced binary shows as "PATH (deleted)"
	}
	if e.pid != tid {
		e.comm = r.groupComm(e.pid, buf[:])
	}
	if e.fd, err = unix.Openat(dir, "comm", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		e.fd = -1
		return e, false
	}
	n, err := unix.Pread(e.fd, buf[:64], 0)
	if err != nil || n <= 0 {
		return e, false
	}
	e.name = bytes.Clone(buf[:n])
	if e.pid == tid {
		e.comm = trimLF(e.name)
	}
	return e, true
}

// open returns a descriptor of a thread's directory. When the process is out of descriptors, the cache gives up
// its own: an identity that is read anew each time is slow, one that is missing is wrong.
func (r *Reader) open(tid uint32) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	fd, err := unix.Open(r.path(tid), flags, 0)
	if err == unix.EMFILE || err == unix.ENFILE {
		r.Close()
		fd, err = unix.Open(r.path(tid), flags, 0)
	}
	return fd, err
}

func (r *Reader) path(tid uint32) string {
	b := make([]byte, 0, len(r.root)+11)
	b = append(append(b, r.root...), '/')
	return string(strconv.AppendUint(b, uint64(tid), 10))
}

func (r *Reader) groupComm(pid uint32, buf []byte) string {
	return trimLF(slurp(unix.AT_FDCWD, r.path(pid)+"/comm", buf))
}

// slurp reads a proc file that the kernel makes in one piece, whole lines only; nil if it cannot be read.
func slurp(dir int, name string, buf []byte) []byte {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	n, err := unix.Read(fd, buf)
	_ = unix.Close(fd)
	if err != nil || n <= 0 {
		return nil
	}
	if n == len(buf) {
		return buf[:bytes.LastIndexByte(buf, '\n')+1]
	}
	return buf[:n]
}

// trimLF takes off the newline that the kernel adds, not one that belongs to the name.
func trimLF(b []byte) string {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	return string(b)
}

// startTime returns field 22 of /proc/TID/stat (proc_pid_stat(5)). Field 2 is a name in parentheses that may hold
// anything, parentheses and spaces too, so fields are counted from the last parenthesis.
func startTime(stat []byte) (uint64, bool) {
	_, rest, ok := cutLast(stat, ')')
	if !ok {
		return 0, false
	}
	for range 20 { // the first word after the name is field 3
		if _, rest, ok = bytes.Cut(rest, []byte{' '}); !ok {
			return 0, false
		}
	}
	field, _, _ := bytes.Cut(rest, []byte{' '})
	return number(field, 64)
}

// groupAndUser returns the thread group and the file-system uid from /proc/TID/status (proc_pid_status(5)).
func groupAndUser(status []byte) (pid, fsuid uint32, ok bool) {
	tgid, ok1 := number(line(status, "\nTgid:"), 32)
	uids := bytes.Fields(line(status, "\nUid:")) // real, effective, saved, file system
	if !ok1 || tgid == 0 || len(uids) != 4 {
		return 0, 0, false
	}
	u, ok := number(uids[3], 32)
	if !ok {
		return 0, 0, false
	}
	return uint32(tgid), uint32(u), true
}

// line returns what follows key up to the end of its line. key begins with LF; the first line of status, which
// holds the name, is escaped by the kernel and cannot fake one.
func line(b []byte, key string) []byte {
	_, rest, _ := bytes.Cut(b, []byte(key))
	l, _, _ := bytes.Cut(rest, []byte{'\n'})
	return bytes.TrimSpace(l)
}

func number(b []byte, bits int) (uint64, bool) {
	n, err := strconv.ParseUint(string(b), 10, bits)
	if err != nil {
		return 0, false // ParseUint returns the largest number when out of range
	}
	return n, true
}

func cutLast(b []byte, sep byte) (before, after []byte, found bool) {
	i := bytes.LastIndexByte(b, sep)
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], true
}
