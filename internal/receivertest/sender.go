// Package receivertest is the sending half, a real queue and a real uplink, for tests of receivers that are not part of this program.
package receivertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/queue"
	"ftfuse/internal/record"
	"ftfuse/internal/uplink"
	"ftfuse/internal/wire"
)

// Patience bounds what must happen; reaching it is a failure.
const Patience = 60 * time.Second

// ID is the sender's id.
var ID = record.SenderID{0xf7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff}

// Sender appends to a queue of its own and delivers that to one receiver.
type Sender struct {
	t      testing.TB
	queue  *queue.Queue
	cursor *queue.Cursor
	uplink *uplink.Uplink
	source *record.Source

	mu      sync.Mutex
	address string // of the receiver, "" while nobody listens
	dial    func(ctx context.Context, address string) (net.Conn, error)
	offsets map[uint64]uint64 // by handle
}

// none is the store of a queue that has all payload inline.
type none struct{}

func (none) ReadExtent(record.Extent, []byte) error { return record.ErrGone }

// Open makes a sender with an empty queue that compresses by codec. It sends nothing before Start.
func Open(t testing.TB, codec wire.Codec) *Sender {
	t.Helper()
	s := &Sender{t: t, source: &record.Source{Stream: record.Stream{Sender: ID, Epoch: 1}, Host: "web 1", BootID: "boot"}, offsets: map[uint64]uint64{}}
	s.dial = func(ctx context.Context, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if s.queue, _, err = queue.Open(queue.Options{Dir: t.TempDir(), Source: s.source, Logger: quiet, WriteBuffer: 256 << 10}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.queue.Close(); err != nil {
			t.Error(err)
		}
	})
	if s.cursor, err = s.queue.Cursor("out"); err != nil {
		t.Fatal(err)
	}
	s.uplink, err = uplink.New(uplink.Options{
		Backlog: s.cursor, Store: none{}, Dial: s.connect, Epoch: s.queue.Epoch, Logger: quiet,
		Identity: uplink.Identity{Sender: ID, Host: s.source.Host, BootID: s.source.BootID, Instance: [16]byte{1}},
		Codec:    codec, Batch: 2 << 10, Batches: 6, BackOffMin: time.Millisecond, BackOffMax: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Dial replaces how the receiver is reached.
func (s *Sender) Dial(dial func(ctx context.Context, address string) (net.Conn, error)) {
	s.dial = dial
}

// Listening says where the receiver is now; "" means nowhere.
func (s *Sender) Listening(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address = address
}

func (s *Sender) connect(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	address := s.address
	s.mu.Unlock()
	if address == "" {
		return nil, errors.New("nobody listens")
	}
	return s.dial(ctx, address)
}

// Start runs the sender until the test ends.
func (s *Sender) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.queue.Run(ctx) })
	wg.Go(func() {
		if err := s.uplink.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// Append queues data that was written through a handle to a file, one chunk. The handle is the writer's pid too.
func (s *Sender) Append(handle uint64, f *record.File, data string, change ...func(*record.Chunk)) {
	s.t.Helper()
	c := record.Chunk{
		Source: s.source, File: f, Handle: handle, Offset: s.offsets[handle], Time: 1_700_000_000_000_000_000 + int64(handle), Clock: record.Written,
		Writer: &record.Writer{
			Kind: record.Thread, PID: uint32(handle), TID: uint32(handle) + 1, UID: 1000, GID: 100, Start: 12345, Comm: "nginx", Exe: "/usr/sbin/nginx", Unit: "nginx.service",
		},
		Records: 1, Data: []byte(data), Len: uint32(len(data)), CRC: record.CRC([]byte(data)),
	}
	for _, f := range change {
		f(&c)
	}
	s.offsets[handle] += uint64(len(data))
	if err := s.queue.Append([]record.Chunk{c}); err != nil {
		s.t.Fatal(err)
	}
}

// Drop makes a gap of all that is queued, before Start.
func (s *Sender) Drop(why record.Reason) {
	s.t.Helper()
	b, err := s.cursor.Next(s.t.Context(), 1<<30)
	if err == nil {
		err = s.cursor.Drop(b.First, b.Last, why)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Acked returns how much is acknowledged: Appends, counted from 1.
func (s *Sender) Acked() uint64 {
	acked, _ := s.cursor.Acked()
	return acked
}

// Await waits until as much is acknowledged.
func (s *Sender) Await(acked uint64) {
	s.t.Helper()
	s.Until(fmt.Sprintf("%d are acknowledged", acked), func() bool { return s.Acked() >= acked })
}

// Until polls.
func (s *Sender) Until(what string, done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(Patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s: not in %v; %d acknowledged, %+v", what, Patience, s.Acked(), s.uplink.Status())
		}
	}
}

// Status is the uplink's.
func (s *Sender) Status() uplink.Status { return s.uplink.Status() }
