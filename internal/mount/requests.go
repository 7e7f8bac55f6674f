package mount

import (
	"sync"
	"time"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// handleWrite serves a WRITE in place, or in a goroutine with its own copy when it may wait.
func (r *reader) handleWrite(b []byte) {
	in := (*fuse.WriteIn)(unsafe.Pointer(&b[0]))
	data := b[writeInSize:]
	if uint32(len(data)) != in.Size {
		r.reply(r.out, in.Unique, fuse.EIO, 0)
		return
	}
	h := r.handles.get(in.Fh)
	if h == nil {
		r.reply(r.out, in.Unique, fuse.EBADF, 0)
		return
	}
	if !h.mayWait(in) {
		n, code := r.write(h, in, data)
		r.replyWrite(r.out, h, in.Unique, n, code)
		return
	}
	if !r.waits.room(len(b)) {
		r.reply(r.out, in.Unique, fuse.Status(unix.ENOSPC), 0)
		return
	}
	c := append([]byte(nil), b...)
	r.apart(in.Unique, func(out []byte) {
		defer r.waits.leave(len(c))
		own := (*fuse.WriteIn)(unsafe.Pointer(&c[0]))
		n, code := r.write(h, own, c[writeInSize:])
		r.replyWrite(out, h, own.Unique, n, code)
	})
}

func (s *server) replyWrite(out []byte, h *handle, unique uint64, n int, code fuse.Status) {
	at("applied", opWrite)
	w := (*fuse.WriteOut)(unsafe.Pointer(&out[outHeaderSize]))
	w.Size, w.Padding = uint32(n), 0
	s.reply(out, unique, code, int(unsafe.Sizeof(*w)))
	at("answered", opWrite)
	if h.log != nil && !s.turns.silent.Load() { // else the next process is asked again, and must find that it is done
		h.log.Answered(unique &^ resendBit)
	}
}

func (r *reader) handleRead(in *fuse.ReadIn) {
	if in.Size > maxWrite {
		r.reply(r.out, in.Unique, fuse.EINVAL, 0)
		return
	}
	n, code := r.read(in.Fh, r.out[outHeaderSize:outHeaderSize+int(in.Size)], int64(in.Offset))
	at("applied", opRead)
	r.reply(r.out, in.Unique, code, n)
	at("answered", opRead)
}

func (r *reader) handleFsync(b []byte) {
	c := append([]byte(nil), b...)
	r.apart((*fuse.InHeader)(unsafe.Pointer(&b[0])).Unique, func(out []byte) { r.forward(c, out) })
}

// An attempt at a lock that does not wait is repeated so often, with so much rest. The RELEASE that frees the lock may have been read
// just before by another reader, and be in work. Tries are counted, not time: a process that gets no processor gets on in neither.
const (
	lockTries = 4
	lockRest  = time.Millisecond
)

// handleLock serves SETLK and SETLKW. What cannot be had at once is asked for again in a goroutine.
func (r *reader) handleLock(in *fuse.LkIn) {
	h := r.handles.get(in.Fh)
	if h == nil {
		r.reply(r.out, in.Unique, fuse.EBADF, 0)
		return
	}
	l := asked(in)
	key := h.node.at.key
	err := r.locks.set(key, l)
	if err != unix.EAGAIN {
		at("applied", in.Opcode)
		r.reply(r.out, in.Unique, status(err), 0)
		at("answered", in.Opcode)
		return
	}
	unique := in.Unique
	if in.Opcode == opSetLk {
		r.apart(unique, func(out []byte) { r.reply(out, unique, status(r.locks.try(key, l)), 0) })
		return
	}
	cancel := r.waits.join(unique)
	r.apart(unique, func(out []byte) {
		defer r.waits.part(unique)
		r.reply(out, unique, status(r.locks.wait(key, l, cancel)), 0)
	})
}

func asked(in *fuse.LkIn) *lock {
	l := &lock{
		flock: in.LkFlags&fuse.LK_FLOCK != 0, unlock: in.Lk.Typ == unix.F_UNLCK, write: in.Lk.Typ == unix.F_WRLCK,
		start: in.Lk.Start, end: in.Lk.End, owner: in.Owner, pid: in.Lk.Pid, fh: in.Fh,
	}
	if !l.flock && !l.unlock && l.pid != 0 && !ofdCall(in.Pid) {
		l.born = born(l.pid)
	}
	return l
}

// GetLk answers fcntl(F_GETLK).
func (s *server) GetLk(_ <-chan struct{}, in *fuse.LkIn, out *fuse.LkOut) fuse.Status {
	h := s.handles.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	out.Lk = fuse.FileLock{Typ: unix.F_UNLCK}
	if c := s.locks.test(h.node.at.key, asked(in)); c != nil {
		out.Lk = fuse.FileLock{Typ: unix.F_RDLCK, Start: c.start, End: c.end, Pid: c.pid}
		if c.write {
			out.Lk.Typ = unix.F_WRLCK
		}
	}
	return fuse.OK
}

// apart runs do in a goroutine that Serve waits for, with a small buffer for its answer.
func (s *server) apart(unique uint64, do func(out []byte)) {
	s.async.begin()
	go func() {
		defer s.async.end()
		defer s.recovered(unique)
		do(make([]byte, 256))
	}()
}

// asides counts the goroutines of requests. A sync.WaitGroup would not do: a reader that is at work for too long may begin one
// while what there is is waited for.
type asides struct {
	mu   sync.Mutex
	n    int
	idle []chan struct{} // closed when n is 0
}

func (a *asides) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
}

func (a *asides) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n--; a.n == 0 {
		a.tell()
	}
}

// none returns a channel that is closed once there is none.
func (a *asides) none() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := make(chan struct{})
	if a.idle = append(a.idle, c); a.n == 0 {
		a.tell()
	}
	return c
}

// tell closes what is waited on. Called with mu held.
func (a *asides) tell() {
	for _, c := range a.idle {
		close(c)
	}
	a.idle = nil
}

// waits knows the requests that wait in goroutines of their own.
type waits struct {
	limit int64 // bytes of writes that wait

	mu     sync.Mutex
	bytes  int64
	locks  map[uint64]chan struct{} // unique of a SETLKW -> closed to cancel it
	early  []uint64                 // interrupts that came before join, which another reader may be about to do
	closed bool
}

// maxEarly bounds the interrupts kept for requests not seen yet; most are for requests that are answered already.
const maxEarly = 64

func (w *waits) room(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bytes+int64(n) > w.limit {
		return false
	}
	w.bytes += int64(n)
	return true
}

func (w *waits) leave(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes -= int64(n)
}

// join registers a request that can be interrupted.
func (w *waits) join(unique uint64) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan struct{})
	w.locks[unique] = c
	cancelled := w.closed
	for _, u := range w.early {
		cancelled = cancelled || u == unique
	}
	if cancelled {
		close(c)
		delete(w.locks, unique)
	}
	return c
}

func (w *waits) part(unique uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.locks, unique)
}

// interrupt cancels a waiting lock. Nothing is ever answered to an INTERRUPT: EAGAIN would make the kernel send it
// again at once, for as long as the request takes.
func (w *waits) interrupt(unique uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.locks[unique]; c != nil {
		close(c)
		delete(w.locks, unique)
		return
	}
	if len(w.early) == maxEarly {
		w.early = w.early[1:]
	}
	w.early = append(w.early, unique)
}

// close cancels all, now and later.
func (w *waits) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for u, c := range w.locks {
		close(c)
		delete(w.locks, u)
	}
}
