package share_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/ingest"
	"ftfuse/internal/record"
	"ftfuse/internal/share"
	"ftfuse/internal/uplink"
)

// server is a real receiver: an ingest.Server on loopback, with an output in memory that keeps one mark for each stream.
type server struct {
	t    testing.TB
	id   record.SenderID
	stop func()

	mu    sync.Mutex
	addr  string
	conns []net.Conn
	marks map[record.Stream]record.Durable
	got   map[uint64][]string // by handle: payload, in order
}

func (r *server) Mark(_ context.Context, s record.Stream) (record.Durable, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.marks[s], nil
}

func (r *server) Put(_ context.Context, chunks []record.Chunk) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range chunks {
		c := &chunks[i]
		r.marks[c.Source.Stream] = r.marks[c.Source.Stream].Add(c)
		r.got[c.Handle] = append(r.got[c.Handle], string(c.Data))
	}
	return nil
}

func newServer(t testing.TB, id byte) *server {
	return &server{t: t, id: record.SenderID{id}, marks: map[record.Stream]record.Durable{}, got: map[uint64][]string{}, stop: func() {}}
}

func (r *server) start() {
	s, err := ingest.New(ingest.Options{Output: r, ID: r.id, Logger: slog.New(slog.DiscardHandler), StopTimeout: time.Second})
	if err != nil {
		r.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.addr = ln.Addr().String()
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	r.stop = sync.OnceFunc(func() {
		r.mu.Lock()
		r.addr = ""
		r.mu.Unlock()
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
}

func (r *server) dial(ctx context.Context) (net.Conn, error) {
	r.mu.Lock()
	addr := r.addr
	r.mu.Unlock()
	if addr == "" {
		return nil, errAway
	}
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err == nil {
		r.mu.Lock()
		r.conns = append(r.conns, nc)
		r.mu.Unlock()
	}
	return nc, err
}

// cut ends all connections, as a cable does.
func (r *server) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, nc := range r.conns {
		nc.Close()
	}
	r.conns = nil
}

// noStore is for payload that is in the chunks.
type noStore struct{}

func (noStore) ReadExtent(record.Extent, []byte) error { return record.ErrGone }

// Real connections to real receivers, cut and stopped again and again.
func TestPairs(t *testing.T) {
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) { pairs(t, p, rand.Uint64()) })
	}
}

func pairs(t *testing.T, p share.Policy, seed uint64) {
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	servers := map[string]*server{}
	for i, name := range []string{"a", "b", "c"} {
		servers[name] = newServer(t, byte(i+1))
		servers[name].start()
		defer func() { servers[name].stop() }()
	}
	st := newStore()
	b := st.open()
	o := options(p)
	o.HandOver, o.ReturnAfter, o.Bound = 20*time.Millisecond, 50*time.Millisecond, 100_000
	o.Backlog, o.Sender = b, self
	var s *share.Share
	o.Run = func(ctx context.Context, m share.Member, lane *share.Lane) error {
		up, err := uplink.New(uplink.Options{
			Backlog: lane, Watch: lane, Store: noStore{}, Dial: servers[m.Name].dial, Logger: o.Logger, Several: true, Own: s.Own,
			Epoch:    func() uint64 { b.mu.Lock(); defer b.mu.Unlock(); return b.epoch },
			Streams:  func() []record.Stream { return s.Streams(b.streams()) },
			Identity: uplink.Identity{Sender: self, Host: "h", BootID: "b", Instance: [16]byte{1}},
			Batch:    2000, BackOffMin: time.Millisecond, BackOffMax: 5 * time.Millisecond,
		})
		if err != nil {
			return err
		}
		return up.Run(ctx)
	}
	var err error
	if s, err = share.New(o); err != nil {
		t.Fatal(err)
	}
	if err := s.SetMembers(members("a", "b", "c")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	want := map[uint64][]string{}
	for range 150 {
		for range 20 {
			h := uint64(rng.IntN(50))
			text := fmt.Sprintf("%-99d\n", len(want[h]))
			want[h] = append(want[h], text)
			b.add(record.Chunk{Handle: h, Data: []byte(text), CRC: record.CRC([]byte(text)), File: &record.File{Mount: "m", Path: "p"}, Writer: &record.Writer{Comm: "c"}})
		}
		r := servers[string(rune('a'+rng.IntN(3)))]
		switch rng.IntN(8) {
		case 0:
			r.cut()
		case 1:
			r.stop()
		case 2:
			r.stop()
			r.start()
		case 3:
			time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		}
	}
	for _, r := range servers {
		r.stop()
		r.start()
	}
	for end := time.Now().Add(60 * time.Second); !b.done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not all is acknowledged: %+v", s.Status())
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, r := range servers { // what lay in their sockets may still be being stored
		r.stop()
	}
	compare(t, servers, want, s.Status())
	if b.renamed > 0 {
		t.Errorf("got %d new epochs, want none: no receiver knows what was not sent to it", b.renamed)
	}
}

// compare checks that every handle's bytes are there, in order at each receiver, doubled only as far as that is counted.
func compare(t *testing.T, servers map[string]*server, want map[uint64][]string, st share.Status) {
	t.Helper()
	doubles := 0
	for h, list := range want {
		have := map[string]int{}
		for name, r := range servers {
			if !slices.IsSorted(trim(r.got[h])) {
				t.Errorf("receiver %s, handle %d: out of order: %v", name, h, r.got[h])
			}
			for _, text := range r.got[h] {
				have[text]++
				doubles++
			}
		}
		for _, text := range list {
			if have[text] == 0 {
				t.Errorf("handle %d: %q was lost", h, text)
			}
			doubles--
		}
	}
	t.Logf("%d doubled, %+v", doubles, st.Counters)
	if doubles > int(st.Uncertain.Chunks) {
		t.Errorf("got %d doubled chunks, %d uncertain ones", doubles, st.Uncertain.Chunks)
	}
}

// trim gives the numbers in texts, so that their order is that of strings.
func trim(texts []string) (list []string) {
	for _, s := range texts {
		var n int
		_, _ = fmt.Sscan(s, &n)
		list = append(list, fmt.Sprintf("%09d", n))
	}
	return list
}
