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
		g, peers := targetStatus(r.fed, &r.rates, t, nil, q, now)
		st.Targets, st.Receivers = append(st.Targets, g), append(st.Receivers, peers...)
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
