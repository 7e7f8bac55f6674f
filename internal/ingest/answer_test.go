package ingest

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// end is an End that answers for what a test lets it.
type end struct {
	mu       sync.Mutex
	off      bool
	fails    error
	asked    int // times that Answered was called
	answered map[record.Stream]uint64
	moved    chan struct{} // closed when answered changes
}

func newEnd() *end { return &end{answered: map[record.Stream]uint64{}, moved: make(chan struct{})} }

func (e *end) set(s record.Stream, seq uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answered[s] = seq
	close(e.moved)
	e.moved = make(chan struct{})
}

func (e *end) Ends() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.off
}

func (e *end) Answered(streams []record.Stream) (all []record.Durable, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	if e.off {
		return nil, nil
	}
	for _, s := range streams {
		all = append(all, record.Durable{Stream: s, Seq: e.answered[s]})
	}
	return all, e.fails
}

func (e *end) Await(ctx context.Context, ends []record.Durable, alive func()) error {
	for {
		e.mu.Lock()
		moved, all := e.moved, true
		for _, d := range ends {
			all = all && e.answered[d.Stream] >= d.Seq
		}
		e.mu.Unlock()
		if all {
			return nil
		}
		alive()
		select {
		case <-moved:
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// What others have to answer for is stored at once, batch after batch, and acknowledged in order when they have.
func TestAnswersLater(t *testing.T) {
	t.Parallel() // a third of the time-out goes by before the first word
	out, e := newMemory(), newEnd()
	_, address := serve(t, Options{Output: out, End: e, IdleTimeout: 2 * brief})
	p := connect(t, address, stream(1), 1)
	for n := range uint64(5) {
		p.batch(chunks(stream(1), n*10+1, n*10+10, 10))
		until(t, "the batch is stored", func() bool { m, _ := out.Mark(t.Context(), stream(1)); return m.Seq == n*10+10 })
	}
	if a := p.receive().(wire.Ack); a.Through != 0 { // not forgotten, and not acknowledged
		t.Fatalf("got %+v before anybody has answered", a)
	}
	e.set(stream(1), 25)
	for {
		a, ok := p.receive().(wire.Ack)
		if ok && a.Through > 2 {
			t.Fatalf("got %+v, want batches 1 and 2 acknowledged", a)
		}
		if ok && a.Through == 2 {
			break
		}
	}
	e.set(stream(1), 50)
	for a := (wire.Ack{}); a.Through != 5; {
		if f, ok := p.receive().(wire.Ack); ok {
			a = f
		}
	}
	out.holds(t, stream(1), 1, 50, 10)
}

// A peer that comes back learns what is answered for, not what is stored, and sends the rest again: that is not stored twice,
// and acknowledged when it is answered for.
func TestAnsweredIsWhatPeersLearn(t *testing.T) {
	out, e := newMemory(), newEnd()
	s, address := serve(t, Options{Output: out, End: e})
	p := connect(t, address, stream(1), 1)
	p.batch(chunks(stream(1), 1, 30, 10))
	until(t, "all is stored", func() bool { m, _ := out.Mark(t.Context(), stream(1)); return m.Seq == 30 })
	e.set(stream(1), 7)
	p.nc.Close()
	p = connect(t, address, stream(1), 1)
	if m := p.welcome.Marks; len(m) != 1 || m[0].Seq != 7 {
		t.Fatalf("got marks %+v, want sequence 7", m)
	}
	p.batch(chunks(stream(1), 8, 30, 10))
	until(t, "the duplicates are known", func() bool { return s.Status().DuplicateChunks == 23 })
	e.set(stream(1), 30)
	p.acked(1)
	out.holds(t, stream(1), 1, 30, 10)
	e.mu.Lock()
	e.off = true
	e.mu.Unlock()
	p.nc.Close()
	p = connect(t, address, stream(1), 1) // nobody has to answer any more
	p.batch(chunks(stream(1), 31, 40, 10))
	p.acked(1)
}

// What a peer was told to be stored, before others had to answer too, it has given up: it is not told less later, nor more than
// is stored, whatever it claims.
func TestAcknowledgedIsNotTakenBack(t *testing.T) {
	out, e := newMemory(), newEnd()
	_, address := serve(t, Options{Output: out, End: e})
	p := connect(t, address, stream(1), 1)
	p.batch(chunks(stream(1), 1, 30, 10))
	until(t, "all is stored", func() bool { m, _ := out.Mark(t.Context(), stream(1)); return m.Seq == 30 })
	stored, _ := out.Mark(t.Context(), stream(1))
	e.set(stream(1), 7)
	p.nc.Close()
	mark := func(seq uint64) record.Durable { return record.Durable{Stream: stream(1), Seq: seq, Chain: 99} }
	for acked, want := range map[uint64]record.Durable{20: mark(20), 30: stored, 5: {Stream: stream(1), Seq: 7}, 31: stored} {
		p := dial(t, address)
		h := hello(stream(1), 1)
		h.Acked = mark(acked)
		p.send(h)
		w, ok := p.receive().(wire.Welcome)
		if !ok || len(w.Marks) != 1 || w.Marks[0] != want {
			t.Errorf("acknowledged to %d: got %+v, want %+v", acked, w.Marks, want)
		}
		p.nc.Close()
	}
}

// Who cannot tell what is answered for lets nobody in.
func TestAnswersThatCannotBeTold(t *testing.T) {
	out, e := newMemory(), newEnd()
	_, address := serve(t, Options{Output: out, End: e})
	p := connect(t, address, stream(1), 1)
	p.batch(chunks(stream(1), 1, 30, 10))
	until(t, "all is stored", func() bool { m, _ := out.Mark(t.Context(), stream(1)); return m.Seq == 30 })
	e.mu.Lock()
	e.fails = record.ErrFull
	e.mu.Unlock()
	p.nc.Close()
	p = dial(t, address)
	p.send(hello(stream(1), 1))
	p.refused(wire.Busy)
}

// A server that stops acknowledges what is answered for until then, and does not wait for the rest for ever.
func TestStopsWithUnansweredBatches(t *testing.T) {
	out, e := newMemory(), newEnd()
	s, err := New(Options{Output: out, End: e, StopTimeout: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if err := s.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	address := ln.Addr().String()
	p := connect(t, address, stream(1), 1)
	p.batch(chunks(stream(1), 1, 10, 10))
	until(t, "all is stored", func() bool { m, _ := out.Mark(t.Context(), stream(1)); return m.Seq == 10 })
	cancel()
	for {
		f := p.receive()
		if a, ok := f.(wire.Ack); ok && a.Through > 0 {
			t.Fatalf("got %+v, nobody has answered", a)
		}
		if _, ok := f.(wire.Goaway); ok {
			return
		}
	}
}

// A batch that is stored while the connection ends, with no room for one more promise, is not answered for; then none behind it
// may be acknowledged either, as that would acknowledge it too.
func TestNoPromiseBehindOneLeftOut(t *testing.T) {
	c := &conn{gone: make(chan struct{}), storing: t.Context(), answers: &answers{promises: make(chan promise, 1)}}
	ends := []record.Durable{{Stream: stream(1), Seq: 1}}
	c.promise(promise{1, ends})
	close(c.gone)
	c.promise(promise{2, ends})
	if p := <-c.answers.promises; p.last != 1 {
		t.Fatalf("got a promise of batch %d, want that of 1", p.last)
	}
	c.promise(promise{3, ends})
	if n := len(c.answers.promises); n != 0 {
		t.Errorf("got %d promises behind one that was left out, want none", n)
	}
}
