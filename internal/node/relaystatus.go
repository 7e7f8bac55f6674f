package node

import (
	"time"

	"ftfuse/internal/config"
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
	targets := r.ruling.Load().cfg.Targets
	st.Flows, st.Queue = flows(q), r.queueStatus(in, q, targets)
	for _, t := range targets {
		g, peers := targetStatus(r.fed, &r.rates, t, nil, q, now)
		st.Targets, st.Receivers = append(st.Targets, g), append(st.Receivers, peers...)
	}
}

// queueStatus tells how full the queue is for the targets, as room judges it.
func (r *receiver) queueStatus(in *intake, q queue.Stats, targets []config.Target) *control.QueueStatus {
	qs := queueStatus(q, r.queueDir(), r.cfg.StateDir, r.cfg.Queue.MaxSize, r.cfg.Queue.MinFree)
	if len(targets) == 0 { // plug-ins have bounds of their own
		qs.MaxSize = 0
		return &qs
	}
	qs.Bytes = 0
	for _, t := range targets {
		for _, o := range outlets(t) {
			qs.Bytes = max(qs.Bytes, queued(q, o.cursor).Bytes)
		}
	}
	if in.room() != nil {
		qs.State = "full"
	}
	return &qs
}
