package node

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"ftfuse/internal/config"
	"ftfuse/internal/notice"
	"ftfuse/internal/output"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

// mostForPlugins bounds what waits for one plug-in of a receiver that has no bound of its own, in bytes.
const mostForPlugins = 8 << 30

// intake is the queue of a receiver's plug-ins and targets, as one of its outputs: what it has taken waits there for each of
// them, at a cursor of its own. Streams have the names there under which they came, so that its marks are those of the senders;
// on the way to a target they get others (share.Relayed).
type intake struct {
	*queue.Queue
	room func() error    // nil when there is room for more
	to   func() []string // the cursors that what comes now is for; nil: all that there are
}

func (r *receiver) queueDir() string { return filepath.Join(r.cfg.StateDir, "queue") }

// openIntake opens the queue.
func (r *receiver) openIntake() (*intake, error) {
	me := &record.Source{Stream: record.Stream{Sender: r.id}, Host: r.host} // nothing in it is this machine's own
	q, past, err := queue.Open(queue.Options{
		Dir: r.queueDir(), Source: me, Durability: durability(r.cfg.Queue.Durability),
		Bound: r.bound, Logger: r.log.With("part", "queue"), Pulses: &r.pulses,
	})
	if err != nil {
		return nil, err
	}
	if past.Quarantined != "" {
		r.log.Error("queue was damaged", notice.QueueDamaged, "lost_positions", past.Lost, "moved_to", past.Quarantined)
	}
	return &intake{Queue: q, room: func() error { return r.room(q) }, to: func() []string { return r.takers(q) }}, nil
}

// takers are the cursors of the targets and plug-ins that are configured, nil where the queue has no others. Others are of such as
// are gone: what waited for them stays, and more would wait for nobody.
func (r *receiver) takers(q *queue.Queue) []string {
	now := r.ruling.Load().cursors
	if !slices.ContainsFunc(q.Cursors(), func(name string) bool { return !slices.Contains(now, name) }) {
		return nil
	}
	return now
}

// bound returns the bytes that may wait at a cursor, beyond which the oldest are dropped; 0: nothing is dropped.
func (r *receiver) bound(cursor string) int64 {
	cfg := r.ruling.Load().cfg
	for _, t := range cfg.Targets {
		for _, to := range outlets(t) {
			if to.cursor == cursor {
				return int64(t.Backlog)
			}
		}
	}
	for _, o := range cfg.Outputs {
		if o.Name == cursor && o.Plugin.Backlog > 0 {
			return int64(o.Plugin.Backlog)
		}
	}
	return mostForPlugins
}

// room says why nothing more can be taken for the targets, nil if it can: senders keep then what they have. What is under
// way comes on top. Plug-ins have bounds of their own.
func (r *receiver) room(q *queue.Queue) error {
	cfg := r.ruling.Load().cfg
	for _, t := range cfg.Targets {
		for _, to := range outlets(t) {
			if c, err := q.Cursor(to.cursor); err != nil {
				return err
			} else if n := c.Waiting(); n >= int64(r.cfg.Queue.MaxSize) {
				return fmt.Errorf("target %s: %s wait for it, want less than queue.max_size, which is %s: %w", to.cursor, config.Size(n), r.cfg.Queue.MaxSize, record.ErrFull)
			}
		}
	}
	var st unix.Statfs_t
	if len(cfg.Targets) == 0 || unix.Statfs(r.cfg.StateDir, &st) != nil {
		return nil
	}
	if free := st.Bavail * uint64(st.Bsize); free < uint64(r.cfg.Queue.MinFree) {
		return fmt.Errorf("disk of %s: %s are free, want queue.min_free, which is %s: %w", r.cfg.StateDir, config.Size(free), r.cfg.Queue.MinFree, record.ErrFull)
	}
	return nil
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
	if to := i.to(); to != nil {
		for k := range fresh {
			fresh[k].Targets = to
		}
	}
	err := i.room()
	if err == nil {
		err = i.Queue.Put(ctx, fresh)
	}
	if err != nil {
		return fmt.Errorf("queue for targets and plug-ins: %w", err)
	}
	return nil
}

// Reopen has nothing to do.
func (i *intake) Reopen() {}

// Stats is empty: targets and plug-ins have figures of their own.
func (i *intake) Stats() output.Stats { return output.Stats{} }

// needsQueue reports whether something takes data from the queue.
func needsQueue(cfg *config.Receiver) bool {
	return len(cfg.Targets) > 0 || slices.ContainsFunc(cfg.Outputs, func(o config.Output) bool { return o.Type == "plugin" })
}
