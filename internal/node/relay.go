package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"ftfuse/internal/config"
	"ftfuse/internal/record"
	"ftfuse/internal/share"
	"ftfuse/internal/uplink"
	"ftfuse/internal/wire"
)

// A relay is a receiver with targets: what it has taken waits in its queue, at a cursor for each target, or for each member of
// a target that broadcasts, and goes on from there as from a sender's queue.

// relayed is a receiver to which a relay hands on.
type relayed struct {
	target config.Target
	member config.Member
	cursor string
	up     *uplink.Uplink
}

func (p *relayed) run(ctx context.Context) error { return p.up.Run(ctx) }

// well reports whether the receiver is there: what waits for it does not wait in vain.
func (p *relayed) well() bool {
	s := p.up.Status().State
	return s == uplink.Connected || s == uplink.Draining
}

// route is one cursor of a target, and the member that takes what waits there.
type route struct {
	cursor string
	member config.Member
}

// routes are the cursors of a target.
func routes(t config.Target) (all []route) {
	list := t.Receivers()
	switch t.Policy {
	case "broadcast":
		if len(list) == 1 {
			return []route{{t.Name, list[0]}}
		}
		for _, m := range list {
			all = append(all, route{t.Name + "/" + m.Name, m})
		}
		return all
	case "only":
		if i := slices.IndexFunc(list, func(m config.Member) bool { return m.Name == t.Only }); i >= 0 {
			return []route{{t.Name, list[i]}}
		}
	}
	return []route{{t.Name, list[0]}}
}

// newRelayed makes the connections of a target, by their cursors.
func (r *receiver) newRelayed(t config.Target) (map[string]destination, error) {
	all := map[string]destination{}
	for _, to := range routes(t) {
		cur, err := r.intake.Load().Cursor(to.cursor)
		if err != nil {
			return nil, err
		}
		from := share.Relay(cur, r.id, r.view(t.Name))
		o := lineOptions(t, to.member.Address, r.log.With("part", "uplink", "target", to.cursor))
		o.Backlog, o.Store, o.Epoch = from, inline{}, r.intake.Load().Epoch
		o.Streams = func() []record.Stream { return from.Streams(cur.Owed()) }
		o.Identity = uplink.Identity{Sender: r.id, Host: r.host, Instance: r.instance}
		if to.cursor != defaultTarget { // two targets may lead to one receiver, each at its pace
			n := share.Name(from, r.id, "target "+to.cursor)
			o.Backlog, o.Identity.Sender = n, n.Sender()
			o.Streams = func() []record.Stream { return n.Streams(from.Streams(cur.Owed())) }
		}
		up, err := uplink.New(o)
		if err != nil {
			return nil, fmt.Errorf("target %s: %w", t.Name, err)
		}
		all[to.cursor] = &relayed{target: t, member: to.member, cursor: to.cursor, up: up}
	}
	return all, nil
}

// lineOptions are what the configuration says of a connection to a member of a target.
func lineOptions(t config.Target, address string, log *slog.Logger) uplink.Options {
	var d net.Dialer
	network, at := config.Network(address)
	return uplink.Options{
		Dial:   func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, network, at) },
		Codec:  map[string]wire.Codec{"none": wire.None, "s2": wire.S2, "zstd": wire.Zstd}[t.Compression],
		Level:  t.Level,
		Window: int64(t.Window), Batches: t.WindowBatches,
		DialTimeout: t.Timeouts.Connect, WriteTimeout: t.Timeouts.Write, AckTimeout: t.Timeouts.Ack, DeadAfter: 3 * t.Keepalive,
		BackOffMin: t.Backoff.Min, BackOffMax: t.Backoff.Max, Logger: log,
	}
}
