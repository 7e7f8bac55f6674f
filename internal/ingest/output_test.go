package ingest

import (
	"bytes"
	"context"
	"sync"

	"ftfuse/internal/record"
)

// memory is an Output that keeps everything. fail, if set, is asked before each Put is applied, blind before each Mark.
type memory struct {
	mu    sync.Mutex
	marks map[record.Stream]record.Durable
	got   map[record.Stream][]record.Chunk
	data  map[record.Stream][]byte
	puts  int
	fail  func(ctx context.Context, chunks []record.Chunk) error
	blind func() error
}

func newMemory() *memory {
	return &memory{marks: map[record.Stream]record.Durable{}, got: map[record.Stream][]record.Chunk{}, data: map[record.Stream][]byte{}}
}

func (m *memory) Mark(_ context.Context, s record.Stream) (record.Durable, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blind != nil {
		if err := m.blind(); err != nil {
			return record.Durable{}, err
		}
	}
	return m.marks[s], nil
}

func (m *memory) Put(ctx context.Context, chunks []record.Chunk) error {
	m.mu.Lock()
	fail := m.fail
	m.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, chunks); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	for i := range chunks {
		c := chunks[i]
		s := c.Source.Stream
		m.marks[s] = m.marks[s].Add(&c)
		c.Data = bytes.Clone(c.Data)
		m.got[s] = append(m.got[s], c)
		m.data[s] = append(m.data[s], c.Data...)
	}
	return nil
}

// seqs returns the sequences of a stream in the order they came.
func (m *memory) seqs(s record.Stream) (list []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.got[s] {
		list = append(list, m.got[s][i].Seq)
	}
	return list
}
