package uplink_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/ingest"
	"ftfuse/internal/record"
	"ftfuse/internal/uplink"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// mpoolDrain ends by itself one second after its database was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

const patience = 60 * time.Second

// memory is an output of the receiver: payload and marks by stream.
type memory struct {
	mu    sync.Mutex
	marks map[record.Stream]record.Durable
	data  []byte // of all streams, as it came
	gaps  []record.Gap
	fail  func(chunks []record.Chunk) error
}

func (m *memory) Mark(_ context.Context, s record.Stream) (record.Durable, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.marks[s], nil
}

func (m *memory) Put(ctx context.Context, chunks []record.Chunk) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(chunks); err != nil {
			return err
		}
	}
	for i := range chunks {
		c := &chunks[i]
		m.marks[c.Source.Stream] = m.marks[c.Source.Stream].Add(c)
		m.data = append(m.data, c.Data...)
		if c.Gap != nil {
			m.gaps = append(m.gaps, *c.Gap)
		}
	}
	return nil
}

func (m *memory) bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.data)
}

// pair is an uplink and a receiver on loopback, each of which can be stopped and started again.
type pair struct {
	t       testing.TB
	backlog *backlog
	spools  *spools
	out     *memory
	options uplink.Options
	up      *uplink.Uplink

	mu      sync.Mutex
	address string
	conns   []net.Conn
}

func newPair(t testing.TB) *pair {
	p := &pair{t: t, backlog: newBacklog(), spools: &spools{data: map[uint64][]byte{}}, out: &memory{marks: map[record.Stream]record.Durable{}}}
	p.options = uplink.Options{
		Backlog: p.backlog, Store: p.spools, Dial: p.dial, Epoch: p.backlog.currentEpoch, Logger: slog.New(slog.DiscardHandler),
		Identity:   uplink.Identity{Sender: source.Sender, Host: "h", BootID: "b", Instance: [16]byte{1}},
		BackOffMin: time.Millisecond, BackOffMax: 10 * time.Millisecond,
	}
	return p
}

func (p *pair) dial(ctx context.Context) (net.Conn, error) {
	p.mu.Lock()
	address := p.address
	p.mu.Unlock()
	if address == "" {
		return nil, errors.New("nobody listens")
	}
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		p.mu.Lock()
		p.conns = append(p.conns, nc)
		p.mu.Unlock()
	}
	return nc, err
}

// cut ends all connections, as a cable does.
func (p *pair) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, nc := range p.conns {
		nc.Close()
	}
	p.conns = nil
}

// receive starts a receiver and returns what stops it.
func (p *pair) receive() (stop func()) {
	p.t.Helper()
	_, stop = p.serve()
	return stop
}

// serve is receive that returns the receiver too.
func (p *pair) serve() (s *ingest.Server, stop func()) {
	p.t.Helper()
	s, err := ingest.New(ingest.Options{Output: p.out, Logger: p.options.Logger, StopTimeout: 100 * time.Millisecond, RetryMin: time.Millisecond, RetryMax: time.Millisecond})
	if err != nil {
		p.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.address = ln.Addr().String()
	p.mu.Unlock()
	return s, background(p.t, func(ctx context.Context) error { return s.Serve(ctx, ln) })
}

// send starts the uplink and returns what stops it.
func (p *pair) send() (stop func()) {
	p.t.Helper()
	var err error
	if p.up, err = uplink.New(p.options); err != nil {
		p.t.Fatal(err)
	}
	return background(p.t, p.up.Run)
}

// background runs f until stop is called, or the test ends.
func background(t testing.TB, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Errorf("did not stop in %v", patience)
		}
	})
	t.Cleanup(stop)
	return stop
}

// delivered waits until everything is acknowledged.
func (p *pair) delivered() {
	p.t.Helper()
	end := time.After(patience)
	for {
		p.backlog.mu.Lock()
		done, news := p.backlog.acked == uint64(len(p.backlog.entries)), p.backlog.news
		p.backlog.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-end:
			p.t.Fatalf("all is acknowledged: not in %v; %+v", patience, p.up.Status())
		}
	}
}

// until polls what only Status tells.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

// arrived checks that the receiver has exactly want.
func (p *pair) arrived(want []byte) {
	p.t.Helper()
	if got := p.out.bytes(); !bytes.Equal(got, want) {
		p.t.Errorf("got %d bytes at the receiver, want %d, or others", len(got), len(want))
	}
}
