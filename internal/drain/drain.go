// Package drain hands what a cursor of the queue brings to an output of this machine, and acknowledges what that has taken.
package drain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/payload"
	"ftfuse/internal/record"
)

// Options configure a Drain.
type Options struct {
	Name    string
	Backlog record.Backlog
	Store   record.Store
	Sink    record.Sink // drops what it has already, as after a crash chunks come again
	Logger  *slog.Logger
	Batch   int64         // payload bytes handed over at once; 0: 4 MiB
	Min     time.Duration // pause after the first failure, doubled from there; 0: 100 ms
	Max     time.Duration // 0: 30 s
}

// maxTries is how often the payload of one position is read before it is given up.
const maxTries = 5

// Drain serves one output. Run does the work; Status may be called by anybody.
type Drain struct {
	o    Options
	load payload.Loader
	mark record.Durable // of the sender's own stream behind what is acknowledged

	suspect uint64 // position that could not be read among others: it is read alone
	tries   int    // of that position
	pause   time.Duration

	mu     sync.Mutex // guards status
	status Status
}

// Status is how an output does.
type Status struct {
	State   string // waiting (for data), writing, or what is wrong
	Since   time.Time
	LastAck time.Time
	Error   string // the last failure; "" when it works
	Failed  uint64 // attempts that failed
}

// New makes a drain.
func New(o Options) *Drain {
	if o.Batch == 0 {
		o.Batch = 4 << 20
	}
	if o.Min == 0 {
		o.Min = 100 * time.Millisecond
	}
	if o.Max == 0 {
		o.Max = 30 * time.Second
	}
	return &Drain{o: o, load: payload.Loader{Store: o.Store}, status: Status{State: "waiting", Since: time.Now()}}
}

// Status returns how it does.
func (d *Drain) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

func (d *Drain) set(state string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status.State != state {
		d.status.State, d.status.Since = state, time.Now()
	}
	d.status.Error = ""
	if err != nil {
		d.status.Error = err.Error()
		d.status.Failed++
	}
}

// Run hands over until ctx ends. An output that fails is tried again, with pauses; what waits for it stays in the queue.
func (d *Drain) Run(ctx context.Context) error {
	_, d.mark = d.o.Backlog.Acked()
	d.o.Backlog.Rewind()
	for {
		limit := d.o.Batch
		if d.suspect != 0 {
			limit = 1 // one entry
		}
		d.set("waiting", nil)
		b, err := d.o.Backlog.Next(ctx, limit)
		if err == nil {
			d.set("writing", nil)
			err = d.hand(ctx, b, limit == 1)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			d.pause = 0
			continue
		case errors.Is(err, record.ErrClosed):
			return fmt.Errorf("output %s: %w", d.o.Name, err)
		}
		if d.pause == 0 {
			d.o.Logger.Error("output fails; what is for it waits in the queue", notice.OutputFailing, "output", d.o.Name, "error", err)
		}
		d.set("failing", err)
		d.o.Backlog.Rewind()
		d.pause = min(max(2*d.pause, d.o.Min), d.o.Max)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d.pause):
		}
	}
}

// hand gives one batch to the output. single says that it is one entry.
func (d *Drain) hand(ctx context.Context, b record.Batch, single bool) error {
	err := d.load.Load(b.Chunks)
	if err == nil {
		err = d.o.Sink.Put(ctx, b.Chunks)
	}
	var bad *payload.Bad
	switch {
	case err == nil:
		return d.acknowledge(b)
	case errors.As(err, &bad) || errors.Is(err, record.ErrRefused):
		return d.undeliverable(b, single, err)
	}
	return err
}

func (d *Drain) acknowledge(b record.Batch) error {
	for i := range b.Chunks {
		d.mark = d.mark.Add(&b.Chunks[i])
	}
	if b.First > d.suspect {
		d.suspect, d.tries = 0, 0
	}
	d.mu.Lock()
	d.status.LastAck = time.Now()
	d.mu.Unlock()
	return d.o.Backlog.Ack(b.Last, d.mark)
}

// undeliverable finds the entry that can never be handed over, by reading one by one, and makes a gap of it.
func (d *Drain) undeliverable(b record.Batch, single bool, err error) error {
	if !single {
		d.suspect = b.Last // read alone up to there
		d.o.Backlog.Rewind()
		return nil
	}
	why, v := payload.Judge(err)
	if v == payload.Doubtful {
		if d.tries++; d.tries >= maxTries {
			v = payload.Final
		}
	}
	if v != payload.Final {
		return err
	}
	d.tries = 0
	d.o.Logger.Error("queued data cannot be delivered; it is dropped and counted", notice.DataRefused, "output", d.o.Name, "reason", why, "error", err)
	return d.o.Backlog.Drop(b.First, b.Last, why)
}
