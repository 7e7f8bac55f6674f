package uplink_test

import (
	"context"
	"net"
	"sync"
	"time"

	"ftfuse/internal/ingest"
	"ftfuse/internal/record"
)

// endless is a backlog of left equal entries, made as they are asked for.
type endless struct {
	mu    sync.Mutex
	entry []record.Chunk
	left  int
	next  uint64
	acked uint64
	mark  record.Durable
	done  chan struct{}
}

func (e *endless) Next(ctx context.Context, _ int64) (record.Batch, error) {
	e.mu.Lock()
	if e.next == uint64(e.left) {
		e.mu.Unlock()
		<-ctx.Done()
		return record.Batch{}, ctx.Err()
	}
	defer e.mu.Unlock()
	e.next++
	for i := range e.entry {
		e.entry[i].Seq = (e.next-1)*uint64(len(e.entry)) + uint64(i) + 1
	}
	return record.Batch{First: e.next, Last: e.next, Chunks: e.entry}, nil
}

func (e *endless) Ack(last uint64, mark record.Durable) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.acked, e.mark = last, mark
	if last == uint64(e.left) {
		close(e.done)
	}
	return nil
}

func (e *endless) Acked() (uint64, record.Durable) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.acked, e.mark
}

func (e *endless) Rewind()                                  {}
func (e *endless) Given() uint64                            { return 1 << 62 }
func (e *endless) Drop(uint64, uint64, record.Reason) error { panic("dropped") }
func (e *endless) NewEpoch() (uint64, error)                { panic("new epoch") }

// void is an output that only keeps marks.
type void struct {
	mu    sync.Mutex
	marks map[record.Stream]record.Durable
}

func (v *void) Mark(_ context.Context, s record.Stream) (record.Durable, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.marks[s], nil
}

func (v *void) Put(_ context.Context, chunks []record.Chunk) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := v.marks[chunks[0].Source.Stream]
	for i := range chunks {
		m = m.Add(&chunks[i])
	}
	v.marks[chunks[0].Source.Stream] = m
	return nil
}

func receiveNothing(p *pair) (stop func()) {
	s, err := ingest.New(ingest.Options{Output: &void{marks: map[record.Stream]record.Durable{}}, Logger: p.options.Logger, StopTimeout: time.Second})
	if err != nil {
		p.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.address = ln.Addr().String()
	return background(p.t, func(ctx context.Context) error { return s.Serve(ctx, ln) })
}
