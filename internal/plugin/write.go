package plugin

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// What the child has read is looked at after each write, and while it has something unread and nothing is written, at
// intervals that grow from lookFirst to lookLast. When it has had nothing to read for quietAfter, it has finished what it read.
const (
	lookFirst  = 5 * time.Millisecond
	lookLast   = 250 * time.Millisecond
	quietAfter = time.Second
)

var errStdinClosed = errors.New("it closed its standard input")

// write writes the pieces to the child's standard input. It returns nil when the feeder has ended, os.ErrDeadlineExceeded
// when it was told to stop, or errStdinClosed.
func (l *life) write() error {
	look := time.NewTimer(0)
	defer look.Stop()
	pause := lookFirst
	for {
		select {
		case p, more := <-l.out.pieces:
			if !more {
				return nil
			}
			if err := l.put(p); err != nil {
				return err
			}
			l.out.free <- p // there is always room: it came from there
			pause = lookFirst
			look.Reset(pause)
		case <-look.C:
			switch l.look(); {
			case l.unread > 0:
				pause = min(2*pause, lookLast)
			case l.settled():
				continue
			case pause == quietAfter: // since the last look
				l.track.rested()
				continue
			default:
				pause = quietAfter
			}
			look.Reset(pause)
		}
	}
}

// look finds out how much of what was written is unread.
func (l *life) look() {
	n, err := unread(l.child.stdin)
	if l.unread = n; err == nil && !l.p.o.Ack {
		l.track.left(n)
	}
}

// settled says whether nothing was written since the child rested.
func (l *life) settled() bool {
	written, _, quiet := l.track.progress()
	return quiet == written
}

// put writes one piece. The pipe takes as much as it has room for; the runtime waits for more, until the deadline.
func (l *life) put(p []byte) error {
	raw, err := l.child.stdin.SyscallConn()
	if err != nil {
		return fmt.Errorf("write to its standard input: %w", err)
	}
	for len(p) > 0 {
		n, failed := 0, error(nil)
		err := raw.Write(func(fd uintptr) bool {
			n, failed = unix.Write(int(fd), p)
			return failed != unix.EAGAIN
		})
		switch {
		case err != nil:
			return fmt.Errorf("write to its standard input: %w", err)
		case failed == unix.EPIPE:
			return errStdinClosed
		case failed != nil && failed != unix.EINTR:
			return fmt.Errorf("write to its standard input: %w", failed)
		}
		if failed == nil {
			l.track.wrote(n)
			l.p.stats.bytes.Add(uint64(n))
			p = p[n:]
			if !l.p.o.Ack {
				l.look()
			}
		}
	}
	return nil
}
