package uplink_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/ingest"
	"ftfuse/internal/pace"
)

// writesOf is a connection that notes how much each write was.
type writesOf struct {
	net.Conn
	mu   sync.Mutex
	list []int
}

func (w *writesOf) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, n)
	return n, err
}

func (w *writesOf) writes() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]int(nil), w.list...)
}

// noted lets a pair note what it writes on its first connection.
func (p *pair) noted() *writesOf {
	w := &writesOf{}
	dial := p.options.Dial
	p.options.Dial = func(ctx context.Context) (net.Conn, error) {
		nc, err := dial(ctx)
		if err != nil || w.Conn != nil {
			return nc, err
		}
		w.Conn = nc
		return w, nil
	}
	return w
}

// unrefused fails if the receiver has refused anybody.
func unrefused(t *testing.T, s *ingest.Server) {
	t.Helper()
	for reason, n := range s.Status().Refused {
		if n > 0 {
			t.Errorf("got %d refused as %s, want none", n, reason)
		}
	}
}

// thin is a line on which nothing more passes than its least burst.
func thin(t *testing.T) *pace.Line {
	t.Helper()
	line, err := pace.New(1, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// A batch that waits for its line when its sender is asked to stop is not begun, and not waited for.
func TestAHaltedBatchIsNotBegun(t *testing.T) {
	p := newPair(t)
	s, _ := p.serve()
	p.options.Line, p.options.StopTimeout = thin(t), time.Hour
	if err := p.options.Line.Do(t.Context(), pace.Normal, pace.Piece, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	w := p.noted()
	want := fill(p.backlog, p.spools, 3, 1, 1000)
	stop := p.send()
	until(t, "it waits", func() bool { return p.up.Status().Batches > 0 })
	stop()
	if st := p.up.Status(); st.SentBatches != 0 || st.SentBytes != 0 || st.SentRecords != 0 || st.Batches != 0 {
		t.Errorf("got %+v, want nothing sent", st)
	}
	for _, n := range w.writes()[1:] { // HELLO is the first
		if n > 100 {
			t.Errorf("got writes of %v bytes, want no more than control frames", w.writes())
		}
	}
	p.options.Line = nil
	p.send()
	p.delivered()
	p.arrived(want)
	unrefused(t, s)
}

// Of a batch that its line holds up for longer than stopping may take half is on the wire: nothing comes behind that, and the
// receiver takes it for a connection that has ended, not for a peer that does not know the protocol.
func TestABatchIsCutByTheEnd(t *testing.T) {
	p := newPair(t)
	s, _ := p.serve()
	line, err := pace.New(1000, 128*time.Second) // a piece passes, and another one takes a minute
	if err != nil {
		t.Fatal(err)
	}
	p.options.Line, p.options.StopTimeout = line, 10*time.Millisecond
	w := p.noted()
	want := fill(p.backlog, p.spools, 1, 1, 300_000)
	stop := p.send()
	last := func() int {
		l := append([]int{0}, w.writes()...)
		return l[len(l)-1]
	}
	until(t, "half a batch is sent", func() bool { return last() == pace.Piece })
	stop()
	if last() != pace.Piece {
		t.Errorf("got writes of %v bytes, want nothing behind half a batch", w.writes())
	}
	until(t, "the connection has ended", func() bool { return len(s.Status().Peers) == 0 })
	unrefused(t, s)
	p.options.Line = nil
	p.send()
	p.delivered()
	p.arrived(want)
}

// Batches are no larger than a thin line carries while stopping is waited for.
func TestBatchesOfAThinLine(t *testing.T) {
	p := newPair(t)
	line, err := pace.New(256<<10, time.Hour) // and it has saved up enough for all
	if err != nil {
		t.Fatal(err)
	}
	p.options.Line, p.options.StopTimeout = line, time.Second
	p.receive()
	want := fill(p.backlog, p.spools, 1, 40, 25_000)
	p.send()
	p.delivered()
	p.arrived(want)
	if st := p.up.Status(); st.SentBatches < uint64(len(want)/(128<<10)) {
		t.Errorf("got %d batches for %d bytes, want none above 128 KiB: half of what passes in the time for stopping", st.SentBatches, len(want))
	}
}
