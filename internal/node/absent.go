package node

import (
	"context"
	"fmt"
	"sync"

	"ftfuse/internal/config"
	"ftfuse/internal/notice"
	"ftfuse/internal/output"
	"ftfuse/internal/record"
)

// absent stands for an output that could not be opened again after a reload that failed: it takes part, so nothing is
// acknowledged until it has taken it. Each Put tries to open it.
type absent struct {
	r   *receiver
	cfg config.Output

	mu   sync.Mutex // guards sink
	sink sink       // nil until it is open
}

func (a *absent) opened() sink {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sink
}

// Put implements record.Sink.
func (a *absent) Put(ctx context.Context, chunks []record.Chunk) error {
	a.mu.Lock()
	if a.sink == nil {
		o, err := a.r.openSink(a.cfg)
		if err != nil {
			a.mu.Unlock()
			return fmt.Errorf("open again: %w", err)
		}
		a.sink = o
	}
	o := a.sink
	a.mu.Unlock()
	return o.Put(ctx, chunks)
}

// Mark returns how far the output holds a stream; nothing when the ledger cannot be read.
func (a *absent) Mark(s record.Stream) record.Durable {
	if o := a.opened(); o != nil {
		return o.Mark(s)
	}
	m, err := a.r.markOf(a.cfg.Name, s)
	if err != nil {
		return record.Durable{Stream: s}
	}
	return m
}

// Run waits: the next reload opens the output as a whole.
func (a *absent) Run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Reopen opens files anew.
func (a *absent) Reopen() {
	if o := a.opened(); o != nil {
		o.Reopen()
	}
}

// Stats are those of the output.
func (a *absent) Stats() output.Stats {
	if o := a.opened(); o != nil {
		return o.Stats()
	}
	return output.Stats{}
}

// Close closes the output.
func (a *absent) Close() error {
	if o := a.opened(); o != nil {
		return o.Close()
	}
	return nil
}

// putBack opens the outputs again that a reload has closed which failed, or lets something stand for them.
func (r *receiver) putBack(old *config.Receiver, kept map[string]sink) []namedSink {
	for _, c := range old.Outputs {
		if c.Type == "plugin" || kept[c.Name] != nil {
			continue
		}
		o, err := r.openSink(c)
		if err != nil {
			r.log.Error("output cannot be opened again; nothing is acknowledged until it can", notice.OutputFailing, "output", c.Name, "error", err)
			o = &absent{r: r, cfg: c}
		}
		kept[c.Name] = o
		r.fed.start(c.Name, housekeeping{o})
	}
	list, _, _ := r.reopen(old, kept) // there is nothing left to open
	return list
}
