package mount

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// turns lets readers end without the mount. A reader that waits in read(2) cannot be called back. Where the kernel can
// send a request again that is harmless: it ends with the process, or leaves what it reads to the next one.
// Elsewhere readers wait in poll(2), and read only when they will answer.
type turns struct {
	halt   atomic.Bool // what is read from now on is for the next process
	silent atomic.Bool // as is what was read before
	poll   bool        // the kernel cannot send a request again
	stop   int         // an eventfd that ends poll(2); with poll only
}

// await returns false when the reader is to end, else when there may be something to read.
func (t *turns) await(fd int) bool {
	if !t.poll {
		return true
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(t.stop), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if err != unix.EINTR {
			return err == nil && fds[1].Revents == 0
		}
	}
}

// prepare makes the eventfd, and reading not wait, where the kernel cannot send a request again.
func (t *turns) prepare(fd int, resend bool) error {
	t.stop, t.poll = -1, !resend
	if resend {
		return nil
	}
	var err error
	if t.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("make an eventfd: %w", err)
	}
	return unix.SetNonblock(fd, true)
}

func (t *turns) close() {
	if t.stop >= 0 {
		_ = unix.Close(t.stop)
	}
}

// Opcodes of what the kernel says once and wants no answer to.
const (
	opForget      = 2
	opBatchForget = 42
)

// turn serves what was read, unless it is for the next process, and reports whether the reader goes on.
func (r *reader) turn(b []byte) bool {
	r.busy.Store(true)
	in := (*fuse.InHeader)(unsafe.Pointer(&b[0]))
	said := in.Opcode == opForget || in.Opcode == opBatchForget
	if r.turns.halt.Load() && !r.turns.poll && (!said || r.turns.silent.Load()) {
		r.busy.Store(false)
		return false
	}
	if r.first && !said && in.Opcode != opInterrupt && in.Unique&resendBit == 0 {
		// The kernel puts what it sends again before what is new: all of it is done.
		r.first = false
		r.settled()
	}
	at("read", in.Opcode)
	r.pulse.Begin()
	r.handle(b)
	r.pulse.End()
	r.busy.Store(false)
	return true
}

// quiesce ends the work on a connection that the next process goes on with. What was read is answered, or will be sent
// again. It takes at most limit and a second.
func (s *server) quiesce(limit time.Duration, ended <-chan struct{}) {
	s.turns.halt.Store(true)
	if s.turns.poll {
		one := [8]byte{7: 1}
		_, _ = unix.Write(s.turns.stop, one[:]) // an eventfd takes it
	}
	idle := s.idle(limit, ended)
	if !s.turns.poll {
		s.turns.silent.Store(true)
		s.handles.leave() // writes that wait for room do so with the next process
	}
	s.waits.close()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-s.async.none():
		if idle {
			s.keeper.quiet()
		}
	case <-t.C:
		s.log.Warn("requests are still in work; the next process does them again")
	}
}

// idle waits until no reader has a request in work, at most limit. It reports whether that is so. Readers that poll
// must have ended: one that has seen a request, and not read it yet, will answer it.
func (s *server) idle(limit time.Duration, ended <-chan struct{}) bool {
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		busy := s.turns.poll
		select {
		case <-ended:
			return true
		default:
		}
		for _, r := range s.readers() {
			busy = busy || r.busy.Load()
		}
		if !busy {
			return true
		}
		if time.Now().After(end) {
			s.log.Warn("a request is in work for too long; the next process does it again")
			return false
		}
	}
}
