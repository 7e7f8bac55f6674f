package node

import (
	"context"
	"net"

	"ftfuse/internal/config"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
	"ftfuse/internal/share"
	"ftfuse/internal/uplink"
	"ftfuse/internal/wire"
)

// destinationNames are the cursors that a sender's queue has.
func destinationNames(cfg *config.Sender) (names []string) {
	for _, t := range cfg.Targets {
		names = append(names, t.Name)
	}
	for _, o := range cfg.Outputs {
		names = append(names, o.Name)
	}
	return names
}

func durability(s string) queue.Durability {
	return map[string]queue.Durability{"memory": queue.Memory, "os": queue.OS, "disk": queue.Disk}[s]
}

func uplinkOptions(t config.Target, s *sender, cur *queue.Cursor, instance [16]byte) uplink.Options {
	network, address := config.Network(t.Address)
	o := uplink.Options{
		Backlog: cur, Store: s.capture, Epoch: s.queue.Epoch, Streams: cur.Streams,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return s.tunnels.dial(ctx, t, network, address, hostOf(address))
		},
		Identity: uplink.Identity{Sender: s.source.Sender, Host: s.source.Host, BootID: s.source.BootID, Instance: instance},
		Codec:    map[string]wire.Codec{"none": wire.None, "s2": wire.S2, "zstd": wire.Zstd}[t.Compression],
		Level:    t.Level,
		Window:   int64(t.Window), Batches: t.WindowBatches,
		DialTimeout: t.Timeouts.Connect, WriteTimeout: t.Timeouts.Write, AckTimeout: t.Timeouts.Ack, DeadAfter: 3 * t.Keepalive,
		BackOffMin: t.Backoff.Min, BackOffMax: t.Backoff.Max, Logger: s.log.With("part", "uplink", "target", t.Name),
	}
	if t.Order == "fresh-first" {
		both := cur.FreshFirst(splitFrom)
		o.Backlog, o.Begin = both, both.Begin
	}
	if t.Name != defaultTarget {
		n := share.Name(o.Backlog, s.source.Sender, "target "+t.Name)
		if begin := o.Begin; begin != nil {
			o.Begin = func() record.Durable { return n.Mark(begin()) }
		}
		o.Backlog, o.Identity.Sender = n, n.Sender()
		o.Streams = func() []record.Stream { return n.Streams(cur.Streams()) }
	}
	return o
}

// splitFrom is how many bytes must wait for a target with order fresh-first when it is connected, so that what is captured
// then does not wait for them. Less is a quarter of the default window: it would go before what is fresh anyway.
const splitFrom = 4 << 20

// defaultTarget is the one whose streams bear the sender's id. Those of the others bear an id by their name, so that two
// targets may lead to one receiver.
const defaultTarget = "default"

func modeOrNil(m config.Mode) *uint32 {
	if m == 0 {
		return nil
	}
	v := uint32(m)
	return &v
}

func idOrNil(id int) *uint32 {
	if id == config.Keep {
		return nil
	}
	v := uint32(id)
	return &v
}
