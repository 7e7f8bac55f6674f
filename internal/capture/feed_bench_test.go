package capture

import (
	"bytes"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// BenchmarkFeed is the assembly of 128-byte lines, a window at a time, as the follower reads them.
func BenchmarkFeed(b *testing.B) {
	line := append(bytes.Repeat([]byte("x"), 127), '\n')
	data := bytes.Repeat(line, window/len(line))
	for _, c := range []struct {
		name string
		m    meta
	}{
		{"lf", meta{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := c.m
			s := newStream(&m, &record.Source{}, 0)
			w, now, off := &record.Writer{}, time.Now(), int64(0)
			var out []record.Chunk
			b.SetBytes(window)
			b.ReportAllocs()
			for b.Loop() {
				out = s.feed(piece{spool: 1, off: off, data: data, writer: w}, now, out[:0])
				out = s.flush(out)
				off += window
			}
		})
	}
}
