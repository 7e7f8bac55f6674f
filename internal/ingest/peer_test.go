package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen; reaching it is a failure.
const patience = 60 * time.Second

// brief is a time-out that some peer is to reach. Others have the same, on a machine that may be busy.
const brief = 3 * time.Second

// serve starts a server on loopback, with short time-outs unless o says otherwise, and stops it with the test.
func serve(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	return serveOn(t, listen(t), o)
}

func serveOn(t testing.TB, ln net.Listener, o Options) (*Server, string) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.RetryMin == 0 {
		o.RetryMin, o.RetryMax = time.Millisecond, 5*time.Millisecond
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("serve: %v", err)
			}
		case <-time.After(patience):
			t.Errorf("serve did not end in %v", patience)
		}
	})
	return s, ln.Addr().String()
}

// peer is a sender by hand.
type peer struct {
	t       testing.TB
	nc      net.Conn
	welcome wire.Welcome
	enc     wire.Encoder
	number  uint64
}

func dial(t testing.TB, address string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	p := &peer{t: t, nc: nc}
	p.wait()
	return p
}

// wait gives the peer's next steps as much time as its first.
func (p *peer) wait() {
	p.t.Helper()
	if err := p.nc.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
}

func hello(stream record.Stream, instance byte) wire.Hello {
	return wire.Hello{Versions: []uint64{1}, Sender: stream.Sender, Epoch: stream.Epoch, Instance: [16]byte{instance},
		Host: "h", BootID: "b", Streams: []record.Stream{stream}}
}

// connect shakes hands.
func connect(t testing.TB, address string, stream record.Stream, instance byte) *peer {
	t.Helper()
	p := dial(t, address)
	p.send(hello(stream, instance))
	var ok bool
	if f := p.receive(); f != nil {
		if p.welcome, ok = f.(wire.Welcome); ok {
			return p
		}
		t.Fatalf("got %+v, want WELCOME", f)
	}
	t.Fatal("got the end, want WELCOME")
	return nil
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) send(f wire.Control) { p.t.Helper(); p.raw(f.Append(nil)) }

// frame encodes the next batch.
func (p *peer) frame(chunks []record.Chunk, codec wire.Codec) []byte {
	p.t.Helper()
	p.number++
	bufs, _, err := p.enc.Batch(p.number, chunks, codec)
	if err != nil {
		p.t.Fatal(err)
	}
	return bytes.Join(bufs, nil)
}

func (p *peer) batch(chunks []record.Chunk) { p.t.Helper(); p.raw(p.frame(chunks, wire.None)) }

// receive returns the next frame that is not a PING, or nil at the end.
func (p *peer) receive() wire.Control {
	p.t.Helper()
	for {
		f, _, err := wire.ReadControl(p.nc, nil)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			p.t.Fatalf("receive: %v", err)
		}
		if ping, ok := f.(wire.Ping); ok {
			p.send(wire.Pong(ping))
			continue
		}
		return f
	}
}

// acked waits for an ACK of batch n, or more.
func (p *peer) acked(n uint64) {
	p.t.Helper()
	for {
		switch f := p.receive().(type) {
		case wire.Ack:
			if f.Through >= n {
				return
			}
		default:
			p.t.Fatalf("got %+v, want ACK %d", f, n)
		}
	}
}

// refused waits for a NACK with that code and the end of the connection.
func (p *peer) refused(code wire.Code) wire.Nack {
	p.t.Helper()
	for {
		switch f := p.receive().(type) {
		case wire.Ack:
			continue
		case wire.Nack:
			if f.Code != code || f.Text == "" {
				p.t.Fatalf("got NACK %v %q, want %v and a text", f.Code, f.Text, code)
			}
			if f := p.receive(); f != nil {
				p.t.Fatalf("got %+v behind NACK, want the end", f)
			}
			p.nc.Close()
			return f
		default:
			p.t.Fatalf("got %+v, want NACK %v", f, code)
		}
	}
}

func stream(n byte) record.Stream { return record.Stream{Sender: record.SenderID{n}, Epoch: 1} }

// chunks makes chunks first..last of a stream, each of size bytes that say which it is.
func chunks(s record.Stream, first, last uint64, size int) []record.Chunk {
	src := &record.Source{Stream: s, Host: "h", BootID: "b"}
	file, writer := &record.File{Mount: "m", Path: "p"}, &record.Writer{Comm: "c"}
	var list []record.Chunk
	for seq := first; seq <= last; seq++ {
		data := bytes.Repeat([]byte(fmt.Sprintf("%09d\n", seq)), size/10+1)[:size]
		list = append(list, record.Chunk{Seq: seq, Source: src, File: file, Writer: writer, Handle: 1, Offset: (seq - 1) * uint64(size),
			Records: 1, CRC: record.CRC(data), Len: uint32(size), Data: data})
	}
	return list
}

// holds checks that the output has exactly first..last of s, in order, with the right bytes.
func (m *memory) holds(t testing.TB, s record.Stream, first, last uint64, size int) {
	t.Helper()
	var want []uint64
	var data []byte
	for _, c := range chunks(s, first, last, size) {
		want = append(want, c.Seq)
		data = append(data, c.Data...)
	}
	got := m.seqs(s)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(got, want) || !bytes.Equal(m.data[s], data) {
		t.Errorf("got sequences %v and %d bytes, want %d to %d and %d bytes", got, len(m.data[s]), first, last, len(data))
	}
}

// waitingOf is how many batches of a peer have been read, and wait to be stored.
func (s *Server) waitingOf(peer record.Stream) int {
	s.mu.Lock()
	c := s.peers[peer]
	s.mu.Unlock()
	c.pending.mu.Lock()
	defer c.pending.mu.Unlock()
	return len(c.pending.items)
}

// until polls for what the server notices by itself.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
