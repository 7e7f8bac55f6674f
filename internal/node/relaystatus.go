package node

import (
	"time"

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
	qs := queueStatus(q, r.queueDir(), r.cfg.StateDir, r.cfg.Queue.MaxSize, r.cfg.Queue.MinFree)
	if in.room() != nil {
		qs.State = "full"
	}
	return &qs
}
