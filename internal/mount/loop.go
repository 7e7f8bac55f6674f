package mount

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"ftfuse/internal/attach"
	"ftfuse/internal/notice"
	"ftfuse/internal/pulse"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Opcodes that the loop treats itself (include/uapi/linux/fuse.h).
const (
	opSetAttr   = 4
	opOpen      = 14
	opRead      = 15
	opWrite     = 16
	opFsync     = 20
	opSetLk     = 32
	opSetLkw    = 33
	opInterrupt = 36
	opBmap      = 37
	opPoll      = 40
	opSyncfs    = 50
	opTmpfile   = 51
	opStatx     = 52
	opCopy64    = 53
)

const (
	maxWrite = attach.MaxRead
	// inSize takes the largest request: a WRITE. The kernel wants at least 8 KiB.
	inSize = maxWrite + 4096
	// outSize takes the largest answer: header and data of a READ, or READDIR.
	outSize = maxWrite + 4096
)

var (
	inHeaderSize  = int(unsafe.Sizeof(fuse.InHeader{}))
	outHeaderSize = int(unsafe.Sizeof(fuse.OutHeader{}))
	writeInSize   = int(unsafe.Sizeof(fuse.WriteIn{}))
	readInSize    = int(unsafe.Sizeof(fuse.ReadIn{}))
	lkInSize      = int(unsafe.Sizeof(fuse.LkIn{}))
	intInSize     = int(unsafe.Sizeof(fuse.InterruptIn{}))
)

// reader reads requests and answers them, one after the other. Its buffers are resident: a process that is killed
// while the kernel copies a request into a page that is not there fails that request with EIO.
type reader struct {
	*server
	in, out []byte
	pulse   *pulse.Pulse
	busy    atomic.Bool // a request is in work
	first   bool        // alone, until the requests that are sent again are done
}

func newReader(s *server) (*reader, error) {
	in, err := resident(inSize)
	if err != nil {
		return nil, err
	}
	out, err := resident(outSize)
	if err != nil {
		_ = unix.Munmap(in)
		return nil, err
	}
	return &reader{server: s, in: in, out: out, pulse: s.o.Pulses.Join("mount " + s.o.Name)}, nil
}

func resident(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes for requests: %w", size, err)
	}
	_ = unix.Mlock(b) // RLIMIT_MEMLOCK may forbid it; then the pages are resident until memory is short
	return b, nil
}

func (r *reader) free() {
	r.o.Pulses.Leave(r.pulse)
	_ = unix.Munmap(r.in)
	_ = unix.Munmap(r.out)
}

// run serves until the connection ends (ENODEV after umount, ECONNABORTED after an abort).
func (r *reader) run() error {
	for {
		if !r.turns.await(r.fd) {
			return nil
		}
		// Not a raw system call: a thread in one cannot be stopped for the garbage collector.
		n, err := unix.Read(r.fd, r.in)
		switch err {
		case nil:
			if !r.turn(r.in[:n]) {
				return nil
			}
		case unix.EINTR, unix.EAGAIN, unix.ENOENT: // ENOENT: the request was taken back meanwhile
		case unix.ENODEV, unix.ECONNABORTED:
			return nil
		default:
			return fmt.Errorf("read /dev/fuse: %w", err)
		}
	}
}

// handle serves one request. b is used again when it returns.
func (r *reader) handle(b []byte) {
	if len(b) < inHeaderSize {
		r.log.Error("short request from the kernel", "bytes", len(b))
		return
	}
	in := (*fuse.InHeader)(unsafe.Pointer(&b[0]))
	defer r.recovered(in.Unique)
	r.counters.requests.Add(1)
	switch {
	case in.Opcode == opWrite && len(b) >= writeInSize:
		r.handleWrite(b)
	case in.Opcode == opRead && len(b) >= readInSize:
		r.handleRead((*fuse.ReadIn)(unsafe.Pointer(in)))
	case in.Opcode == opInterrupt && len(b) >= intInSize:
		r.waits.interrupt((*fuse.InterruptIn)(unsafe.Pointer(in)).Unique)
	case (in.Opcode == opSetLk || in.Opcode == opSetLkw) && len(b) >= lkInSize:
		r.handleLock((*fuse.LkIn)(unsafe.Pointer(in)))
	case in.Opcode == opFsync:
		r.handleFsync(b)
	case waitsForLease(b):
		r.handleLeased(b)
	case in.Opcode == opBmap || in.Opcode == opPoll || in.Opcode >= opSyncfs && in.Opcode <= opCopy64:
		r.reply(r.out, in.Unique, fuse.ENOSYS, 0)
	default:
		r.forward(b, r.out)
	}
}

// recovered answers EIO for a request whose handling panicked.
func (s *server) recovered(unique uint64) {
	v := recover()
	if v == nil {
		return
	}
	s.counters.panics.Add(1)
	s.log.Error("panic while serving a request", notice.RequestPanicked, "panic", v, "stack", string(debug.Stack()))
	var out [64]byte
	s.reply(out[:], unique, fuse.EIO, 0)
}

// reply answers with size bytes of data that stand in out behind the header, or with an error.
func (s *server) reply(out []byte, unique uint64, code fuse.Status, size int) {
	if code != fuse.OK {
		size = 0
	}
	h := (*fuse.OutHeader)(unsafe.Pointer(&out[0]))
	h.Length, h.Status, h.Unique = uint32(outHeaderSize+size), -int32(code), unique
	s.send(out[:h.Length])
}

// send hands an answer to the kernel and reports whether it took it. ENOENT: whoever asked is gone.
func (s *server) send(b []byte) bool {
	for !s.turns.silent.Load() {
		_, err := unix.Write(s.fd, b)
		switch err {
		case nil:
			return true
		case unix.EINTR, unix.EAGAIN:
			continue
		case unix.ENOENT, unix.ENODEV, unix.ECONNABORTED:
		default:
			s.log.Error("answer to the kernel refused", "error", err, "bytes", len(b))
		}
		return false
	}
	return true // the next process answers
}

// forward gives a request to go-fuse, which calls the server's methods.
func (s *server) forward(b, out []byte) {
	s.forwardUnless(func([]byte) bool { return false }, b, out)
}

// forwardUnless forwards, but does not give an answer that must not be given yet. It reports whether it has answered.
func (s *server) forwardUnless(early func(answer []byte) bool, b, out []byte) bool {
	in := (*fuse.InHeader)(unsafe.Pointer(&b[0]))
	opcode, unique := in.Opcode, in.Unique
	kept := false
	defer func() {
		if !kept {
			s.answered(unique)
		}
	}()
	if p := s.keeper.again(unique); p != nil && s.repeat(opcode, unique, p, out) {
		return true
	}
	n, code := s.proto.HandleRequest([][]byte{b}, [][]byte{out})
	if code != fuse.OK {
		s.reply(out, unique, fuse.EIO, 0)
		return true
	}
	if kept = early(out[:n]); kept {
		return false
	}
	at("applied", opcode)
	s.keeper.answer(opcode, unique, out[:n])
	at("noted", opcode)
	if n > 0 && !s.send(out[:n]) {
		s.undo(opcode, out[:n])
	}
	at("answered", opcode)
	s.compact()
	return true
}

// answered forgets a request, unless it is the next process that answers it.
func (s *server) answered(unique uint64) {
	if !s.turns.silent.Load() {
		s.keeper.answered(unique)
	}
}

// repeat answers a request that a process before this one has done. It reports whether there was something to answer.
func (s *server) repeat(opcode uint32, unique uint64, p *promise, out []byte) bool {
	switch {
	case p.Answer != nil:
		n := copy(out, p.Answer)
		(*fuse.OutHeader)(unsafe.Pointer(&out[0])).Unique = unique
		if !s.send(out[:n]) {
			s.undo(opcode, out[:n])
		}
		return true
	case p.Moved:
		if p.Intent != nil {
			s.lost(p.Intent) // it may have died just before
		}
		s.reply(out, unique, fuse.OK, 0)
		return true
	}
	return false
}

// undo takes back what an answer that the kernel did not take would have made known to it.
func (s *server) undo(opcode uint32, out []byte) {
	if len(out) == outHeaderSize { // an error, or nothing to know
		return
	}
	const opLookup, opSymlink, opMknod, opMkdir, opLink, opOpendir, opCreate = 1, 6, 8, 9, 13, 27, 35
	body := unsafe.Pointer(&out[outHeaderSize])
	switch opcode {
	case opLookup, opSymlink, opMknod, opMkdir, opLink:
		s.Forget((*fuse.EntryOut)(body).NodeId, 1)
	case opOpen:
		s.Release(nil, &fuse.ReleaseIn{Fh: (*fuse.OpenOut)(body).Fh})
	case opOpendir:
		s.ReleaseDir(&fuse.ReleaseIn{Fh: (*fuse.OpenOut)(body).Fh})
	case opCreate:
		c := (*fuse.CreateOut)(body)
		s.Release(nil, &fuse.ReleaseIn{Fh: c.Fh})
		s.Forget(c.NodeId, 1)
	}
}

// counters are what Stats shows.
type counters struct {
	requests, writes, written, panics atomic.Uint64
}

// defaultReaders is how many goroutines read requests: with more than two the wake-ups cost more than they bring.
func defaultReaders() int { return min(2, runtime.GOMAXPROCS(0)) }

// initIn reads an INIT request; kernels before 5.16 send a shorter one.
func initIn(b []byte) *fuse.InitIn {
	in := new(fuse.InitIn)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(in)), unsafe.Sizeof(*in)), b)
	return in
}
