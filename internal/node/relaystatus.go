package node

import (
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/control"
	"ftfuse/internal/queue"
)

// relayStatus adds what waits in the queue, and how the targets do.
func (r *receiver) relayStatus(st *control.ReceiverStatus, now time.Time) {
	in := r.intake.Load()
	if in == nil {
		return
	}
	q := in.Queue.Stats()
	st.Flows, st.Queue = flows(q), r.queueStatus(in, q)
	for _, t := range r.ruling.Load().cfg.Targets {
		for _, to := range routes(t) {
			if p, ok := r.fed.get(to.cursor).(*relayed); ok {
				st.Targets = append(st.Targets, r.targetStatus(p, q, now))
			}
		}
	}
}

func (r *receiver) queueStatus(in *intake, q queue.Stats) *control.QueueStatus {
	qs := &control.QueueStatus{Bytes: q.Held, MaxSize: uint64(r.cfg.Queue.MaxSize), MinFree: uint64(r.cfg.Queue.MinFree), Epoch: q.Epoch, LastLoss: q.LastLoss,
		Disk: diskUse(r.queueDir()), State: "ok"}
	var fs unix.Statfs_t
	if unix.Statfs(r.cfg.StateDir, &fs) == nil {
		qs.DiskFree = fs.Bavail * uint64(fs.Bsize)
	}
	for _, c := range q.Cursors {
		if !c.Oldest.IsZero() && (qs.Oldest.IsZero() || c.Oldest.Before(qs.Oldest)) {
			qs.Oldest = c.Oldest
		}
	}
	if in.room() != nil {
		qs.State = "full"
	}
	return qs
}

func (r *receiver) targetStatus(p *relayed, q queue.Stats, now time.Time) control.PeerStatus {
	u := p.up.Status()
	return control.PeerStatus{Target: p.cursor, Address: p.member.Address, State: u.State.String(), Since: u.Since, Turned: u.Turned, LastAck: u.LastAck,
		Oldest: oldest(q, p.cursor), RTT: u.RTT, Window: uint64(p.target.Window), InFlight: uint64(max(u.Bytes, 0)),
		Sent: control.Count{Bytes: u.SentBytes, Records: u.SentRecords}, Acked: control.Count{Bytes: u.AckedBytes, Records: u.AckedRecords},
		ByteRate: r.rates.of("target "+p.cursor, u.AckedBytes, now), RecordRate: r.rates.of("target "+p.cursor+" records", u.AckedRecords, now),
		Wire: u.WireBytes, Failures: u.Failures, Reconnects: max(u.Connects, 1) - 1, Error: u.LastError, ErrorAt: u.LastErrorAt}
}
