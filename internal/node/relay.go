package node

import (
	"fmt"

	"ftfuse/internal/config"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
	"ftfuse/internal/share"
	"ftfuse/internal/uplink"
)

// A relay is a receiver with targets: what it has taken waits in its queue, at the cursors of the targets, and goes on from
// there as from a sender's queue.

// delivery is that of a relay: all that it has is others', and it says of it that it has been here.
func (r *receiver) delivery() *delivery {
	return &delivery{queue: r.intake.Load().Queue, store: inline{}, log: r.log, dial: r.tunnels.dial, lines: &r.lines,
		identity: uplink.Identity{Sender: r.id, Host: r.host, Instance: r.instance},
		others: func(o outlet, cur *queue.Cursor) (record.Backlog, func() []record.Stream) {
			from := share.Relay(cur, r.id, r.view(o.target.Name), cur.Withhold)
			return from, func() []record.Stream { return from.Streams(cur.Owed()) }
		}}
}

// newTargets makes what takes data for targets, by their cursors.
func (r *receiver) newTargets(targets []config.Target) (map[string]destination, error) {
	all := map[string]destination{}
	if len(targets) == 0 {
		return all, nil
	}
	if err := settleSuccessions(targets, nil, r.intake.Load().Queue, r.log); err != nil {
		return nil, err
	}
	for _, t := range targets {
		for _, o := range outlets(t) {
			var err error
			if all[o.cursor], err = r.delivery().open(o); err != nil {
				return nil, fmt.Errorf("target %s: %w", t.Name, err)
			}
		}
	}
	return all, nil
}

// well reports whether a receiver is there that takes what waits at a cursor: it does not wait in vain.
func (r *receiver) well(cursor string) bool {
	switch d := r.fed.get(cursor).(type) {
	case *peer:
		return well(d.up)
	case *pool:
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, l := range d.links {
			if well(l.up) {
				return true
			}
		}
	}
	return false
}

func well(up *uplink.Uplink) bool {
	s := up.Status().State
	return s == uplink.Connected || s == uplink.Draining
}
