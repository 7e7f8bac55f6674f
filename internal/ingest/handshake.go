package ingest

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// handshake reads HELLO and answers it. Afterwards the connection is among the peers.
func (c *conn) handshake() error {
	ctx, cancel := context.WithTimeout(c.reading, c.s.o.HandshakeTimeout)
	defer cancel()
	if err := c.readBy(c.s.o.HandshakeTimeout); err != nil {
		return err
	}
	if err := c.identify(ctx); err != nil {
		return err
	}
	hello, err := c.greeting()
	if err != nil {
		return err
	}
	p := c.s.policy.Load()
	if err := c.authorize(p, true); err != nil { // before it takes another connection's place
		return err
	}
	w := wire.Welcome{Version: wire.Version, Limits: c.s.o.limits(), Receiver: c.s.o.ID, Name: wire.Text(c.s.o.Name)}
	if slices.Contains(hello.Features, wire.Probe) {
		c.probe, w.Features = true, []wire.Text{wire.Probe}
	} else if err := c.s.join(ctx, c); err != nil {
		return err
	}
	if now := c.s.policy.Load(); now != p { // SetPeers has seen the connection only after it joined
		if err := c.authorize(now, false); err != nil {
			return err
		}
	}
	if w.Marks, err = c.answered(ctx, hello.Streams); err != nil {
		return refuse(NoMarks, wire.Busy, 0, "the marks cannot be read: %v; come back", err)
	}
	return c.grant(0, func(credit uint64) wire.Control {
		w.Credit, w.Time = credit, uint64(time.Now().UnixNano())
		return w
	})
}

// greeting reads HELLO, and keeps what is needed of it.
func (c *conn) greeting() (hello wire.Hello, err error) {
	f, _, err := wire.ReadControl(c.br, nil)
	if errors.Is(err, record.ErrCorrupt) {
		return hello, refuse(Stray, wire.Malformed, 0, "this is an ftfuse receiver: want HELLO: %v", err)
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			c.s.stats.refused[Stray].Add(1) // half a HELLO; nobody is left to tell
		}
		return hello, c.readError(err, func() *refusal {
			return refuse(NoHello, wire.OverLimit, 0, "got no HELLO in %v", c.s.o.HandshakeTimeout)
		})
	}
	hello, ok := f.(wire.Hello)
	if !ok {
		return hello, refuse(Stray, wire.Malformed, 0, "this is an ftfuse receiver: got %T, want HELLO", f)
	}
	if !slices.Contains(hello.Versions, wire.Version) {
		return hello, refuse(WrongVersion, wire.NoVersion, 0, "got versions %v, want %d", hello.Versions, wire.Version)
	}
	c.hello = hello
	c.hello.Versions, c.hello.Streams, c.hello.Features, c.hello.BootID = nil, nil, nil, "" // up to 24 KiB that nobody asks for again
	c.latest.Store(time.Now().UnixNano())
	return hello, nil
}

// answered is how far this receiver answers for streams, of those for which it does: nowhere beyond what the output holds.
func (c *conn) answered(ctx context.Context, streams []record.Stream) (marks []record.Durable, err error) {
	o := &c.s.o
	held := make([]record.Durable, len(streams))
	for i, s := range streams {
		if held[i], err = o.Output.Mark(ctx, s); err != nil {
			return nil, err
		}
	}
	var ends []record.Durable
	if o.End != nil && len(streams) > 0 { // all at once: an answer may cost a commit
		if ends, err = o.End.Answered(streams); err != nil {
			return nil, err
		}
	}
	for i, s := range streams {
		m := held[i]
		if ends != nil {
			m = c.lower(s, m, ends[i])
		}
		if m.Seq > 0 {
			m.Stream = s
			marks = append(marks, m)
		}
	}
	return marks, nil
}

// lower is what the peer is told of a stream that the output holds up to held and others have answered for up to end. What the
// peer knows to be acknowledged it has given up, whoever has to answer by now: it goes on from there, and so would not if it were
// told less.
func (c *conn) lower(stream record.Stream, held, end record.Durable) record.Durable {
	a := c.hello.Acked
	switch own := a.Stream == stream; {
	case end.Seq >= held.Seq || own && a.Seq >= held.Seq:
		return held
	case own && a.Seq > end.Seq:
		return a
	}
	return end
}

// join makes c the one connection of its sender and epoch. A former connection of the same process is replaced,
// once it has stored what it had read: the marks of WELCOME must cover that.
func (s *Server) join(ctx context.Context, c *conn) error {
	for first := true; ; first = false {
		s.mu.Lock()
		old := s.peers[c.stream()]
		if old == nil {
			s.peers[c.stream()] = c
		}
		s.mu.Unlock()
		if old == nil {
			return nil
		}
		if first {
			if err := s.queueUp(c.stream()); err != nil {
				return err
			}
			defer s.queueOff(c.stream())
		}
		if old.hello.Instance != c.hello.Instance {
			if err := old.lives(ctx); err != nil {
				return err
			}
		}
		old.interrupt(errSuperseded)
		select {
		case <-old.ended:
		case <-ctx.Done():
			if c.reading.Err() != nil {
				return context.Cause(c.reading)
			}
			return refuse(Waiting, wire.Busy, 0, "the former connection is still storing what it has read; come back")
		}
		s.mu.Lock()
		if s.peers[c.stream()] == old {
			delete(s.peers, c.stream())
		}
		s.mu.Unlock()
	}
}

// queueUp counts a connection that waits for the one of the same sender and epoch to end, unless too many do: each
// holds a goroutine and a descriptor until its handshake times out.
func (s *Server) queueUp(stream record.Stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.waiting[stream]; n >= maxWaiting {
		return refuse(Waiting, wire.Busy, 0, "got %d connections of sender %v that wait for their former one, want at most %d; come back", n+1, stream.Sender, maxWaiting)
	}
	s.waiting[stream]++
	return nil
}

func (s *Server) queueOff(stream record.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[stream]--; s.waiting[stream] == 0 {
		delete(s.waiting, stream)
	}
}

// lives returns nil when the peer of c shows no life within ProbeTimeout: a sender that was restarted or cut off is
// not mistaken for a clone because its former connection has not been noticed dead.
func (c *conn) lives(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.s.o.ProbeTimeout)
	defer cancel()
	start := time.Now().UnixNano()
	if c.write(wire.Ping{Token: uint64(start)}) != nil {
		return nil
	}
	for wait(ctx, 10*time.Millisecond) {
		select {
		case <-c.gone:
			return nil
		default:
		}
		if c.latest.Load() > start {
			return refuse(Clone, wire.NewEpoch, 0, "sender %v, epoch %d: connected from %v by another process", c.hello.Sender, c.hello.Epoch, c.nc.RemoteAddr())
		}
	}
	if c.held.Load() {
		return refuse(Waiting, wire.Busy, 0, "the former connection is waiting for the output; come back")
	}
	return nil
}
