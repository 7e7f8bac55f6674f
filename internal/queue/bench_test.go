package queue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ftfuse/internal/record"
)

func benchQueue(b *testing.B, d Durability) *Queue {
	o := options(b.TempDir())
	o.WriteBuffer, o.Durability = 4<<20, d
	q, _ := open(b, o)
	cursor(b, q, "a")
	return q
}

func perSecond(b *testing.B, entries int) {
	b.ReportMetric(float64(entries)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkAppendReferences appends chunks that refer to 64 KiB of a spool each.
func BenchmarkAppendReferences(b *testing.B) {
	for _, d := range []Durability{OS, Disk} {
		for _, group := range []int{1, 16} {
			b.Run(fmt.Sprintf("%v/%d a call", d, group), func(b *testing.B) {
				q := benchQueue(b, d)
				chunks := make([]record.Chunk, group)
				b.SetBytes(int64(group) * 64 << 10)
				b.ResetTimer()
				for n := range b.N {
					for i := range chunks {
						chunks[i] = spooled("r", 1, int64(n)<<16, 64<<10)
					}
					if err := q.Append(chunks); err != nil {
						b.Fatal(err)
					}
				}
				perSecond(b, b.N*group)
			})
		}
	}
}

// BenchmarkAppendParallel appends small inline chunks from many goroutines.
func BenchmarkAppendParallel(b *testing.B) {
	for _, d := range []Durability{OS, Disk} {
		b.Run(d.String(), func(b *testing.B) {
			q := benchQueue(b, d)
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := q.Append([]record.Chunk{inline("r", "a line of a log, as short as they are\n")}); err != nil {
						b.Error(err)
					}
				}
			})
			perSecond(b, b.N)
		})
	}
}

func BenchmarkDrain(b *testing.B) {
	q := benchQueue(b, OS)
	c := cursor(b, q, "a")
	for i := 0; i < b.N; i += 64 {
		chunks := make([]record.Chunk, 64)
		for k := range chunks {
			chunks[k] = spooled([]string{"r", "s"}[k%2], 1, int64(i)<<16, 64<<10)
		}
		appendAll(b, q, chunks...)
	}
	b.ResetTimer()
	for c.rec.Acked < q.last {
		batch, err := c.Next(context.Background(), 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Ack(batch.Last, record.Durable{Seq: batch.Last}); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, int(q.last))
}

// BenchmarkOpen opens a queue that holds 100,000 entries that nobody has acknowledged.
func BenchmarkOpen(b *testing.B) {
	o := options(b.TempDir())
	o.WriteBuffer = 4 << 20
	q, _ := open(b, o)
	cursor(b, q, "a")
	for range 1000 {
		chunks := make([]record.Chunk, 100)
		for k := range chunks {
			chunks[k] = spooled([]string{"r", "s"}[k%2], 1, int64(k)<<16, 64<<10)
		}
		appendAll(b, q, chunks...)
	}
	q.Close()
	b.ResetTimer()
	for range b.N {
		q, r, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		if err := r.Extents(func(record.Extent) { n++ }); err != nil || n != 100000 {
			b.Fatal(n, err)
		}
		b.StopTimer()
		q.Close()
		b.StartTimer()
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*float64(time.Second/time.Millisecond), "ms/open")
}
