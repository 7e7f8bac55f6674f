package ingest

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// attack checks that a peer which was there before is not disturbed when rogue has done its worst.
func attack(t *testing.T, address string, out *memory, rogue func()) {
	t.Helper()
	undisturbed(t, connect(t, address, stream(200), 1), out, rogue)
}

func undisturbed(t *testing.T, good *peer, out *memory, rogue func()) {
	t.Helper()
	good.batch(chunks(stream(200), 1, 5, 10))
	good.acked(1)
	rogue()
	good.wait()
	good.batch(chunks(stream(200), 6, 9, 10))
	good.acked(2)
	out.holds(t, stream(200), 1, 9, 10)
}

// pipes is a listener for connections without any buffer: who does not read blocks who writes at once.
type pipes struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), ended: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.ended) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) connect(t *testing.T, s record.Stream) *peer {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	t.Cleanup(func() { ours.Close() })
	got := &peer{t: t, nc: ours}
	got.wait()
	got.send(hello(s, 1))
	if f, ok := got.receive().(wire.Welcome); !ok {
		t.Fatalf("got %+v, want WELCOME", f)
	}
	return got
}

// Who never reads its acknowledgements is given up when there is no more room for them.
func TestDeaf(t *testing.T) {
	t.Parallel() // it waits for a time-out that the good peer has too
	ln := newPipes()
	out := newMemory()
	s, _ := serveOn(t, ln, Options{Output: out, WriteTimeout: brief})
	undisturbed(t, ln.connect(t, stream(200)), out, func() {
		p := ln.connect(t, stream(1))
		for seq := uint64(1); ; seq++ { // until the receiver, whose answers nobody reads, closes
			if _, err := p.nc.Write(p.frame(chunks(stream(1), seq, seq, 1), wire.None)); err != nil {
				break
			}
		}
		until(t, "deaf", func() bool { return s.Status().Refused["deaf"] == 1 })
	})
}

// Frames that are answered or passed over, as fast as they go.
func TestFloodOfControlFrames(t *testing.T) {
	for name, f := range map[string]wire.Control{"ping": wire.Ping{Token: 1 << 60}, "pong": wire.Pong{}, "goaway": wire.Goaway{Code: 9}, "optional": wire.Unknown{Type: 77}} {
		t.Run(name, func(t *testing.T) {
			out := newMemory()
			s, address := serve(t, Options{Output: out})
			attack(t, address, out, func() {
				p := connect(t, address, stream(1), 1)
				b := f.Append(nil)
				for range controlBurst {
					p.raw(b)
				}
				go func() {
					for {
						if _, err := p.nc.Write(b); err != nil {
							return
						}
					}
				}()
				until(t, "flooding", func() bool { return s.Status().Refused["flooding"] == 1 })
				p.nc.Close()
			})
		})
	}
}

// A peer may send batches with nothing in them as fast as it likes: they are work for it too.
func TestFloodOfEmptyBatches(t *testing.T) {
	out := newMemory()
	_, address := serve(t, Options{Output: out})
	attack(t, address, out, func() {
		p := connect(t, address, stream(1), 1)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for range 5000 {
				p.raw(p.frame(nil, wire.None))
			}
		})
		p.acked(5000)
	})
	if got := out.seqs(stream(1)); len(got) != 0 {
		t.Errorf("got %v stored, want nothing", got)
	}
}

// One byte at a time, at every stage: what counts is when the whole is there.
func TestTrickle(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reason Reason
		first  bool // it is the first frame
		bytes  func(p *peer) []byte
	}{
		"hello": {NoHello, true, func(p *peer) []byte { return hello(stream(1), 1).Append(nil) }},
		"ping":  {Slow, false, func(p *peer) []byte { return wire.Ping{Token: 1 << 60}.Append(nil) }},
		"batch": {Slow, false, func(p *peer) []byte { return p.frame(chunks(stream(1), 1, 1, 1000), wire.None) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := newMemory()
			s, address := serve(t, Options{Output: out, HandshakeTimeout: brief, FrameTimeout: brief})
			attack(t, address, out, func() {
				p := dial(t, address)
				if !tc.first {
					p.nc.Close()
					p = connect(t, address, stream(1), 1)
				}
				b := tc.bytes(p)
				every := time.NewTicker(brief / 2) // all of it would take several times as long as is allowed
				defer every.Stop()
				for i := 0; s.Status().Refused[tc.reason.String()] == 0; i++ {
					<-every.C
					if i >= len(b)-1 {
						t.Fatal("all but the last byte was sent, and nobody minds")
					}
					if _, err := p.nc.Write(b[i : i+1]); err != nil {
						break
					}
				}
				p.nc.Close()
				until(t, tc.reason.String(), func() bool { return s.Status().Refused[tc.reason.String()] == 1 })
			})
		})
	}
}

// Bodies that grow a thousandfold take no more memory than is allowed, and no more than they say.
func TestDecompressionBombs(t *testing.T) {
	out := newMemory()
	leave := make(chan struct{})
	var hold atomic.Bool
	out.fail = func(ctx context.Context, _ []record.Chunk) error {
		if hold.Load() {
			<-leave
		}
		return nil
	}
	s, address := serve(t, Options{Output: out, Memory: 2 * wire.MaxBody})
	list := chunks(stream(1), 1, 3, 1<<20)
	for i := range list {
		clear(list[i].Data)
		list[i].CRC = record.CRC(list[i].Data)
	}
	bomb := (&peer{t: t}).frame(list, wire.Zstd) // packed once: everybody brings it
	if n := len(bomb); n > 3<<20/1000 {
		t.Fatalf("got a frame of %d bytes, want a bomb", n)
	}
	attack(t, address, out, func() {
		hold.Store(true)
		var peers []*peer
		for n := range byte(20) {
			p := connect(t, address, stream(n+1), 1)
			p.raw(bomb)
			peers = append(peers, p)
		}
		until(t, "some wait for memory", func() bool {
			free := s.memory.TryAcquire(4 << 20)
			if free {
				s.memory.Release(4 << 20)
			}
			return !free
		})
		if got := s.Status().Bytes; got > 2*wire.MaxBody {
			t.Errorf("got %d bytes decompressed at once, want at most %d", got, 2*wire.MaxBody)
		}
		hold.Store(false)
		close(leave)
		for _, p := range peers {
			p.wait() // all that was unpacked until here took its time
			p.acked(1)
		}
	})
	p := connect(t, address, stream(100), 1) // one that grows beyond what it says
	h, err := wire.PeekBatch(bomb[4:])
	if err != nil {
		t.Fatal(err)
	}
	p.raw(understate(t, bomb, h))
	p.refused(wire.Malformed)
}

// understate says of a compressed frame that it is half as long when it is unpacked.
func understate(t *testing.T, frame []byte, h wire.BatchHeader) []byte {
	t.Helper()
	b := []byte{0x97, byte(wire.TypeBatch), byte(h.Number), byte(h.Codec)}
	for _, n := range []int{int(h.Sum), h.Head, h.Body / 2} {
		b = binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	b = binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(h.Packed))
	b = append(b, frame[len(frame)-h.Packed:]...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}
