package node

import (
	"context"
	"errors"
	"sync"

	"ftfuse/internal/output"
	"ftfuse/internal/record"
)

// sink is one output that a receiver writes before it acknowledges: to files, to the journal, or to the queue of its targets and plug-ins.
type sink interface {
	record.Sink
	Mark(record.Stream) record.Durable
	Run(context.Context) error
	Reopen()
	Stats() output.Stats
	Close() error
}

// sinks are the outputs of a receiver, in the order of its configuration; the queue, if there is one, is the last.
type sinks struct {
	mu   sync.RWMutex // held for reading while chunks are put; for writing while outputs are exchanged
	list []namedSink
}

type namedSink struct {
	name string // "" is the queue
	sink
}

// Put hands chunks to every output. It succeeds when all have taken them; one that has them already drops them by
// its own marks.
func (s *sinks) Put(ctx context.Context, chunks []record.Chunk) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var err error
	for _, out := range s.list {
		err = errors.Join(err, out.Put(ctx, chunks))
	}
	return err
}

// Mark returns how far every output holds a stream.
func (s *sinks) Mark(_ context.Context, stream record.Stream) (record.Durable, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var low record.Durable
	for i, out := range s.list {
		if m := out.Mark(stream); i == 0 || m.Seq < low.Seq {
			low = m
		}
	}
	return low, nil
}

// all returns the outputs as they are now.
func (s *sinks) all() []namedSink {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return append([]namedSink(nil), s.list...)
}

// exchange has f make another list of the outputs while nothing is put to any.
func (s *sinks) exchange(f func([]namedSink) ([]namedSink, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := f(s.list)
	s.list = list
	return err
}

func (s *sinks) close() error {
	return s.exchange(func(list []namedSink) ([]namedSink, error) {
		var err error
		for _, o := range list {
			err = errors.Join(err, o.Close())
		}
		return nil, err
	})
}
