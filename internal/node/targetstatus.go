package node

import (
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/pace"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
	"ftfuse/internal/share"
	"ftfuse/internal/uplink"
)

// targetStatus tells how a target and its receivers do.
func targetStatus(at *destinations, rates *rates, t config.Target, classes []pace.Class, q queue.Stats, now time.Time) (g control.TargetStatus, peers []control.PeerStatus) {
	g.Name = t.Name
	if t.Address == "" || t.Several() {
		g.Policy = t.Policy
	}
	for _, o := range outlets(t, classes...) {
		waits := oldest(q, o.cursor)
		if g.Oldest.IsZero() || !waits.IsZero() && waits.Before(g.Oldest) {
			g.Oldest = waits
		}
		switch d := at.get(o.cursor).(type) {
		case *peer:
			p := peerStatus(d.up.Status(), &o.target)
			p.Identity, p.Class = d.identity.String(), o.className()
			p.Member, p.Address, p.Oldest, p.Waiting = o.called(o.member()), o.members[0].Address, waits, queued(q, o.cursor)
			p.Old, p.Fresh = parts(q, o.cursor)
			peers = append(peers, p)
		case *pool:
			peers = append(peers, d.status(&g)...)
		}
	}
	for i := range peers {
		p := &peers[i]
		key := "target " + p.Name()
		p.ByteRate, p.RecordRate = rates.of(key, p.Acked.Bytes, now), rates.of(key+" records", p.Acked.Records, now)
		if p.LastAck.After(g.LastAck) {
			g.LastAck = p.LastAck
		}
	}
	return g, peers
}

// status tells how the members do; g gets what is of all of them.
func (p *pool) status(g *control.TargetStatus) (list []control.PeerStatus) {
	st := p.share.Status()
	g.HandOvers, g.Uncertain = g.HandOvers+st.HandOvers, g.Uncertain.Plus(amount(st.Uncertain)) // each class has a pool
	g.DNS, g.DNSSince = p.watch.Failing()
	for _, m := range st.Members {
		u, identity := p.statusOf(m.Member)
		ps := peerStatus(u, &p.outlet.target)
		ps.Identity, ps.Class = identity, p.outlet.className()
		ps.Member, ps.Address, ps.Role, ps.Waiting, ps.Oldest, ps.Acked = p.outlet.called(m.Name), m.Address, m.State, amount(m.Waiting), m.Oldest, amount(m.Acked)
		if ps.Since = m.Since; m.Receiver != (record.SenderID{}) {
			ps.Receiver = m.Receiver.String()
		}
		if m.Failure != "" {
			ps.Error, ps.ErrorAt = m.Failure, m.FailedAt
		}
		list = append(list, ps)
	}
	return list
}

// peerStatus is what a connection knows of itself.
func peerStatus(u uplink.Status, t *config.Target) control.PeerStatus {
	ps := control.PeerStatus{Target: t.Name, State: u.State.String(), Since: u.Since, Turned: u.Turned, LastAck: u.LastAck, RTT: u.RTT,
		Window: uint64(t.Window), InFlight: uint64(max(u.Bytes, 0)), Sent: control.Count{Bytes: u.SentBytes, Records: u.SentRecords},
		Acked: control.Count{Bytes: u.AckedBytes, Records: u.AckedRecords}, Wire: u.WireBytes, Failures: u.Failures,
		Reconnects: max(u.Connects, 1) - 1, Error: u.LastError, ErrorAt: u.LastErrorAt, Machine: u.Receiver.Name, TLS: t.TLS.Files().On()}
	if u.Receiver.ID != (record.SenderID{}) {
		ps.Receiver = u.Receiver.ID.String()
	}
	return ps
}

func amount(a share.Amount) control.Count { return control.Count{Bytes: a.Bytes, Records: a.Records} }

// queued is what waits at a cursor, under way or not.
func queued(q queue.Stats, cursor string) (n control.Count) {
	for _, c := range q.Cursors {
		if c.Name != cursor {
			continue
		}
		for _, r := range c.Rules {
			n = n.Plus(count(r.Queued))
		}
	}
	return n
}

// parts is what waits at a cursor that is split: what goes on where it was, and what goes past it.
func parts(q queue.Stats, cursor string) (old, fresh control.Count) {
	for _, c := range q.Cursors {
		if c.Name == cursor && c.Branch != nil {
			return count(c.Branch.Old), count(c.Branch.Fresh)
		}
	}
	return old, fresh
}
