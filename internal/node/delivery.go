package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"

	"ftfuse/internal/config"
	"ftfuse/internal/pace"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
	"ftfuse/internal/secure"
	"ftfuse/internal/share"
	"ftfuse/internal/uplink"
	"ftfuse/internal/wire"
)

// delivery is what connections to receivers have in common: whose queue it is, and how it is read.
type delivery struct {
	queue    *queue.Queue
	store    record.Store
	identity uplink.Identity
	log      *slog.Logger
	lines    *lines
	classes  []pace.Class // of data, in use beside normal
	heirs    heirs        // cursors that will be there when what is made is run
	// others returns what a cursor has of the data of others, as a relay hands it on, and its streams; nil: it is our own.
	others func(o outlet, cur *queue.Cursor) (record.Backlog, func() []record.Stream)
	// dial connects to a receiver of a target; host is the name that its certificate has to have.
	dial func(ctx context.Context, t config.Target, network, address, host string) (net.Conn, error)
}

func (s *sender) delivery(classes []pace.Class) *delivery {
	return &delivery{queue: s.queue, store: s.capture, log: s.log, dial: s.tunnels.dial, lines: &s.lines, classes: classes,
		identity: uplink.Identity{Sender: s.source.Sender, Host: s.source.Host, BootID: s.source.BootID, Instance: s.instance}}
}

// open makes what takes data at an outlet.
func (d *delivery) open(o outlet) (destination, error) {
	cur := d.heirs[o.cursor]
	if cur == nil {
		var err error
		if cur, err = d.queue.Cursor(o.cursor); err != nil {
			return nil, err
		}
	}
	line, err := d.lines.of(o.target, d.classes)
	if err != nil {
		return nil, err
	}
	if o.shared {
		return d.newPool(o, cur, line)
	}
	return d.newPeer(o, cur, line)
}

// newPeer makes the connection to the one receiver of an outlet.
func (d *delivery) newPeer(o outlet, cur *queue.Cursor, line *pace.Line) (destination, error) {
	if len(o.members) != 1 {
		return nil, fmt.Errorf("target %s: got %d receivers for position %s of the queue, want one", o.target.Name, len(o.members), o.cursor)
	}
	m := o.members[0]
	var who identity
	u := d.uplink(o, line, m.Address, config.HostOf(m.Address), &who)
	view := d.streams(o, cur)
	u.Backlog, u.Streams, u.Identity.Sender, u.Begin = view.backlog, view.list, view.sender, view.begin
	u.Logger = u.Logger.With("target", o.cursor)
	up, err := uplink.New(u)
	if err != nil {
		return nil, err
	}
	return &peer{outlet: o, up: up, identity: &who}, nil
}

// identity is who has answered last, by the certificate.
type identity struct{ atomic.Pointer[string] }

func (i *identity) String() string {
	if name := i.Load(); name != nil {
		return *name
	}
	return ""
}

// view is what of the queue an outlet shows, under ids of its own.
type view struct {
	backlog record.Backlog
	sender  record.SenderID // under which this machine's own data goes
	list    func() []record.Stream
	begin   func() record.Durable // splits the backlog if it is to be split; nil: it goes in order
}

// splitFrom is how many bytes must wait for a target with order fresh-first when it is connected, so that what is captured
// then does not wait for them. Less is a quarter of the default window: it would go before what is fresh anyway.
const splitFrom = 4 << 20

// streams gives those of an outlet ids of their own, so that two of them may lead to one receiver.
func (d *delivery) streams(o outlet, cur *queue.Cursor) view {
	v := view{backlog: cur, sender: d.identity.Sender, list: cur.Streams}
	switch {
	case d.others != nil:
		v.backlog, v.list = d.others(o, cur)
	case o.target.Order == "fresh-first" && !o.shared:
		both := cur.FreshFirst(splitFrom)
		v.backlog, v.begin = both, both.Begin
	}
	name := cur.StreamsName()
	if name == defaultTarget {
		return v
	}
	n, list := share.Name(v.backlog, v.sender, "target "+name), v.list
	if begin := v.begin; begin != nil {
		v.begin = func() record.Durable { return n.Mark(begin()) }
	}
	v.backlog, v.sender = n, n.Sender()
	v.list = func() []record.Stream { return n.Streams(list()) }
	return v
}

// defaultTarget is the one whose streams bear the sender's id. Those of the others bear an id by their name.
const defaultTarget = "default"

// uplink is what the configuration of a target says of each of its connections.
func (d *delivery) uplink(o outlet, line *pace.Line, at, host string, who *identity) uplink.Options {
	t := o.target
	network, address := config.Network(at)
	return uplink.Options{
		Store: d.store, Epoch: d.queue.Epoch, Identity: d.identity,
		Dial: func(ctx context.Context) (net.Conn, error) {
			nc, err := d.dial(ctx, t, network, address, host)
			if c, ok := nc.(*secure.Conn); ok {
				who.Store(&c.Peer.Name)
			}
			return nc, err
		},
		Codec:  map[string]wire.Codec{"none": wire.None, "s2": wire.S2, "zstd": wire.Zstd}[t.Compression],
		Level:  t.Level,
		Window: int64(t.Window), Batches: t.WindowBatches,
		Line: line, Class: o.class, MaxAge: t.MaxAge,
		DialTimeout: t.Timeouts.Connect, WriteTimeout: t.Timeouts.Write, AckTimeout: t.Timeouts.Ack, DeadAfter: 3 * t.Keepalive,
		BackOffMin: t.Backoff.Min, BackOffMax: t.Backoff.Max, Logger: d.log.With("part", "uplink"),
	}
}
