package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

func TestStoresThenAcknowledges(t *testing.T) {
	out := newMemory()
	s, address := serve(t, Options{Output: out})
	p := connect(t, address, stream(1), 1)
	if p.welcome.Version != 1 || p.welcome.Credit == 0 || p.welcome.Limits.Check() != nil || len(p.welcome.Marks) != 0 {
		t.Errorf("got %+v", p.welcome)
	}
	for n := range uint64(20) {
		codec := wire.Codec(n % 3)
		p.raw(p.frame(chunks(stream(1), n*10+1, n*10+10, 100), codec))
	}
	p.acked(20)
	out.holds(t, stream(1), 1, 200, 100)
	st := s.Status()
	if st.Batches != 20 || st.Chunks != 200 || st.Bytes != 20000 || st.StoredChunks != 200 || st.Records != 200 || st.StoredRecords != 200 || st.StoredBytes != 20000 || st.DuplicateChunks != 0 || st.WireBytes == 0 {
		t.Errorf("got %+v", st.Flow)
	}
	if len(st.Peers) != 1 || st.Peers[0].Acked != 20 || st.Peers[0].Host != "h" || st.Peers[0].StoredBytes != 20000 || st.Connections != 1 {
		t.Errorf("got %+v", st.Peers)
	}
}

func TestDropsWhatIsKnown(t *testing.T) {
	out := newMemory()
	s, address := serve(t, Options{Output: out})
	p := connect(t, address, stream(1), 1)
	p.batch(chunks(stream(1), 1, 5, 10))
	p.batch(chunks(stream(1), 3, 8, 10)) // 3 to 5 again
	p.batch(chunks(stream(1), 2, 8, 10)) // nothing new
	p.batch(append(chunks(stream(2), 1, 2, 10), chunks(stream(1), 8, 9, 10)...))
	p.acked(4)
	out.holds(t, stream(1), 1, 9, 10)
	out.holds(t, stream(2), 1, 2, 10)
	if st := s.Status(); st.DuplicateChunks != 3+7+1 || st.DuplicateBytes != 110 || st.DuplicateRecords != st.DuplicateChunks || st.StoredChunks != 11 {
		t.Errorf("got %+v, want 11 duplicates, 11 stored", st.Flow)
	}
	p.nc.Close()
	p = connect(t, address, stream(1), 1)
	if want, _ := out.Mark(t.Context(), stream(1)); !slices.Equal(p.welcome.Marks, []record.Durable{want}) || want.Seq != 9 {
		t.Errorf("got marks %+v, want %+v", p.welcome.Marks, want)
	}
}

// An output that fails gets the same chunks again, in order, and nothing is acknowledged before it takes them.
func TestOutputFails(t *testing.T) {
	out := newMemory()
	var attempts atomic.Int64
	out.fail = func(context.Context, []record.Chunk) error {
		if attempts.Add(1) <= 5 {
			return errors.New("no space left on device")
		}
		return nil
	}
	s, address := serve(t, Options{Output: out})
	p := connect(t, address, stream(1), 1)
	p.batch(append(chunks(stream(1), 1, 5, 10), chunks(stream(1), 4, 9, 10)...)) // with duplicates among them
	p.batch(chunks(stream(1), 10, 12, 10))
	p.acked(2)
	out.holds(t, stream(1), 1, 12, 10)
	if st := s.Status(); st.Failures != 5 || st.DuplicateChunks != 2 || st.Peers[0].LastError != "" {
		t.Errorf("got %+v, want 5 failures, 2 duplicates, no error left", st)
	}
}

// While the output is away the connection lives, nothing is acknowledged, and the error can be seen.
func TestOutputAway(t *testing.T) {
	out := newMemory()
	var back atomic.Bool
	out.fail = func(context.Context, []record.Chunk) error {
		if back.Load() {
			return nil
		}
		return errors.New("away")
	}
	s, address := serve(t, Options{Output: out})
	p := connect(t, address, stream(1), 1)
	p.batch(chunks(stream(1), 1, 3, 10))
	until(t, "the error shows", func() bool { st := s.Status(); return len(st.Peers) == 1 && st.Peers[0].LastError == "away" })
	for range 3 { // the receiver answers also now
		p.send(wire.Ping{Token: 5})
		if f := p.receive(); f != (wire.Pong{Token: 5}) {
			t.Fatalf("got %+v, want PONG", f)
		}
	}
	back.Store(true)
	p.acked(1)
	out.holds(t, stream(1), 1, 3, 10)
}

// A batch that the output can never take is named; those before it are stored and acknowledged.
func TestOutputRefuses(t *testing.T) {
	out := newMemory()
	enter, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	out.fail = func(_ context.Context, list []record.Chunk) error {
		once.Do(func() { close(enter); <-leave })
		for i := range list {
			if list[i].Seq == 35 {
				return fmt.Errorf("a path that is none: %w", record.ErrRefused)
			}
		}
		return nil
	}
	s, address := serve(t, Options{Output: out})
	p := connect(t, address, stream(1), 1)
	p.batch(chunks(stream(1), 1, 10, 10))
	<-enter // the others come while the first is being stored, and will be stored as a group
	for n := range uint64(5) {
		p.batch(chunks(stream(1), n*10+11, n*10+20, 10))
	}
	until(t, "all wait", func() bool { return s.waitingOf(stream(1)) == 5 })
	close(leave)
	if n := p.refused(wire.NotTaken); n.Number != 4 {
		t.Errorf("got batch %d refused, want 4", n.Number)
	}
	out.holds(t, stream(1), 1, 30, 10)
	if got := s.Status().Refused["not_taken"]; got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

// Batches that wait are stored by one Put.
func TestGroups(t *testing.T) {
	out := newMemory()
	enter, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	out.fail = func(context.Context, []record.Chunk) error {
		once.Do(func() { close(enter); <-leave })
		return nil
	}
	s, address := serve(t, Options{Output: out})
	p := connect(t, address, stream(1), 1)
	p.batch(chunks(stream(1), 1, 1, 10))
	<-enter
	for n := range uint64(20) {
		p.batch(chunks(stream(1), n+2, n+2, 10))
	}
	until(t, "all wait", func() bool { return s.waitingOf(stream(1)) == 20 })
	close(leave)
	p.acked(21)
	out.holds(t, stream(1), 1, 21, 10)
	if out.puts != 2 {
		t.Errorf("got %d puts, want 2", out.puts)
	}
}

// A stop stores and acknowledges what was read, says goodbye, and does not wait for an output that hangs.
func TestStop(t *testing.T) {
	out := newMemory()
	enter := make(chan struct{}, 1)
	out.fail = func(ctx context.Context, list []record.Chunk) error {
		if list[0].Seq < 3 {
			return nil
		}
		enter <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	s, err := New(Options{Output: out, StopTimeout: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ln := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	p := connect(t, ln.Addr().String(), stream(1), 1)
	p.batch(chunks(stream(1), 1, 2, 10))
	p.acked(1)
	p.batch(chunks(stream(1), 3, 3, 10))
	<-enter
	cancel()
	if f, ok := p.receive().(wire.Goaway); !ok || f.Code != wire.GoingDown {
		t.Errorf("got %+v, want GOAWAY", f)
	}
	p.nc.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	out.holds(t, stream(1), 1, 2, 10)
}

// A sender that comes again replaces its former connection, and its marks cover what that one had read.
func TestReconnect(t *testing.T) {
	out := newMemory()
	enter, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	out.fail = func(context.Context, []record.Chunk) error {
		once.Do(func() { close(enter); <-leave })
		return nil
	}
	_, address := serve(t, Options{Output: out})
	old := connect(t, address, stream(1), 1)
	old.batch(chunks(stream(1), 1, 5, 10))
	<-enter
	again := dial(t, address)
	again.send(hello(stream(1), 1))
	close(leave)
	w, ok := again.receive().(wire.Welcome)
	if !ok || len(w.Marks) != 1 || w.Marks[0].Seq != 5 {
		t.Fatalf("got %+v, want the mark at 5", w)
	}
	for f := old.receive(); f != nil; f = old.receive() {
		if g, ok := f.(wire.Goaway); ok && g.Code != wire.Superseded {
			t.Errorf("got %+v, want superseded", g)
		}
	}
	again.batch(chunks(stream(1), 4, 7, 10))
	again.acked(1)
	out.holds(t, stream(1), 1, 7, 10)
}

// A clone is refused as long as the first one lives, and taken for a restart when it does not.
func TestClone(t *testing.T) {
	out := newMemory()
	s, address := serve(t, Options{Output: out, ProbeTimeout: patience})
	first := connect(t, address, stream(1), 1)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if f, _, err := wire.ReadControl(first.nc, nil); err == nil {
			first.nc.Write(wire.Pong(f.(wire.Ping)).Append(nil))
		}
	}()
	clone := dial(t, address)
	clone.send(hello(stream(1), 2))
	clone.refused(wire.NewEpoch)
	<-answered
	other := connect(t, address, record.Stream{Sender: stream(1).Sender, Epoch: 2}, 2) // as told
	other.batch(chunks(stream(1), 1, 1, 10))
	other.acked(1)
	if got := s.Status().Refused["clone"]; got != 1 {
		t.Errorf("got %d, want 1", got)
	}

	out = newMemory()
	_, address = serve(t, Options{Output: out, ProbeTimeout: 100 * time.Millisecond})
	connect(t, address, stream(1), 1) // it answers nothing
	restarted := connect(t, address, stream(1), 3)
	restarted.batch(chunks(stream(1), 1, 2, 10))
	restarted.acked(1)
	out.holds(t, stream(1), 1, 2, 10)
}

// Two connections bring one stream, as two relays may: each chunk is stored once.
func TestOneStreamTwice(t *testing.T) {
	out := newMemory()
	_, address := serve(t, Options{Output: out})
	var wg sync.WaitGroup
	for n := range byte(4) {
		p := connect(t, address, stream(10+n), 1)
		wg.Go(func() {
			for i := range uint64(50) {
				p.batch(append(chunks(stream(1), i*3+1, i*3+3, 10), chunks(stream(2), i+1, i+1, 10)...))
			}
			p.acked(50)
		})
	}
	wg.Wait()
	out.holds(t, stream(1), 1, 150, 10)
	out.holds(t, stream(2), 1, 50, 10)
}

// Memory is bounded over all connections, and a slow output stops reading: the rest waits in the senders' sockets.
func TestMemoryIsBounded(t *testing.T) {
	out := newMemory()
	leave := make(chan struct{})
	out.fail = func(context.Context, []record.Chunk) error { <-leave; return nil }
	s, address := serve(t, Options{Output: out, Memory: 2 * wire.MaxBody})
	var wg sync.WaitGroup
	var stopped atomic.Int64
	const peers, batches, size = 8, 12, 1 << 20
	for n := range byte(peers) {
		p := connect(t, address, stream(n), 1)
		wg.Go(func() {
			credit, done := p.welcome.Credit, uint64(0)
			for i := range uint64(batches) {
				for used := i - done; used > 0 && (used+1)*(size+1000) > credit; used = i - done {
					stopped.Add(1)
					p.wait()
					a := p.receive().(wire.Ack)
					done, credit = a.Through, a.Credit
				}
				p.batch(chunks(stream(n), i+1, i+1, size))
			}
			p.wait()
			if done < batches {
				p.acked(batches)
			}
		})
	}
	until(t, "everybody has stopped", func() bool { return stopped.Load() >= peers })
	if got := s.Status().WireBytes; got > 2*wire.MaxBody {
		t.Errorf("got %d bytes read, want at most %d", got, 2*wire.MaxBody)
	}
	close(leave)
	wg.Wait()
	for n := range byte(peers) {
		if got := len(out.seqs(stream(n))); got != batches {
			t.Errorf("peer %d: got %d chunks, want %d", n, got, batches)
		}
	}
	until(t, "memory is given back", func() bool { return s.memory.TryAcquire(2 * wire.MaxBody) })
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"output":  {},
		"memory":  {Output: newMemory(), Memory: 1},
		"body":    {Output: newMemory(), Body: wire.MinBody - 1},
		"chunks":  {Output: newMemory(), Chunks: wire.MaxChunks + 1},
		"window":  {Output: newMemory(), Window: 1},
		"idle":    {Output: newMemory(), IdleTimeout: time.Millisecond},
		"timeout": {Output: newMemory(), StopTimeout: -1},
	} {
		if s, err := New(o); err == nil || s != nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// An output that cannot say what it holds is not one that holds nothing: nobody is welcomed, nothing is stored meanwhile.
func TestMarksCannotBeRead(t *testing.T) {
	out := newMemory()
	out.marks[stream(1)] = record.Durable{Stream: stream(1), Seq: 3, Chain: 9}
	var attempts atomic.Int64
	away := func() error {
		if attempts.Add(1) <= 3 {
			return errors.New("database is away")
		}
		return nil
	}
	out.blind = away
	s, address := serve(t, Options{Output: out})
	p := dial(t, address)
	p.send(hello(stream(1), 1))
	if f, ok := p.receive().(wire.Nack); !ok || f.Code != wire.Busy || f.Number != 0 {
		t.Fatalf("got %+v, want NACK busy", f)
	}
	attempts.Store(9)
	p = connect(t, address, stream(1), 1)
	attempts.Store(0)
	p.batch(chunks(stream(1), 1, 5, 10))
	p.acked(1)
	if got := out.seqs(stream(1)); !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("got %v, want 4 and 5", got)
	}
	if st := s.Status(); st.Failures != 3 || st.Refused["no_marks"] != 1 || st.DuplicateChunks != 3 {
		t.Errorf("got %+v, want 3 failures, one refusal, 3 duplicates", st)
	}
}
