package node

import (
	"context"
	"fmt"
	"path/filepath"

	"ftfuse/internal/config"
	"ftfuse/internal/notice"
	"ftfuse/internal/output"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

// mostForPlugins bounds what waits for one plug-in of a receiver that has no bound of its own, in bytes.
const mostForPlugins = 8 << 30

// intake is the queue of a receiver's plug-ins, as one of its outputs: what it has taken waits there for each plug-in at a
// cursor of its own.
type intake struct {
	*queue.Queue
}

// openIntake opens the queue. bound says what may wait for a plug-in, 0 where it has no bound of its own.
func (r *receiver) openIntake(bound func(name string) int64) (*intake, error) {
	id, err := senderID(r.cfg.StateDir)
	if err != nil {
		return nil, err
	}
	me := &record.Source{Stream: record.Stream{Sender: id}} // nothing in it is this machine's own
	q, past, err := queue.Open(queue.Options{
		Dir: filepath.Join(r.cfg.StateDir, "queue"), Source: me, Logger: r.log.With("part", "queue"), Pulses: &r.pulses,
		Bound: func(name string) int64 {
			if n := bound(name); n > 0 {
				return n
			}
			return mostForPlugins
		},
	})
	if err != nil {
		return nil, err
	}
	if past.Quarantined != "" {
		r.log.Error("queue was damaged", notice.QueueDamaged, "lost_positions", past.Lost, "moved_to", past.Quarantined)
	}
	return &intake{Queue: q}, nil
}

// Put queues what the queue has not taken yet.
func (i *intake) Put(ctx context.Context, chunks []record.Chunk) error {
	fresh := make([]record.Chunk, 0, len(chunks))
	marks := map[record.Stream]uint64{}
	for k := range chunks {
		c := &chunks[k]
		low, known := marks[c.Source.Stream]
		if !known {
			low = i.Queue.Mark(c.Source.Stream).Seq
		}
		if marks[c.Source.Stream] = max(low, c.Seq); c.Seq > low {
			fresh = append(fresh, *c)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := i.Queue.Put(ctx, fresh); err != nil {
		return fmt.Errorf("queue for plug-ins: %w", err)
	}
	return nil
}

// Reopen has nothing to do.
func (i *intake) Reopen() {}

// Stats is empty: the plug-ins have figures of their own.
func (i *intake) Stats() output.Stats { return output.Stats{} }

// hasPlugins reports whether an output is a plug-in.
func hasPlugins(outputs []config.Output) bool {
	for _, o := range outputs {
		if o.Type == "plugin" {
			return true
		}
	}
	return false
}
