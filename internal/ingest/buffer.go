package ingest

import (
	"sync"

	"ftfuse/internal/record"
)

// buffer is room for a frame or a body. Usual sizes are pooled; what the pools hold beyond the memory limit is
// the collector's to take.
type buffer struct {
	b    []byte
	pool *sync.Pool
}

// The classes: batches of senders with little to say, some lines or some hundred; the usual megabyte with its head. Larger ones are rare and made
// each time.
var classes = [...]struct {
	size int
	pool sync.Pool
}{{size: 2 << 10}, {size: 16 << 10}, {size: 64 << 10}, {size: 192 << 10}, {size: 512 << 10}, {size: 1<<20 + 128<<10}}

// bufferSize is the room that newBuffer takes for n bytes.
func bufferSize(n int) int {
	for i := range classes {
		if n <= classes[i].size {
			return classes[i].size
		}
	}
	return n
}

func newBuffer(n int) *buffer {
	for i := range classes {
		c := &classes[i]
		if n > c.size {
			continue
		}
		if b, ok := c.pool.Get().(*buffer); ok {
			return b
		}
		return &buffer{make([]byte, c.size), &c.pool}
	}
	return &buffer{b: make([]byte, n)}
}

// free gives the room back; a nil buffer has none.
func (b *buffer) free() {
	if b != nil && b.pool != nil {
		b.pool.Put(b)
	}
}

var chunkPool sync.Pool // of *[]record.Chunk

func newChunks() []record.Chunk {
	if p, ok := chunkPool.Get().(*[]record.Chunk); ok {
		return *p
	}
	return nil
}

func freeChunks(chunks []record.Chunk) {
	if cap(chunks) == 0 {
		return
	}
	clear(chunks) // the pool must not keep files, writers and frames alive; beyond len all is clear from the last time
	chunks = chunks[:0]
	chunkPool.Put(&chunks)
}
