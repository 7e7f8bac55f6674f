// Package uplink drains one destination's view of the queue to a receiver and takes its acknowledgements.
package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/pace"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// Identity is what HELLO says of the sender.
type Identity struct {
	Sender   record.SenderID
	Host     string
	BootID   string
	Instance [16]byte // random, once per process: a receiver tells a reconnect from a clone by it
}

// Options of an Uplink. Zero values take the defaults in brackets.
type Options struct {
	Backlog  record.Backlog
	Store    record.Store
	Dial     func(ctx context.Context) (net.Conn, error) // must return when ctx ends
	Identity Identity
	Epoch    func() uint64          // of what is captured now; [that of the latest acknowledged chunk]
	Streams  func() []record.Stream // further streams whose marks are worth knowing, of a relay [none]
	// Several says that other receivers acknowledge to the same queue, at other times or beside this one. What is
	// acknowledged then says nothing of this one: it is believed when it is met first, and held to what this process sent it
	// from then on. Whoever sets it begins an epoch at each start.
	Several bool
	Own     func(record.SenderID) bool // further ids under which this sender's data travels, derived ones [none]
	Watch   Watcher                    // is told how connections fare [nobody]
	// Begin is called when the receiver has been reached, before HELLO: the time to split the backlog. It returns where the
	// own stream of the fresh part stands, the zero Durable if there is none or nothing is acknowledged of it [none].
	Begin  func() record.Durable
	Logger *slog.Logger // [slog.Default()]

	Codec   wire.Codec // [None]
	Level   int        // of Zstd, 1 (fast) to 22 (small); the others have none [1]
	Batch   int        // payload bytes of a batch, at least one chunk; fewer on a link that is too slow for it [1 MiB]
	Window  int64      // bytes under way, at most, whatever the receiver grants [16 MiB]
	Batches int        // batches under way [256]

	Line   *pace.Line    // the way to the receiver, shared with others: when a batch may go [at once]
	Class  pace.Class    // how much this data matters on Line
	MaxAge time.Duration // of a connection, a tenth more or less at random; then it ends in order and begins anew [none]

	DialTimeout      time.Duration // [10 s]
	HandshakeTimeout time.Duration // [20 s]
	WriteTimeout     time.Duration // for one frame [60 s]
	AckTimeout       time.Duration // for any ACK while batches are under way; a slow output is not an error, but not for ever [5 min]
	DeadAfter        time.Duration // without any frame from the receiver [its idle timeout]
	StopTimeout      time.Duration // for what is under way when Run is asked to end [5 s]
	BackOffMin       time.Duration // between attempts, doubling to BackOffMax, half of it random [100 ms]
	BackOffMax       time.Duration // [30 s]
}

// Watcher is told how connections fare, one after the other.
type Watcher interface {
	// Up says that a connection is ready, who answers (zero: an older version), and how far that holds the streams that were
	// asked for; nothing is taken from the backlog before it returns. An error ends the connection.
	Up(receiver record.SenderID, marks []record.Durable) error
	// Leaving says that the receiver goes: nothing more is begun, what is under way is waited for.
	Leaving()
	// Down says that a connection has ended, or could not be made: nothing comes of it any more. err is nil if all was well.
	Down(err error)
}

// nobody watches.
type nobody struct{}

func (nobody) Up(record.SenderID, []record.Durable) error { return nil }
func (nobody) Leaving()                                   {}
func (nobody) Down(error)                                 {}

// Uplink keeps one connection to one receiver.
type Uplink struct {
	o       Options
	status  status
	suspect span           // positions that are read and sent entry by entry, to find the one that cannot be
	tries   map[uint64]int // failed reads by position; used by Run's goroutine
	memory  memory         // of Options.Several
	size    *batchSize
}

// span is a run of queue positions; empty if last is 0.
type span struct {
	first, last uint64
	old         bool // of the older part of a backlog that has two
}

func spanOf(b record.Batch) span { return span{b.First, b.Last, b.Part == record.Old} }

func (s span) holds(pos uint64) bool { return s.last != 0 && s.first <= pos && pos <= s.last }

// New checks the options. It starts nothing.
func New(o Options) (*Uplink, error) {
	if o.Backlog == nil || o.Store == nil || o.Dial == nil {
		return nil, fmt.Errorf("new uplink: got no backlog, store or dial, want all three")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Epoch == nil {
		o.Epoch = func() uint64 { _, m := o.Backlog.Acked(); return m.Epoch }
	}
	if o.Streams == nil {
		o.Streams = func() []record.Stream { return nil }
	}
	if o.Watch == nil {
		o.Watch = nobody{}
	}
	if o.Begin == nil {
		o.Begin = func() record.Durable { return record.Durable{} }
	}
	if o.Own == nil {
		o.Own = func(record.SenderID) bool { return false }
	}
	o.Level = or(o.Level, 1)
	o.Batch = or(o.Batch, 1<<20)
	o.Window = or(o.Window, 16<<20)
	o.Batches = or(o.Batches, 256)
	o.DialTimeout = or(o.DialTimeout, 10*time.Second)
	o.HandshakeTimeout = or(o.HandshakeTimeout, 20*time.Second)
	o.WriteTimeout = or(o.WriteTimeout, time.Minute)
	o.AckTimeout = or(o.AckTimeout, 5*time.Minute)
	o.StopTimeout = or(o.StopTimeout, 5*time.Second)
	o.BackOffMin = or(o.BackOffMin, 100*time.Millisecond)
	o.BackOffMax = max(or(o.BackOffMax, 30*time.Second), o.BackOffMin)
	if o.Level < 1 || o.Level > 22 {
		return nil, fmt.Errorf("new uplink: level: got %d, want 1 to 22", o.Level)
	}
	if o.Line != nil { // so that a batch that has begun can be finished in time
		if n := o.Line.Carries(o.StopTimeout / 2); n > 0 {
			o.Batch = min(o.Batch, max(int(n), smallBatch))
		}
	}
	if o.Batch < 1 || o.Batch > 4<<20 || o.Window < 1 || o.Batches < 1 {
		return nil, fmt.Errorf("new uplink: got batch %d, window %d, batches %d, want 1 to %d, and more than 0", o.Batch, o.Window, o.Batches, 4<<20)
	}
	return &Uplink{o: o, status: status{state: Idle, since: time.Now()}, tries: map[uint64]int{},
		size: newBatchSize(o.Batch, o.WriteTimeout)}, nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Run keeps the connection until ctx ends; then it waits for what is under way, at most StopTimeout, and returns
// nil. Everything else that can happen is tried again, except that a backlog which is closed ends Run with its error.
func (u *Uplink) Run(ctx context.Context) error {
	defer u.status.set(Stopped)
	pause := u.o.BackOffMin
	for ctx.Err() == nil {
		u.o.Backlog.Rewind()
		err := u.connect(ctx)
		var end *ending
		if !errors.As(err, &end) {
			end = &ending{err: err}
		}
		u.down(end)
		if errors.Is(err, record.ErrClosed) {
			return fmt.Errorf("run uplink: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		if end.stuck {
			u.size.stuck()
		}
		if end.worked {
			pause = u.o.BackOffMin
		}
		if !end.quiet {
			u.failed(err)
		}
		u.status.set(Waiting)
		wait(ctx, end.delay(pause))
		pause = min(2*pause, u.o.BackOffMax)
	}
	return nil
}

// down tells who watches.
func (u *Uplink) down(e *ending) {
	if e.quiet {
		u.o.Watch.Down(nil)
		return
	}
	u.o.Watch.Down(e.err)
}

// ending says how a connection ended, for the pause before the next.
type ending struct {
	err    error
	worked bool          // something was acknowledged: the next pause is the shortest again
	stuck  bool          // batches were under way, and none was acknowledged
	quiet  bool          // nothing went wrong
	retry  time.Duration // what the receiver asked for
}

// delay is how long to wait now: half of pause is random, lest all senders come back at once. So is a fifth of it when the
// receiver said how long: it may have said the same to everybody.
func (e *ending) delay(pause time.Duration) time.Duration {
	return max(pause/2+rand.N(pause/2+1), e.retry+rand.N(e.retry/4+1))
}

func (e *ending) Error() string { return e.err.Error() }
func (e *ending) Unwrap() error { return e.err }

// failed tells people once, not at every attempt.
func (u *Uplink) failed(err error) {
	if u.status.failed(err) {
		u.o.Logger.Warn("uplink: connection failed, trying again", notice.ReceiverAway, "error", err)
	}
}

// connect dials and serves one connection to its end.
func (u *Uplink) connect(ctx context.Context) error {
	u.status.set(Connecting)
	dialing, cancel := context.WithTimeout(ctx, u.o.DialTimeout)
	nc, err := u.o.Dial(dialing)
	cancel()
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer nc.Close()
	s := newSession(u, nc)
	return s.run(ctx)
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
