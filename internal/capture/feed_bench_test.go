package capture

import (
	"bytes"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// BenchmarkFeed is the assembly of 128-byte lines, a window at a time, as the follower reads them.
func BenchmarkFeed(b *testing.B) {
	const length = 128
	for _, c := range []struct {
		name string
		m    meta
	}{
		{"lf", meta{}},
		{"lf,truncate", meta{framing: framing{TooLong: record.Truncate}}},
		{"lf,gather", meta{framing: framing{Gather: record.Gather{Bytes: window, Wait: time.Hour}}}},
		{"nul", meta{framing: framing{LineEnd: record.NUL}}},
		{"any", meta{framing: framing{LineEnd: record.Any}}},
		{"join", meta{framing: framing{Join: record.Join{Start: "^x", Lines: 1000}}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m, end := c.m, byte('\n')
			if m.LineEnd == record.NUL {
				end = 0
			}
			data := bytes.Repeat(append(bytes.Repeat([]byte("x"), length-1), end), window/length)
			s := new(Capture).testStream(&m)
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
