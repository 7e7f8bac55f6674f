package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fd opens a file of the mount, to be closed at the end of the test.
func (r *rig) fd(name string, flags int, mode uint32) int {
	r.Helper()
	fd, err := unix.Open(r.path(name), flags|unix.O_CLOEXEC, mode)
	if err != nil {
		r.Fatalf("open %q %#x: %v", name, flags, err)
	}
	r.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func (r *rig) write(fd int, s string) {
	r.Helper()
	if n, err := unix.Write(fd, []byte(s)); err != nil || n != len(s) {
		r.Fatalf("write %q: %d, %v", s, n, err)
	}
}

func (r *rig) ok(what string, err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("%s: %v", what, err)
	}
}

func (r *rig) fails(what string, err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func (r *rig) stat(name string) unix.Stat_t {
	r.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(r.path(name), &st); err != nil {
		r.Fatalf("stat %q: %v", name, err)
	}
	return st
}

func TestAppend(t *testing.T) {
	r := newRig(t)
	r.sh(`echo one >> f; echo two >> f; printf '' >> empty`)
	r.want("content", r.read("f"), "one\ntwo\n")
	r.want("captured", r.cap.captured("f"), "one\ntwo\n")
	r.want("size", r.stat("f").Size, int64(8))
	b, err := os.ReadFile(r.below + "/f")
	r.ok("read below", err)
	r.want("the file below", string(b), "")
	if r.m.Passthrough() != nil {
		t.Log("no passthrough here: ", r.m.Passthrough())
		return
	}
	r.want("open captures", r.opens("open", whyAppend), 3)
	r.want("writer", r.cap.writer("f").Comm, "bash")
	r.want("writes seen by the daemon", r.m.Stats().Writes, uint64(0))
}

func TestWriteCapture(t *testing.T) {
	r := newRig(t, func(o *Options) { o.NoPassthrough = true })
	r.sh(`echo one >> f; echo two >> f; echo three > g; echo 4 > g`)
	r.want("f", r.read("f"), "one\ntwo\n")
	r.want("g", r.read("g"), "4\n")
	r.want("captured", r.cap.captured("g"), "three\n4\n")
	r.want("opens", r.opens("write", whyKernel+errSwitchedOff.Error()), 2)
	r.want("opens", r.opens("write", whyFlags), 2)
	r.want("writer", r.cap.writer("g").Comm, "bash")
}

func TestOffsets(t *testing.T) {
	r := newRig(t)
	fd := r.fd("f", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o640)
	r.write(fd, "hello world")
	_, err := unix.Pwrite(fd, []byte("J"), 0)
	r.ok("pwrite", err)
	end, err := unix.Seek(fd, 0, unix.SEEK_END)
	r.ok("lseek", err)
	r.want("end", end, int64(11))
	buf := make([]byte, 20)
	n, err := unix.Pread(fd, buf, 0)
	r.ok("pread", err)
	r.want("content", string(buf[:n]), "Jello world")
	n, err = unix.Pread(fd, buf, 100)
	r.want("past the end", fmt.Sprint(n, err), "0 <nil>")
	_, err = unix.Open(r.path("f"), unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600)
	r.fails("O_EXCL", err, unix.EEXIST)
	r.want("mode", r.stat("f").Mode, uint32(unix.S_IFREG|0o640))
}

func TestTruncate(t *testing.T) {
	r := newRig(t)
	fd := r.fd("f", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o644)
	r.write(fd, "first\n")
	r.ok("ftruncate", unix.Ftruncate(fd, 0))
	r.want("size", r.stat("f").Size, int64(0))
	r.write(fd, "second\n")
	r.want("content", r.read("f"), "second\n")
	r.fd("f", unix.O_WRONLY|unix.O_APPEND|unix.O_TRUNC, 0)
	r.want("size after O_TRUNC", r.stat("f").Size, int64(0))
	r.ok("truncate", unix.Truncate(r.path("f"), 3))
	r.want("grown", r.read("f"), "\x00\x00\x00")
	r.want("captured", r.cap.captured("f"), "first\nsecond\n")
}

func TestSameInode(t *testing.T) {
	r := newRig(t)
	fd := r.fd("f", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o644)
	var a, b unix.Stat_t
	r.ok("fstat", unix.Fstat(fd, &a))
	for range 3 {
		b = r.stat("f")
		r.want("st_ino", b.Ino, a.Ino)
		r.want("st_dev", b.Dev, a.Dev)
	}
	var below unix.Stat_t
	r.ok("stat below", unix.Stat(r.below+"/f", &below))
	r.want("st_ino below", below.Ino, a.Ino)
	r.want("readdir", r.sh(`ls -i | sed 's/ .*//'`), fmt.Sprintln(a.Ino))
	r.want("links", a.Nlink, uint64(1))
}

func TestRename(t *testing.T) {
	r := newRig(t)
	r.sh(`mkdir -p d/e; echo a > a; echo b > b; echo deep > d/e/x`)
	fd := r.fd("a", unix.O_WRONLY|unix.O_APPEND, 0)
	r.ok("over an existing name", unix.Rename(r.path("a"), r.path("b")))
	r.write(fd, "more\n")
	r.want("moved", r.read("b"), "a\nmore\n")
	r.want("written by the open handle", r.cap.captured("a"), "a\nmore\n")
	r.ok("across directories", unix.Rename(r.path("b"), r.path("d/e/c")))
	r.ok("a directory", unix.Rename(r.path("d/e"), r.path("f")))
	r.want("below a moved directory", r.read("f/x")+r.read("f/c"), "deep\na\nmore\n")
	var st, named unix.Stat_t
	r.ok("fstat after renames", unix.Fstat(fd, &st))
	named = r.stat("f/c")
	r.want("same file", named.Ino, st.Ino)

	err := unix.Renameat2(unix.AT_FDCWD, r.path("f/c"), unix.AT_FDCWD, r.path("f/x"), unix.RENAME_NOREPLACE)
	r.fails("RENAME_NOREPLACE", err, unix.EEXIST)
	r.ok("RENAME_EXCHANGE", unix.Renameat2(unix.AT_FDCWD, r.path("f/c"), unix.AT_FDCWD, r.path("f/x"), unix.RENAME_EXCHANGE))
	r.want("exchanged", r.read("f/c")+r.read("f/x"), "deep\na\nmore\n")
	err = unix.Renameat2(unix.AT_FDCWD, r.path("f/c"), unix.AT_FDCWD, r.path("f/y"), unix.RENAME_WHITEOUT)
	r.fails("RENAME_WHITEOUT", err, unix.EINVAL)
	r.fails("no such file", unix.Rename(r.path("nothing"), r.path("z")), unix.ENOENT)
	r.becomes("file paths", r.cap.paths, "f/c f/x")
}

// What is looked at while it gets another name is what it was, and where it is now.
func TestStatWhileRenamed(t *testing.T) {
	r := newRig(t)
	r.sh(`mkdir d; echo text > a; echo text > a.stored`)
	for _, name := range []string{"a", "a.stored"} {
		fd := r.fd(name, unix.O_RDWR|unix.O_APPEND, 0)
		other, done := r.path("d/"+name), make(chan error)
		go func() {
			var err error
			for from, to := r.path(name), other; err == nil; from, to = to, from {
				select {
				case done <- nil:
					return
				default:
					err = unix.Rename(from, to)
				}
			}
			done <- err
		}()
		for range 300 {
			var st unix.Statx_t
			r.ok("look", unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_ALL, &st))
			r.want("size and links", fmt.Sprint(st.Size, st.Nlink), "5 1")
		}
		r.ok("rename", <-done)
	}
}

func TestUnlinkOpen(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"f", "write", "f.stored"} {
		fd := r.fd(name, unix.O_RDWR|unix.O_CREAT|unix.O_APPEND, 0o600)
		app := r.fd(name, unix.O_WRONLY|unix.O_APPEND, 0)
		r.write(app, "before ")
		r.ok("unlink", unix.Unlink(r.path(name)))
		r.write(app, "after")
		buf := make([]byte, 100)
		n, err := unix.Pread(fd, buf, 0)
		r.ok("read", err)
		r.want(name, string(buf[:n]), "before after")
		var st unix.Stat_t
		r.ok("fstat", unix.Fstat(fd, &st))
		r.want("size and links", fmt.Sprint(st.Size, st.Nlink), "12 0")
		r.ok("fchmod", unix.Fchmod(app, 0o600))
		r.ok("ftruncate", unix.Ftruncate(app, 0))
		r.fails("gone", unix.Access(r.path(name), 0), unix.ENOENT)
		r.sh("echo new > " + name)
		r.want("a new file", r.read(name), "new\n")
	}
}

// The last name goes between a caller's lookup and its open: for the caller it goes after the open.
func TestUnlinkBeforeOpen(t *testing.T) {
	r := newRig(t)
	for _, flags := range []int{unix.O_WRONLY | unix.O_APPEND, unix.O_RDWR | unix.O_TRUNC} {
		r.sh(`echo old >> f`)
		looked := r.fd("f", unix.O_PATH, 0)
		r.sh(`rm f; echo another >> f`)
		fd, err := unix.Open(procFd(looked), flags|unix.O_CLOEXEC, 0)
		r.ok("open", err)
		r.write(fd, "late\n")
		var st unix.Stat_t
		r.ok("fstat", unix.Fstat(fd, &st))
		want := int64(9)
		if flags&unix.O_TRUNC != 0 {
			want = 5
		}
		r.want("size and links", fmt.Sprint(st.Size, st.Nlink), fmt.Sprint(want, 0))
		r.ok("close", unix.Close(fd))
		r.want("the new file", r.read("f"), "another\n")
		r.sh(`rm f`)
	}
}

func TestLinks(t *testing.T) {
	r := newRig(t)
	r.sh(`echo one >> f; ln f g; echo two >> g; ln -s f s; mkdir d; ln -s ../f d/up; ln -s /etc/hostname out`)
	r.want("both names", r.read("f")+r.read("g"), "one\ntwo\none\ntwo\n")
	r.want("same", r.sh(`[ f -ef g ] && stat -c %h f`), "2\n")
	r.want("through a symbolic link", r.read("d/up"), "one\ntwo\n")
	r.want("readlink", r.sh(`readlink s`), "f\n")
	r.want("out of the mount", r.sh(`cat out`), r.sh(`cat /etc/hostname`))
	r.sh(`rm f; echo three >> g`)
	r.want("the other name", r.read("g"), "one\ntwo\nthree\n")
	r.want("links", r.stat("g").Nlink, uint64(1))
	r.fails("dangling", unix.Access(r.path("s"), 0), unix.ENOENT)
	r.fails("a link to a link's own name", os.Symlink("x", r.path("s")), unix.EEXIST)
}

func TestDirectories(t *testing.T) {
	r := newRig(t)
	r.sh(`mkdir -p a/b/c; touch a/b/f; mkdir -m 2775 g; chgrp 12 g`)
	r.fails("rmdir of a full one", unix.Rmdir(r.path("a/b")), unix.ENOTEMPTY)
	r.fails("rmdir of a file", unix.Rmdir(r.path("a/b/f")), unix.ENOTDIR)
	r.fails("unlink of a directory", unix.Unlink(r.path("a")), unix.EISDIR)
	r.fails("mkdir twice", unix.Mkdir(r.path("a"), 0o755), unix.EEXIST)
	r.sh(`touch g/f; mkdir g/d`)
	r.want("set-group-id", r.sh(`stat -c '%g %a' g/f g/d`), "12 644\n12 2755\n")
	r.sh(`cd a/b/c; rmdir ../c; ! touch x 2>/dev/null`)
	r.sh(`for i in $(seq 1000); do echo > a/some-longer-name-to-fill-the-buffer-$i; done`)
	r.want("all of many", r.sh(`ls a | wc -l; find a -name 'some*' | sort -u | wc -l`), "1001\n1000\n")
	r.sh(`rm -rf a g`)
	r.want("empty", r.sh(`ls -A`), "")
	// Deeper than PATH_MAX: 30 names of 200 bytes.
	r.sh(`n=$(printf 'd%.0s' $(seq 200)); (for i in $(seq 30); do mkdir $n; cd -P $n; done; echo deep >> f; cat f) && rm -rf $n`)
}

func TestAttributes(t *testing.T) {
	r := newRig(t)
	r.sh(`umask 027; echo x > f; chmod 4711 f; chown 12:34 f; touch -d '2001-02-03 04:05:06.789 UTC' f`)
	r.want("mode, owner, time", r.sh(`TZ=UTC stat -c '%a %u %g %y' f`), "711 12 34 2001-02-03 04:05:06.789000000 +0000\n")
	fd := r.fd("late", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
	r.write(fd, "not seen by the daemon yet")
	r.ok("futimens", unix.Futimes(fd, []unix.Timeval{{Sec: 5}, {Sec: 6}}))
	r.want("a time set by hand", r.stat("late").Mtim.Sec, int64(6))
	start := time.Now().Add(-time.Second)
	r.sh(`echo y >> f`)
	if st := r.stat("f"); time.Unix(st.Mtim.Unix()).Before(start) {
		t.Errorf("mtime after a write: got %v", time.Unix(st.Mtim.Unix()))
	}
	r.want("blocks", r.stat("f").Blocks, int64(1))
	r.sh(`touch -a -d @1000 f`)
	st := r.stat("f")
	r.want("atime", st.Atim.Sec, int64(1000))
	r.sh(`umask 077; touch private; umask 0; touch open`)
	r.want("umask", r.sh(`stat -c %a private open`), "600\n666\n")
}

func TestOwnerIsCaller(t *testing.T) {
	r := newRig(t)
	r.sh(`chmod 777 .`)
	r.sh(`setpriv --reuid 12 --regid 34 --clear-groups bash -c 'echo x > f; mkdir d; ln -s f s; mkfifo p'`)
	r.want("owners", r.sh(`stat -c '%u:%g' f d s p`), "12:34\n12:34\n12:34\n12:34\n")
	r.sh(`chmod 600 f`)
	r.want("refused", r.sh(`setpriv --reuid 13 --regid 35 --clear-groups bash -c 'cat f' 2>&1 || true`), "cat: f: Permission denied\n")
	r.want("refused", r.sh(`setpriv --reuid 13 --regid 35 --clear-groups bash -c 'echo >> f' 2>&1 || true`), "bash: line 1: f: Permission denied\n")
	r.sh(`chmod +t .`)
	r.want("sticky", r.sh(`setpriv --reuid 13 --regid 35 --clear-groups rm -f f 2>&1 || true`), "rm: cannot remove 'f': Operation not permitted\n")
	r.want("writer", r.cap.writer("f").UID, uint32(12))
}

func TestShownOwner(t *testing.T) {
	u, g, m := uint32(7), uint32(8), uint32(0o027)
	r := newRig(t, func(o *Options) { o.UID, o.GID, o.Umask = &u, &g, &m })
	r.sh(`mkdir d; echo > f; touch x; chmod 700 x`)
	r.want("shown", r.sh(`stat -c '%u:%g %a' . d f x`), "7:8 750\n7:8 750\n7:8 640\n7:8 740\n")
	var st unix.Stat_t
	r.ok("stat below", unix.Stat(r.below+"/f", &st))
	r.want("kept", fmt.Sprintf("%d %o", st.Uid, st.Mode&0o777), "0 644")
}

func TestSpecialFiles(t *testing.T) {
	r := newRig(t)
	r.sh(`mkfifo p; (echo through > p &); cat p; /usr/bin/python3 -c "import socket;s=socket.socket(socket.AF_UNIX);s.bind('s')"`)
	r.want("types", r.sh(`stat -c %F p s`), "fifo\nsocket\n")
	r.fails("a device", unix.Mknod(r.path("dev"), unix.S_IFCHR|0o600, 259), unix.EPERM)
	r.ok("mknod of a file", unix.Mknod(r.path("n"), unix.S_IFREG|0o600, 0))
	r.sh(`echo x >> n; chmod 640 p; rm p s`)
	r.want("n", r.read("n"), "x\n")
	_, err := unix.Getxattr(r.path("n"), "user.x", make([]byte, 10))
	r.fails("xattr", err, unix.EOPNOTSUPP)
	var st unix.Statfs_t
	r.ok("statfs", unix.Statfs(r.dir, &st))
	if st.Blocks == 0 || st.Namelen == 0 {
		t.Errorf("statfs: %+v", st)
	}
	r.want("df", r.sh(`df . | wc -l`), "2\n")
}

func TestNames(t *testing.T) {
	r := newRig(t)
	var all []byte
	for c := 1; c < 256; c++ {
		if c != '/' {
			all = append(all, byte(c))
		}
	}
	for _, name := range []string{string(all[:127]), string(all[127:]), "\n", " ", "\xff\xfe", strings.Repeat("n", 255), "-", "a\\b", "..."} {
		fd := r.fd(name, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT, 0o600)
		r.write(fd, name)
		r.want("content", r.read(name), name)
		r.want("captured", r.cap.captured(name), name)
	}
	_, err := unix.Open(r.path(strings.Repeat("n", 256)), unix.O_CREAT|unix.O_RDWR, 0o600)
	r.fails("too long", err, unix.ENAMETOOLONG)
	r.want("names", r.sh(`find . -type f -print0 | tr -cd '\0' | wc -c`), "9\n")
}

func TestSyncAndAllocate(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"f", "write", "f.stored"} {
		fd := r.fd(name, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
		r.write(fd, "text")
		r.ok("fsync", unix.Fsync(fd))
		r.ok("fdatasync", unix.Fdatasync(fd))
		if strings.HasSuffix(name, ".stored") {
			continue
		}
		r.ok("fallocate", unix.Fallocate(fd, 0, 0, 100))
		r.fails("punch", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1), unix.EOPNOTSUPP)
		r.want("content", r.read(name), "text")
		r.want("size", r.stat(name).Size, int64(4))
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		r.fails("ioctl", err, unix.ENOTTY)
	}
	d := r.fd(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	r.ok("fsync of the directory", unix.Fsync(d))
	fd := r.fd("write-sync", unix.O_WRONLY|unix.O_CREAT|unix.O_SYNC, 0o600)
	r.write(fd, "sync")
	r.want("O_SYNC seen", r.cap.captured("write-sync"), "SYNC")
}

func TestDirectIO(t *testing.T) {
	r := newRig(t)
	fd := r.fd("f", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_DIRECT, 0o600)
	r.write(fd, "odd size")
	r.want("content", r.read("f"), "odd size")
	r.want("opens", r.opens("write", whyDirect), 1)
	r.sh(`dd if=/dev/zero of=g oflag=append,direct conv=notrunc bs=4096 count=3 status=none; dd if=g iflag=direct bs=4096 status=none | wc -c`)
	r.want("size", r.stat("g").Size, int64(12288))
}

// Maps are another process's: a fault is no call that the runtime knows to wait, and the answer would have to come from this one.
func TestMaps(t *testing.T) {
	r := newRig(t)
	r.sh(`echo text > f; echo text > f.stored; chmod +x f.stored
/usr/bin/python3 - <<'E'
import errno, mmap
for name in "f", "f.stored":
    with open(name, "r+b") as f:
        m = mmap.mmap(f.fileno(), 5, mmap.MAP_PRIVATE, mmap.PROT_READ)
        assert m[:4] == b"text", (name, m[:4])
        try:
            m = mmap.mmap(f.fileno(), 5, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            assert name == "f.stored", "a shared map of a captured file"
            m[:4] = b"TEXT"
        except OSError as e:
            assert name == "f" and e.errno == errno.ENODEV, (name, e)
E`)
	r.want("written through the map", r.read("f.stored"), "TEXT\n")
	r.sh(`printf '#!/bin/sh\necho ran\n' > run.stored; chmod +x run.stored`)
	r.want("run", r.sh(`./run.stored`), "ran\n")
}

func TestLargeWrites(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"f", "write"} {
		r.sh(`head -c 5000000 /dev/urandom > ../ref; cat ../ref > ` + name + `; cmp ../ref ` + name + `; cat ../ref >> ` + name + `; dd if=../ref of=` + name + `2 bs=3M status=none; cmp ../ref ` + name + `2`)
		r.want("size", r.stat(name).Size, int64(10_000_000))
	}
	_ = os.Remove(filepath.Join(r.dir, "../ref"))
}

func TestErrors(t *testing.T) {
	r := newRig(t)
	fd := r.fd("write", unix.O_RDWR|unix.O_CREAT, 0o600)
	_, err := unix.Write(fd, []byte("FULL"))
	r.fails("queue full", err, unix.ENOSPC)
	r.write(fd, "GONE")
	_, err = unix.Pread(fd, make([]byte, 10), 0)
	r.fails("outside the readback window", err, unix.EIO)
	_, err = unix.Open(r.path("write-refused"), unix.O_WRONLY|unix.O_CREAT, 0o600)
	r.fails("no log", err, unix.ENOSPC)
	ro := r.fd("write", unix.O_RDONLY, 0)
	_, err = unix.Write(ro, []byte("x"))
	r.fails("write to a reader", err, unix.EBADF)
	r.sh(`echo x >> nospool`)
	r.want("without a spool", r.read("nospool"), "x\n")
	if r.m.Passthrough() == nil {
		r.want("counted", r.opens("write", whySpool), 1)
	}
}

func TestPanic(t *testing.T) {
	r := newRig(t)
	fd := r.fd("write", unix.O_RDWR|unix.O_CREAT, 0o600)
	_, err := unix.Write(fd, []byte("PANIC"))
	r.fails("panic", err, unix.EIO)
	r.write(fd, "goes on")
	r.want("counted", r.m.Stats().Panics, uint64(1))
	if !strings.Contains(r.logs.String(), "asked for by a test") {
		t.Errorf("not logged: %s", r.logs)
	}
	r.logs.Reset()
}
