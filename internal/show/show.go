// Package show is a receiver for a look: it prints what comes, acknowledges what was printed, and keeps nothing.
package show

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/format"
	"ftfuse/internal/ingest"
	"ftfuse/internal/record"
)

// Options of a Receiver.
type Options struct {
	Out    io.Writer
	Format format.Format // how records are printed
	Name   string        // of this machine, for people
	Logger *slog.Logger
}

// Receiver prints. Marks are in memory: a sender that comes again while it runs does not bring anything twice, and to one
// that runs later everything is new that was not acknowledged.
type Receiver struct {
	o       Options
	ingest  *ingest.Server
	records atomic.Uint64

	mu    sync.Mutex // held while a batch is printed: guards the fields below, the format and the writer
	buf   []byte
	marks map[record.Stream]record.Durable
	bad   error
	stop  context.CancelFunc // of Serve
}

// New checks the options.
func New(o Options) (*Receiver, error) {
	r := &Receiver{o: o, marks: map[record.Stream]record.Durable{}}
	var id record.SenderID
	_, _ = rand.Read(id[:]) // never fails
	var err error
	r.ingest, err = ingest.New(ingest.Options{Output: r, Logger: o.Logger, ID: id, Name: o.Name, StopTimeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("new receiver: %w", err)
	}
	return r, nil
}

// Serve takes connections until ctx ends, and prints and acknowledges what it has read by then; or until printing fails, and
// returns that error: what was not printed is not acknowledged. It closes ln.
func (r *Receiver) Serve(ctx context.Context, ln net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r.mu.Lock()
	r.stop = stop
	r.mu.Unlock()
	err := r.ingest.Serve(ctx, ln)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bad != nil {
		return r.bad
	}
	return err
}

// Records is how many records were printed whole.
func (r *Receiver) Records() uint64 { return r.records.Load() }

// Mark implements ingest.Output.
func (r *Receiver) Mark(_ context.Context, s record.Stream) (record.Durable, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.marks[s], nil
}

// spillAt is how much is gathered before it is written.
const spillAt = 64 << 10

// Put implements ingest.Output.
func (r *Receiver) Put(_ context.Context, chunks []record.Chunk) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range chunks {
		c := &chunks[i]
		if c.Gap == nil || r.o.Format.Gaps() {
			r.buf = r.o.Format.Append(r.buf, c, r.spill)
		}
	}
	r.write()
	if r.bad != nil {
		r.stop()
		return fmt.Errorf("print: %w", r.bad)
	}
	for i := range chunks {
		c := &chunks[i]
		s := c.Source.Stream
		r.marks[s] = r.marks[s].Add(c)
		r.records.Add(uint64(c.Records))
	}
	return nil
}

// spill writes what has gathered. The caller holds mu.
func (r *Receiver) spill(p []byte) []byte {
	if len(p) < spillAt {
		return p
	}
	r.buf = p
	r.write()
	return r.buf
}

// write writes all of buf. After an error nothing more is written: the rest of a line would follow half of another. The caller holds mu.
func (r *Receiver) write() {
	if r.bad == nil && len(r.buf) > 0 {
		_, r.bad = r.o.Out.Write(r.buf)
	}
	r.buf = r.buf[:0]
}
