package mount

import (
	"log/slog"
	"os"
	"sync"
	"testing"
	"unsafe"

	"ftfuse/internal/memo"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// askedLog counts what it hears of answers.
type askedLog struct {
	nullLog
	answered int
}

func (l *askedLog) Answered(uint64) { l.answered++ }

// What is done for a request that the next process answers is remembered for it.
func TestNothingIsForgottenThatIsNotAnswered(t *testing.T) {
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	mem, err := memo.New("test")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	m := &Mount{log: slog.New(slog.DiscardHandler)}
	m.o.Identifier = &testIdentity{}
	m.keeper.memo, m.keeper.owed = mem, map[uint64]*promise{2: {Answer: make([]byte, outHeaderSize)}}
	m.keeper.alive.Store(true)
	l := &askedLog{}
	h := &handle{log: l, fd: -1, node: &node{}}
	if err := m.handles.put(4, h); err != nil {
		t.Fatal(err)
	}
	r := &reader{server: &server{Mount: m, fd: int(null.Fd())}, out: make([]byte, 4096)}
	requests := func() {
		create := make([]byte, 128)
		*(*fuse.InHeader)(unsafe.Pointer(&create[0])) = fuse.InHeader{Opcode: 35, Unique: 2 | resendBit}
		r.handle(create)
		write := make([]byte, writeInSize+1)
		in := (*fuse.WriteIn)(unsafe.Pointer(&write[0]))
		in.Opcode, in.Fh, in.Size = opWrite, h.fh, 1
		r.handle(write)
	}
	r.turns.silent.Store(true)
	requests()
	if m.keeper.owed[2] == nil || l.answered != 0 {
		t.Error("forgotten, and the next process will be asked")
	}
	r.turns.silent.Store(false)
	requests()
	if m.keeper.owed[2] != nil || l.answered != 1 {
		t.Error("remembered, though it is answered")
	}
}

// A request that has been at work for too long may begin to wait in a goroutine of its own while those that do are waited for.
func TestWaitBeginsWhileOneIsLeft(t *testing.T) {
	s := &server{Mount: &Mount{log: slog.New(slog.DiscardHandler)}}
	busy := &reader{server: s}
	busy.busy.Store(true)
	s.reading = []*reader{busy}
	stop := make(chan struct{})
	var request sync.WaitGroup
	request.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				done := make(chan struct{})
				s.apart(2, func([]byte) { close(done) })
				<-done
			}
		}
	})
	for range 200 {
		s.quiesce(0, nil)
	}
	close(stop)
	request.Wait()
	<-s.async.none()
}

// Requests may be at work in a mount that is left to the next process, also when it is closed.
func TestCloseOfOneThatIsLeft(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	m := &Mount{below: fd, left: true}
	begun := make(chan struct{})
	var requests sync.WaitGroup
	requests.Go(func() {
		for i := range 1000 {
			d, err := m.openPath("", unix.O_PATH)
			if err != nil {
				t.Error(err)
				return
			}
			_ = unix.Close(d)
			if i == 0 {
				close(begun)
			}
		}
	})
	<-begun
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	requests.Wait()
}
