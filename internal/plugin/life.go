package plugin

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// end says how a life ended.
type end struct {
	status    string // for people
	pid       int
	unread    int64 // bytes that were in its pipe
	uncertain int64 // bytes that it had read and may not have finished
}

// life is one child with everything that is done for it. live waits for all of its goroutines.
type life struct {
	p     *Plugin
	child *child
	track *tracker
	out   *text

	over context.Context // ends when nobody writes any more
	end  context.CancelFunc

	heard   sync.WaitGroup  // the readers of what the child says
	hearing context.Context // ends when what it said and nobody took is given up
	deaf    context.CancelFunc
	silent  chan struct{} // closed when they have ended
	fault   chan error    // one: the child broke the rules of acknowledgement

	unread int64 // bytes in the pipe when the writer looked; it alone uses it
}

// killAfter is the time between SIGTERM and SIGKILL, and that which what is left of its group has to go.
const killAfter = time.Second

// live runs one child to its end. It returns an error when the backlog gives nothing any more.
func (p *Plugin) live(ctx context.Context) (end, error) {
	c, err := newChild(&p.o)
	if err != nil {
		return end{status: err.Error()}, nil
	}
	defer c.close()
	go c.watch(&p.o) // ends with reaped, which every way out of here waits for
	p.stats.starts.Add(1)
	if err := <-c.started; err != nil {
		<-c.reaped
		p.stats.ended(err.Error())
		return end{status: err.Error()}, nil
	}
	l := &life{p: p, child: c, track: newTracker(p.o.Backlog, p.o.Ack), silent: make(chan struct{}), fault: make(chan error, 1)}
	l.over, l.end = context.WithCancel(context.Background())
	defer l.end()
	l.hearing, l.deaf = context.WithCancel(context.Background())
	defer l.deaf()
	l.out = newText(&p.o, l.track, l.over)
	p.mu.Lock()
	p.track = l.track
	p.mu.Unlock()
	p.stats.pid.Store(int64(c.pid)) // after it: what Stats says of this process is not what the one before was given
	p.stats.state.Store(int32(Running))
	e, err := l.run(ctx)
	p.stats.pid.Store(0)
	p.stats.ended(e.status)
	return e, err
}

func (l *life) run(ctx context.Context) (end, error) {
	l.listen()
	giving, stop := context.WithCancel(ctx)
	defer stop()
	feed := newFeeder(l.p, l.track, l.out)
	fed, written := make(chan error, 1), make(chan error, 1)
	go func() { fed <- feed.run(giving) }()
	go func() { written <- l.write() }()

	var wrote, fault error
	busy, asked := true, false
	grace := l.p.o.StopTimeout
	select {
	case <-ctx.Done():
		asked = true
		_ = l.child.stdin.SetWriteDeadline(time.Now().Add(grace))
		began := time.Now()
		select {
		case wrote = <-written:
			busy = false
		case <-l.child.exited:
		}
		grace -= min(time.Since(began), grace)
	case wrote = <-written: // the backlog ended, or the child has closed its standard input
		busy = false
		asked = wrote == nil
	case <-l.child.exited:
		grace = 0
	case fault = <-l.fault:
		grace = 0
	}
	stop()
	_ = l.child.stdin.SetWriteDeadline(time.Unix(1, 0))
	if busy {
		wrote = <-written
	}
	l.end()
	ended := <-fed
	e := l.finish(grace, asked, errors.Join(fault, notClosed(wrote)))
	if feed.resume.known {
		l.p.back = feed.resume
	} else if back, again := l.track.stop(); back.known {
		l.p.back = back
		l.p.stats.again.Add(uint64(again))
	} else {
		l.p.back = resume{}
	}
	return e, ended
}

// notClosed is err unless it says what is said by the child's end, too.
func notClosed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// finish closes the child's input, gives it grace to end, makes it, and takes stock.
func (l *life) finish(grace time.Duration, asked bool, fault error) end {
	c := l.child
	rest := reader(c.stdin)
	_ = c.stdin.Close()
	l.close(grace)
	<-l.silent
	close(c.reap)
	<-c.reaped
	e := end{pid: c.pid, status: describe(c.status)}
	if fault != nil {
		e.status += ": " + fault.Error()
	}
	if rest != nil {
		e.unread, _ = unread(rest)
		_ = rest.Close()
	}
	l.track.left(e.unread)
	_, taken, quiet := l.track.progress()
	if !l.p.o.Ack && !(asked && c.status == 0) {
		e.uncertain = min(taken-quiet, maxBatch)
		l.p.stats.uncertain.Add(uint64(e.uncertain))
	}
	return e
}

// close waits for the end of the child and of what it has said, and brings both about.
func (l *life) close(grace time.Duration) {
	c := l.child
	select {
	case <-c.exited: // by itself, or it is quick
		if grace > 0 {
			break
		}
		c.signal(unix.SIGKILL)
		grace = l.p.o.StopTimeout
	default:
	}
	if !l.gone(grace) {
		c.signal(unix.SIGTERM)
		if !l.gone(killAfter) {
			c.signal(unix.SIGKILL)
		}
	}
	<-c.exited // a process that cannot even be killed holds us up until the service manager's own time is up
	c.signal(unix.SIGKILL)
	if l.gone(killAfter) {
		return
	}
	l.deaf() // somebody has left the group and holds the output, or nobody takes it
	for _, f := range []*os.File{c.stdout, c.stderr, c.acks} {
		if f != nil {
			_ = f.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// gone waits for the end of the child and of everybody who has its output, at most d.
func (l *life) gone(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for _, c := range []chan struct{}{l.child.exited, l.silent} {
		select {
		case <-c:
		case <-t.C:
			return false
		}
	}
	return true
}

// reader opens the other end of a pipe that we write to, by which the kernel tells what was left unread after the last
// writer has closed. Nil where /proc does not have it: all counts as read then.
func reader(w *os.File) *os.File {
	raw, err := w.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	_ = raw.Control(func(n uintptr) {
		fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(int(n)), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if fd < 0 || err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "rest of a pipe")
}
