package node

import (
	"context"
	"errors"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

// ends are the cursors of those targets of a relay that must have the data before its sender is told (ack: end). A reload
// replaces them as a whole.
type ends struct {
	cursors  []*queue.Cursor
	inForce  context.Context // ends when others are in force
	replaced context.CancelFunc
}

// setEnds puts the targets of a configuration in force as those that must answer.
func (r *receiver) setEnds(cfg *config.Receiver) error {
	e := &ends{}
	e.inForce, e.replaced = context.WithCancel(context.Background())
	for _, t := range cfg.Targets {
		if t.Ack != "end" {
			continue
		}
		for _, to := range outlets(t) {
			cur, err := r.intake.Load().Cursor(to.cursor)
			if err != nil {
				return err
			}
			e.cursors = append(e.cursors, cur)
		}
	}
	if old := r.ends.Swap(e); old != nil {
		old.replaced()
	}
	return nil
}

// answering is a receiver as the ingest.End of what it takes.
type answering struct{ r *receiver }

// Ends implements ingest.End.
func (a answering) Ends() bool {
	e := a.r.ends.Load()
	return e != nil && len(e.cursors) > 0
}

// Answered implements ingest.End: what every one of them has.
func (a answering) Answered(streams []record.Stream) ([]record.Durable, error) {
	e := a.r.ends.Load()
	if e == nil || len(e.cursors) == 0 {
		return nil, nil
	}
	return queue.Answered(e.cursors, streams)
}

// awaitStep is how often whoever waits looks whether there is reason to.
const awaitStep = time.Second

// Await implements ingest.End.
func (a answering) Await(ctx context.Context, marks []record.Durable, alive func()) error {
	for {
		e := a.r.ends.Load()
		if e == nil {
			return nil
		}
		missing, err := e.await(ctx, marks)
		switch {
		case missing == nil:
			return nil
		case ctx.Err() != nil || errors.Is(err, record.ErrClosed):
			return err
		case a.r.well(missing.Name()):
			alive()
		}
	}
}

// await waits for a moment, and returns a cursor whose destination has not answered then, nil if all have.
func (e *ends) await(ctx context.Context, marks []record.Durable) (*queue.Cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, awaitStep)
	defer cancel()
	defer context.AfterFunc(e.inForce, cancel)()
	for _, c := range e.cursors {
		if err := c.Await(ctx, marks); err != nil {
			return c, err
		}
	}
	return nil, nil
}
