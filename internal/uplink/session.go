package uplink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/payload"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

var errDrained = errors.New("nothing is under way and nothing more is to be sent")

// session is one connection. run sends; two goroutines of its own, which it waits for, receive and keep alive.
type session struct {
	u   *Uplink
	nc  net.Conn
	buf []byte // of the receiving goroutine, and of the handshake before it starts

	limits wire.Limits
	resume *resume
	track  *tracker
	load   payload.Loader
	enc    wire.Encoder
	number atomic.Uint64 // of the latest batch sent; written by run under writing
	acked  atomic.Bool   // something was acknowledged on this connection
	heard  atomic.Int64  // unix nanoseconds of the latest ACK; one that acknowledges nothing new says that the receiver is waiting for others

	ctx    context.Context // ends with the connection
	end    context.CancelCauseFunc
	giving context.Context // ends when nothing new is to be begun: Run's ctx ended, or GOAWAY came
	halt   context.CancelFunc
	retry  atomic.Int64 // what GOAWAY asked for

	writing sync.Mutex    // held for one frame
	out     []byte        // guarded by writing
	torn    atomic.Bool   // a part of a frame was written: nothing may follow; set with writing held
	wrote   atomic.Int64  // unix nanoseconds of the latest frame sent
	pong    chan uint64   // tokens to answer
	pinged  atomic.Uint64 // token, and unix nanoseconds, of the latest PING
}

func newSession(u *Uplink, nc net.Conn) *session {
	return &session{u: u, nc: nc, load: payload.Loader{Store: u.o.Store}, enc: wire.Encoder{Level: u.o.Level}, pong: make(chan uint64, 4)}
}

// run serves the connection to its end, and says how it ended.
func (s *session) run(ctx context.Context) error {
	s.ctx, s.end = context.WithCancelCause(context.WithoutCancel(ctx))
	defer s.end(nil)
	s.giving, s.halt = context.WithCancel(s.ctx)
	defer s.halt()
	defer context.AfterFunc(ctx, s.halt)()
	defer context.AfterFunc(s.ctx, func() { s.nc.Close() })() // wakes whoever reads or writes
	if err := s.handshake(ctx); err != nil {
		return s.over(err)
	}
	if age := s.u.o.MaxAge; age > 0 {
		old := time.AfterFunc(age-age/10+rand.N(age/5+1), s.halt)
		defer old.Stop()
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.end(s.receive()) })
	wg.Go(s.keep)
	err := s.send()
	if err == nil {
		err = s.drain()
	}
	s.end(err)
	wg.Wait()
	return s.over(context.Cause(s.ctx))
}

// over turns the reason of the end into what Run acts upon, and does what the receiver demands.
func (s *session) over(err error) error {
	e := &ending{err: err, worked: s.acked.Load(), retry: time.Duration(s.retry.Load()), stuck: s.number.Load() > 0 && !s.acked.Load()}
	var n *refused
	switch {
	case errors.Is(err, errDrained):
		e.quiet = true
	case errors.Is(err, record.ErrEpoch):
		e.err = s.newEpoch(err)
	case errors.As(err, &n) && n.Code == wire.NotTaken && n.Number > 0:
		if fault := s.notTaken(n); fault != nil {
			e.err = fault
		}
	}
	return e
}

// newEpoch gives what is not acknowledged another name.
func (s *session) newEpoch(why error) error {
	epoch, err := s.u.o.Backlog.NewEpoch()
	if err != nil {
		return fmt.Errorf("new epoch: %w", err)
	}
	s.u.status.epochs.Add(1)
	s.u.o.Logger.Warn("uplink: began a new epoch", notice.NewEpoch, "epoch", epoch, "reason", why)
	return why
}

// notTaken gives up the entry that the receiver refused for good, once it is known which it is.
func (s *session) notTaken(n *refused) error {
	p, ok := s.track.find(n.Number)
	if !ok {
		return nil
	}
	if !p.single {
		s.u.suspect = p.span
		return nil
	}
	return s.u.drop(p.span, record.Refused, n)
}

// drop gives positions up. The queue counts them and puts a gap in their place.
func (u *Uplink) drop(p span, why record.Reason, cause error) error {
	u.o.Logger.Error("uplink: gave up an entry of the queue", notice.DataRefused, "position", p.first, "reason", why.String(), "error", cause)
	if err := u.o.Backlog.Drop(p.first, p.last, why); err != nil {
		return fmt.Errorf("drop positions %d to %d: %w", p.first, p.last, err)
	}
	u.status.drops.Add(1)
	delete(u.tries, p.first)
	return nil
}

// refused is a NACK.
type refused struct{ wire.Nack }

func (r *refused) Error() string { return fmt.Sprintf("receiver refused: %v: %s", r.Code, r.Text) }

func (r *refused) Unwrap() error {
	if r.Code == wire.NewEpoch {
		return record.ErrEpoch
	}
	return nil
}

// handshake says HELLO and learns from WELCOME where to go on.
func (s *session) handshake(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.end(errDrained) }) // nothing is under way yet
	defer stop()
	if err := s.nc.SetDeadline(time.Now().Add(s.u.o.HandshakeTimeout)); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	o := &s.u.o
	fresh := o.Begin()
	_, acked := o.Backlog.Acked()
	epoch := o.Epoch()
	hello := wire.Hello{
		Versions: []uint64{wire.Version}, Sender: o.Identity.Sender, Epoch: epoch, Instance: o.Identity.Instance,
		Host: wire.Text(o.Identity.Host), BootID: wire.Text(o.Identity.BootID), Acked: acked,
	}
	own := record.Stream{Sender: o.Identity.Sender, Epoch: epoch}
	for _, st := range append([]record.Stream{own, acked.Stream}, o.Streams()...) {
		if len(hello.Streams) == wire.MaxStreams { // a relay may have hundreds of thousands: its receiver waits for HELLO
			break
		}
		if st != (record.Stream{}) && !slices.Contains(hello.Streams, st) {
			hello.Streams = append(hello.Streams, st)
		}
	}
	if _, err := s.nc.Write(hello.Append(nil)); err != nil {
		return s.cause(fmt.Errorf("handshake: %w", err))
	}
	w, err := s.welcome()
	if err != nil {
		return s.cause(fmt.Errorf("handshake: %w", err))
	}
	if err := s.nc.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	return s.begin(w, acked, fresh, own, hello.Streams)
}

// welcome waits for WELCOME. A receiver may ping while it makes up its mind.
func (s *session) welcome() (wire.Welcome, error) {
	for {
		f, buf, err := wire.ReadControl(s.nc, s.buf)
		s.buf = buf
		if err != nil {
			return wire.Welcome{}, err
		}
		switch f := f.(type) {
		case wire.Welcome:
			if f.Version != wire.Version {
				return f, fmt.Errorf("got version %d, want %d: %w", f.Version, wire.Version, record.ErrCorrupt)
			}
			return f, f.Limits.Check()
		case wire.Nack:
			return wire.Welcome{}, &refused{f}
		case wire.Goaway:
			s.retry.Store(int64(min(f.RetryMillis, maxRetryMillis)) * int64(time.Millisecond))
			return wire.Welcome{}, fmt.Errorf("receiver goes away: %s", f.Text)
		case wire.Ping:
			if _, err := s.nc.Write(wire.Pong(f).Append(nil)); err != nil {
				return wire.Welcome{}, err
			}
		case wire.Unknown:
		default:
			return wire.Welcome{}, fmt.Errorf("got %T, want WELCOME: %w", f, record.ErrCorrupt)
		}
	}
}

// begin compares the two sides' marks, of what is acknowledged of the backlog and of its fresh part, and sets the window up.
func (s *session) begin(w wire.Welcome, acked, fresh record.Durable, own record.Stream, asked []record.Stream) error {
	var behind bool
	var err error
	if s.u.o.Several {
		s.resume, err = s.recall(w, own, asked)
	} else {
		s.resume, behind, err = newResume(own, s.u.o.Identity.BootID, acked, w.Marks, s.u.o.Backlog.Given(), s.u.owns)
		if err == nil && fresh != (record.Durable{}) {
			var less bool
			less, err = s.resume.startFresh(fresh)
			behind = behind || less
		}
	}
	if err != nil {
		return err
	}
	if err := s.u.o.Watch.Up(w.Receiver, w.Marks); err != nil {
		return err
	}
	if behind {
		s.u.o.Logger.Warn("uplink: the receiver knows less than it had acknowledged", notice.ReceiverBehind, "acked", acked.Seq, "known", s.resume.own.Seq)
	}
	s.limits = w.Limits
	s.track = newTracker(s.u.o.Window, s.u.o.Batches, w.Credit, s.resume.own)
	s.track.hold(!s.resume.verified())
	now := time.Now().UnixNano()
	s.wrote.Store(now)
	s.u.status.latest.Store(now)
	s.u.status.connected(s.nc.RemoteAddr().String(), Receiver{w.Receiver, string(w.Name)}, s.track)
	s.u.o.Logger.Info("uplink: connected", "address", s.nc.RemoteAddr().String(), "acked", acked.Seq)
	return nil
}

// cause prefers the reason why the connection was ended over the error that this made.
func (s *session) cause(err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return err
}
