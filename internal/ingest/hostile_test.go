package ingest

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// hostile runs one peer that breaks a rule while another works, and checks that the one is refused, counted under
// reason, and the other not disturbed.
func hostile(t *testing.T, reason Reason, o Options, attack func(t *testing.T, address string)) {
	t.Helper()
	out := newMemory()
	o.Output = out
	s, address := serve(t, o)
	good := connect(t, address, stream(200), 1)
	good.batch(chunks(stream(200), 1, 5, 10))
	attack(t, address)
	good.wait() // an attack may have taken long
	until(t, reason.String(), func() bool { return s.Status().Refused[reason.String()] == 1 })
	good.batch(chunks(stream(200), 6, 9, 10))
	good.acked(2)
	out.holds(t, stream(200), 1, 9, 10)
	for name, n := range s.Status().Refused {
		if want := uint64(0); name != reason.String() && n != want {
			t.Errorf("%s: got %d, want %d", name, n, want)
		}
	}
	if got := out.seqs(stream(1)); len(got) > 1 {
		t.Errorf("got %v stored of the hostile peer", got)
	}
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	for name, first := range map[string][]byte{
		"http":      []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"tls":       {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3},
		"zero":      make([]byte, 100),
		"huge":      {0xff, 0xff, 0xff, 0xff, 1},
		"no array":  {0, 0, 0, 1, 5},
		"batch":     batchFrame(t, chunks(stream(1), 1, 1, 10)),
		"ping":      wire.Ping{Token: 1}.Append(nil),
		"welcome":   wire.Welcome{}.Append(nil),
		"bad magic": {0, 0, 0, 5, 0x92, 1, 0xa2, 'h', 'i'},
	} {
		t.Run(name, func(t *testing.T) {
			hostile(t, Stray, Options{}, func(t *testing.T, address string) {
				p := dial(t, address)
				p.raw(first)
				p.refused(wire.Malformed)
			})
		})
	}
	t.Run("half a hello", func(t *testing.T) {
		hostile(t, Stray, Options{}, func(t *testing.T, address string) {
			p := dial(t, address)
			p.raw(hello(stream(1), 1).Append(nil)[:30])
			p.nc.Close()
		})
	})
	t.Run("version", func(t *testing.T) {
		hostile(t, WrongVersion, Options{}, func(t *testing.T, address string) {
			h := hello(stream(1), 1)
			h.Versions = []uint64{2, 99}
			p := dial(t, address)
			p.send(h)
			p.refused(wire.NoVersion)
		})
	})
	t.Run("no hello", func(t *testing.T) {
		t.Parallel()
		hostile(t, NoHello, Options{HandshakeTimeout: brief}, func(t *testing.T, address string) {
			p := dial(t, address)
			p.raw([]byte{0})
			p.refused(wire.OverLimit)
		})
	})
}

func batchFrame(t testing.TB, list []record.Chunk) []byte {
	return (&peer{t: t}).frame(list, wire.None)
}

// patch changes the length that a frame's prefix says.
func patch(b []byte, n uint32) []byte {
	binary.BigEndian.PutUint32(b, n)
	return b
}

func TestRuleBreakers(t *testing.T) {
	one := func() []record.Chunk { return chunks(stream(1), 1, 1, 1000) }
	for name, tc := range map[string]struct {
		reason Reason
		code   wire.Code
		bytes  func(p *peer) []byte
	}{
		"flipped payload": {BadSum, wire.BadData, func(p *peer) []byte {
			b := p.frame(one(), wire.None)
			b[len(b)-1] ^= 1
			return b
		}},
		"flipped head": {Malformed, wire.Malformed, func(p *peer) []byte {
			b := p.frame(one(), wire.None)
			b[len(b)-1005] ^= 1
			return b
		}},
		"flipped zstd": {Malformed, wire.Malformed, func(p *peer) []byte {
			b := p.frame(one(), wire.Zstd)
			b[len(b)-20] ^= 0xff
			return b
		}},
		"wrong number":  {Malformed, wire.Malformed, func(p *peer) []byte { p.number = 1; return p.frame(one(), wire.None) }},
		"unknown frame": {Malformed, wire.Malformed, func(p *peer) []byte { return wire.Unknown{Type: 63}.Append(nil) }},
		"receiver's":    {Malformed, wire.Malformed, func(p *peer) []byte { return wire.Ack{Through: 1}.Append(nil) }},
		"second hello":  {Malformed, wire.Malformed, func(p *peer) []byte { return hello(stream(1), 1).Append(nil) }},
		"huge frame":    {Oversized, wire.OverLimit, func(p *peer) []byte { return patch(p.frame(one(), wire.None), 1<<31) }},
		"huge ping": {Oversized, wire.OverLimit, func(p *peer) []byte {
			return patch(append(wire.Ping{}.Append(nil), make([]byte, 100)...), wire.MaxControl+1)
		}},
		"huge body":       {Oversized, wire.OverLimit, func(p *peer) []byte { return p.frame(chunks(stream(1), 1, 4, 1<<20), wire.Zstd) }},
		"too many chunks": {Malformed, wire.Malformed, func(p *peer) []byte { return p.frame(chunks(stream(1), 1, 101, 1), wire.None) }},
		"zero length":     {Oversized, wire.OverLimit, func(p *peer) []byte { return make([]byte, 100) }},
	} {
		t.Run(name, func(t *testing.T) {
			hostile(t, tc.reason, Options{Body: wire.MinBody, Chunks: 100}, func(t *testing.T, address string) {
				p := connect(t, address, stream(1), 1)
				p.raw(tc.bytes(p))
				p.refused(tc.code)
			})
		})
	}
}

func TestBeyondCredit(t *testing.T) {
	out := newMemory()
	leave := make(chan struct{})
	out.fail = func(ctx context.Context, _ []record.Chunk) error {
		select {
		case <-leave:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	s, address := serve(t, Options{Output: out, Window: 100 << 10, StopTimeout: time.Millisecond})
	p := connect(t, address, stream(1), 1)
	if p.welcome.Credit != 100<<10 {
		t.Fatalf("got a credit of %d, want %d", p.welcome.Credit, 100<<10)
	}
	p.batch(chunks(stream(1), 1, 1, 1<<20)) // one is always allowed
	p.batch(chunks(stream(1), 2, 2, 10))
	p.refused(wire.OverLimit)
	close(leave)
	if got := s.Status().Refused["beyond_credit"]; got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

func TestSlowPeers(t *testing.T) {
	t.Parallel()
	t.Run("half a frame", func(t *testing.T) {
		t.Parallel()
		hostile(t, Slow, Options{FrameTimeout: brief}, func(t *testing.T, address string) {
			p := connect(t, address, stream(1), 1)
			b := p.frame(chunks(stream(1), 1, 1, 50_000), wire.None)
			p.raw(b[:40_000])
			p.refused(wire.OverLimit)
		})
	})
	t.Run("half a length", func(t *testing.T) {
		t.Parallel()
		hostile(t, Slow, Options{FrameTimeout: brief}, func(t *testing.T, address string) {
			p := connect(t, address, stream(1), 1)
			p.raw([]byte{0, 0})
			p.refused(wire.OverLimit)
		})
	})
	t.Run("silent", func(t *testing.T) {
		out := newMemory()
		s, address := serve(t, Options{Output: out, IdleTimeout: time.Second})
		p := connect(t, address, stream(1), 1)
		for {
			f, _, err := wire.ReadControl(p.nc, nil) // its pings are not answered
			if err != nil {
				t.Fatal(err)
			}
			if n, ok := f.(wire.Nack); ok {
				if n.Code != wire.OverLimit || s.Status().Refused["silent"] != 1 {
					t.Errorf("got %+v, %v", n, s.Status().Refused)
				}
				return
			}
		}
	})
}

// More connections than allowed are turned away, in all and from one address; those that are there go on.
func TestFlood(t *testing.T) {
	for name, tc := range map[string]struct {
		o      Options
		reason Reason
	}{
		"in all":      {Options{Connections: 10}, TooMany},
		"per address": {Options{PerAddress: 10}, TooManyPerAddress},
	} {
		t.Run(name, func(t *testing.T) {
			out := newMemory()
			tc.o.Output, tc.o.HandshakeTimeout = out, patience // those that are held say nothing
			s, address := serve(t, tc.o)
			good := connect(t, address, stream(1), 1)
			var held []net.Conn
			for range 200 {
				nc, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, nc)
			}
			until(t, "191 refused", func() bool { return s.Status().Refused[tc.reason.String()] == 191 })
			good.batch(chunks(stream(1), 1, 5, 10))
			good.acked(1)
			if got := s.Status().Connections; got != 10 {
				t.Errorf("got %d connections, want 10", got)
			}
			for _, nc := range held {
				nc.Close()
			}
			until(t, "room again", func() bool { return s.Status().Connections == 1 })
			connect(t, address, stream(2), 1)
		})
	}
}

// Noise after a good handshake, and good frames with noise in them, from many peers at once.
func TestNoise(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	out := newMemory()
	s, address := serve(t, Options{Output: out})
	good := connect(t, address, stream(200), 1)
	var wg sync.WaitGroup
	for n := range byte(40) {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		wg.Go(func() {
			nc, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			b := hello(stream(n), 1).Append(nil)
			b = append(b, (&peer{t: t}).frame(chunks(stream(n), 1, 3, 500), wire.Codec(n%3))...)
			for range 1 + rng.IntN(8) {
				b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			}
			_, _ = nc.Write(b[:rng.IntN(len(b))+1])
			_ = nc.SetReadDeadline(time.Now().Add(time.Duration(rng.IntN(200)) * time.Millisecond))
			_, _ = nc.Read(b)
		})
	}
	for n := range uint64(50) {
		good.batch(chunks(stream(200), n+1, n+1, 100))
	}
	good.acked(50)
	wg.Wait()
	out.holds(t, stream(200), 1, 50, 100)
	until(t, "they are gone", func() bool { return s.Status().Connections == 1 })
	for s, list := range out.got {
		for i := range list {
			if record.CRC(list[i].Data) != list[i].CRC {
				t.Errorf("%v: a damaged chunk was stored", s)
			}
		}
	}
}
