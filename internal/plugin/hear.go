package plugin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// maxLine is the most of a line that one entry of the journal has, in bytes, as journald's own streams have it
// (journald.conf(5), LineMax=).
const maxLine = 48 << 10

// listen starts the readers of what the child says. They end when all who have its output have closed it.
func (l *life) listen() {
	c := l.child
	l.heard.Go(func() {
		l.lines(c.stderr, warningPriority, &l.p.stats.errLines)
	})
	if c.acks != nil {
		l.heard.Go(l.hearAcks)
	}
	switch l.p.o.Stdout {
	case Journal:
		l.heard.Go(func() { l.lines(c.stdout, infoPriority, &l.p.stats.outLines) })
	case File:
		l.heard.Go(func() { l.pass(c.stdout, l.p.file.write) })
	case Records:
		l.heard.Go(func() { l.pass(c.stdout, l.records) })
	}
	go func() { // ends with them, and live waits for silent
		l.heard.Wait()
		close(l.silent)
	}()
}

// lines gives the journal every line of r, long ones in pieces.
func (l *life) lines(r io.Reader, priority byte, count *atomic.Uint64) {
	b := bufio.NewReaderSize(r, maxLine)
	begins, now := true, priority
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 0 {
			if begins {
				now, line = prefixed(line, priority)
			}
			begins = err == nil
			if line = bytes.TrimSuffix(line, lineEnd); len(line) > 0 {
				if l.p.voice.say(l.child.pid, now, line) {
					count.Add(1)
				}
			}
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// prefixed takes a priority off the beginning of a line, as in <4>text (sd-daemon(3)).
func prefixed(line []byte, priority byte) (byte, []byte) {
	if len(line) >= 3 && line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>' {
		return line[1], line[3:]
	}
	return priority, line
}

// pass gives f whole lines of r, as many at a time as there are, and at last what has no end. What f fails with it gets again,
// until the child's end has to be waited for no longer.
func (l *life) pass(r io.Reader, f func(lines []byte) (int, error)) {
	buf := make([]byte, 0, 64<<10)
	for {
		if len(buf) == cap(buf) {
			if cap(buf) >= record.MaxChunk {
				l.deliver(buf, f)
				buf = buf[:0]
			} else {
				buf = append(make([]byte, 0, 2*cap(buf)), buf...)
			}
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			l.deliver(buf, f)
			return
		}
		if end := bytes.LastIndexByte(buf, '\n') + 1; end > 0 {
			l.deliver(buf[:end], f)
			buf = append(buf[:0], buf[end:]...)
		}
	}
}

// deliver calls f until it has taken all of lines.
func (l *life) deliver(lines []byte, f func([]byte) (int, error)) {
	if len(lines) == 0 {
		return
	}
	for told := false; ; told = true {
		n, err := f(lines)
		l.p.stats.outBytes.Add(uint64(n))
		if lines = lines[n:]; err == nil {
			return
		}
		l.p.stats.failed(err)
		if !told {
			l.p.log.Warn("plugin: its output is not taken, trying again", "error", err)
		}
		if !wait(l.hearing, time.Second) {
			l.p.stats.dropped.Add(1)
			return
		}
	}
}

func (l *life) records(lines []byte) (int, error) {
	if err := l.p.o.Records(l.hearing, lines); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// outFile is where standard output is appended. One goroutine uses it at a time.
type outFile struct {
	name string
	f    *os.File
	torn bool // what was written last does not end a line
}

// write appends p. The name is looked up anew where a line begins, for those who rename the file.
func (o *outFile) write(p []byte) (int, error) {
	if !o.torn {
		o.look()
	}
	if o.f == nil {
		if err := o.open(); err != nil {
			return 0, err
		}
	}
	n, err := o.f.Write(p)
	if n > 0 {
		o.torn = p[n-1] != '\n'
	}
	return n, err
}

// open opens the file, and makes it if need be. Its mode does not depend on this process's mask.
func (o *outFile) open() error {
	flags := unix.O_WRONLY | unix.O_APPEND | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK // a FIFO holds nobody up
	fd, err := unix.Open(o.name, flags, 0)
	if err == unix.ENOENT {
		if fd, err = unix.Open(o.name, flags|unix.O_CREAT|unix.O_EXCL, 0o640); err == nil {
			_ = unix.Fchmod(fd, 0o640)
		}
	}
	if err != nil {
		return fmt.Errorf("open %s for standard output: %w", o.name, err)
	}
	o.f = os.NewFile(uintptr(fd), o.name)
	return nil
}

// look closes the file when its name leads elsewhere.
func (o *outFile) look() {
	if o.f == nil {
		return
	}
	now, err := os.Lstat(o.name)
	was, werr := o.f.Stat()
	if err == nil && werr == nil && os.SameFile(now, was) || err != nil && !errors.Is(err, os.ErrNotExist) {
		return
	}
	o.close()
}

func (o *outFile) close() {
	if o != nil && o.f != nil {
		_ = o.f.Close()
		o.f, o.torn = nil, false
	}
}
