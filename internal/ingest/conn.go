package ingest

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

var (
	errStopping   = errors.New("the receiver stops")
	errSuperseded = errors.New("the peer has connected again")
)

// conn is one connection. run, a goroutine, reads. While there is something to store a second one, store, hands on and
// acknowledges; a timer pings. run starts both and waits for both. There may be ten thousand connections, most of them
// idle: what one needs while it is busy it takes then, and gives back. Where others have to answer first, a third one waits for that.
type conn struct {
	s    *Server
	nc   net.Conn
	br   *bufio.Reader
	host string

	who     Identity // set by run before hello
	entry   atomic.Pointer[entry]
	left    bool    // it is counted no more; guarded by Server.mu
	allowed allowed // of run

	granting sync.Mutex             // orders what credit says with the frames that say it
	through  uint64                 // batches acknowledged; guarded by granting
	paused   atomic.Pointer[string] // why the peer has no credit; nil: it has

	hello wire.Hello // set by run before join, then read by anybody; without its lists
	probe bool       // it only asks; set by run with hello

	reading   context.Context // ends when reading must: the server stops, the peer is replaced or does not read
	interrupt context.CancelCauseFunc
	storing   context.Context // ends when what was read is given up too
	abandon   context.CancelFunc
	pending   pending       // from run to store
	answers   *answers      // of store, which makes it when others have to answer; nil: nobody ever had to
	gone      chan struct{} // closed when run reads no more: nobody waits for an acknowledgement
	ended     chan struct{} // closed when the connection touches the output no more

	deadlines sync.Mutex // orders run's read deadlines with that of an interrupt
	writing   sync.Mutex // held for one frame
	out       []byte     // guarded by writing

	keeper  keeper
	window  window
	flow    flow
	since   time.Time
	latest  atomic.Int64 // unix nanoseconds of the latest frame
	held    atomic.Bool  // run waits for memory or for store, and reads nothing
	pinged  atomic.Int64 // unix nanoseconds of the latest PING, 0 when answered
	rtt     atomic.Int64
	trouble atomic.Pointer[string]
	pulse   *pulse.Pulse // of store, while it runs
	refused error        // by the output; written by store, read when it has ended
	dead    bool         // what is pending is given up; of store

	welcomed bool // written by run before exchange
}

// readAhead is the room of a connection's reader: prelude and small frames; the rest of larger ones goes straight to their place.
const readAhead = 2 << 10

func newConn(ctx context.Context, s *Server, nc net.Conn, host string) *conn {
	c := &conn{
		s: s, nc: nc, br: bufio.NewReaderSize(nc, readAhead), host: host,
		pending: newPending(), gone: make(chan struct{}), ended: make(chan struct{}), since: time.Now(),
	}
	c.reading, c.interrupt = context.WithCancelCause(context.WithoutCancel(ctx))
	c.storing, c.abandon = context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() { c.interrupt(errStopping) })
	context.AfterFunc(c.reading, func() {
		unhook()
		c.deadlines.Lock()
		defer c.deadlines.Unlock()
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // wakes run; a closed connection is awake already
	})
	return c
}

// stream is what the peer captures into: its name among peers.
func (c *conn) stream() record.Stream {
	return record.Stream{Sender: c.hello.Sender, Epoch: c.hello.Epoch}
}

func (c *conn) run() {
	defer c.s.leave(c)
	defer c.interrupt(nil)
	defer c.abandon()
	defer func() { c.nc.Close() }() // by then it may be TLS
	c.s.stats.accepted.Add(1)
	err := c.handshake()
	if err == nil {
		err = c.serve()
	}
	close(c.ended)
	c.farewell(err)
}

// serve runs the connection between handshake and farewell. One that only asks is not worth a word to people.
func (c *conn) serve() error {
	if c.probe {
		return c.exchange()
	}
	c.welcomed = true
	c.logWelcomed()
	err := c.exchange()
	c.logEnded(err)
	return err
}

// exchange runs the connection between handshake and farewell.
func (c *conn) exchange() error {
	c.startPings()
	err := c.read()
	close(c.gone)
	bound := time.AfterFunc(c.s.o.StopTimeout, c.abandon)
	defer bound.Stop()
	c.pending.storer.Wait()
	c.answers.end(errors.Is(err, errStopping))
	c.stopPings()
	if c.refused != nil {
		return c.refused
	}
	return err
}

// write sends a frame. A peer that does not take it in time is given up.
func (c *conn) write(f wire.Control) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.out = f.Append(c.out[:0])
	err := c.nc.SetWriteDeadline(time.Now().Add(c.s.o.WriteTimeout))
	if err == nil {
		_, err = c.nc.Write(c.out)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = refuse(Deaf, wire.OverLimit, 0, "got no room for a frame in %v, want the peer to read", c.s.o.WriteTimeout)
	}
	if err != nil {
		c.interrupt(err)
	}
	return err
}

// readBy sets the time by which reading must have got on.
func (c *conn) readBy(d time.Duration) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.reading.Err() != nil {
		return context.Cause(c.reading)
	}
	return c.nc.SetReadDeadline(time.Now().Add(d))
}

// readError says what a failed read means; late is what a passed deadline means.
func (c *conn) readError(err error, late func() *refusal) error {
	switch {
	case c.reading.Err() != nil:
		return context.Cause(c.reading)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return late()
	}
	return err
}

// farewell tells the peer why, counts it, and closes so that the peer can still read it: closing a socket
// with bytes unread would reset the connection and take the last frame away.
func (c *conn) farewell(err error) {
	var r *refusal
	var last wire.Control
	switch {
	case errors.As(err, &r):
		c.s.stats.refused[r.reason].Add(1)
		c.logRefused(r)
		if r.reason == Deaf {
			return
		}
		if !r.mute {
			last = r.nack
		}
	case errors.Is(err, errStopping):
		last = wire.Goaway{Code: wire.GoingDown, Text: wire.Text(err.Error()), RetryMillis: c.s.comeBack()}
	case errors.Is(err, errSuperseded):
		last = wire.Goaway{Code: wire.Superseded, Text: wire.Text(err.Error())}
	default:
		return // the peer has gone
	}
	if last != nil && c.write(last) != nil {
		return
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.nc.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return
	}
	_, _ = c.br.Discard(int(c.s.o.Window + wire.MaxFrame)) // until the peer closes; nothing of it counts
}

func (c *conn) status() Peer {
	p := Peer{
		Flow: c.flow.snapshot(), Sender: c.hello.Sender, Epoch: c.hello.Epoch, Host: string(c.hello.Host),
		Address: c.nc.RemoteAddr().String(), Identity: c.who.Name, Secure: c.who.Secure, Since: c.since, LastFrame: time.Unix(0, c.latest.Load()), RTT: time.Duration(c.rtt.Load()),
	}
	p.Acked, p.Credit = c.window.snapshot()
	if e := c.entry.Load(); e != nil {
		p.Allowance = e.Name
	}
	if t := c.paused.Load(); t != nil {
		p.Paused = *t
	}
	if t := c.trouble.Load(); t != nil {
		p.LastError = *t
	}
	return p
}
