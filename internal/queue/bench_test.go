package queue

import (
	"context"
	"fmt"
	"runtime"
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

// BenchmarkMarks makes the head of a database with as many marks of relayed streams as may be. It says what a mark takes there, and
// in memory, with the time since which it is known.
func BenchmarkMarks(b *testing.B) {
	q := benchQueue(b, OS)
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	without := heap()
	fillMarks(q, mostMarks)
	memory := (heap() - without) / mostMarks
	size := 0
	for b.Loop() {
		v, err := sealed(q.headNow())
		if err != nil {
			b.Fatal(err)
		}
		size = len(v)
	}
	b.ReportMetric(memory, "B/mark")
	b.ReportMetric(float64(size)/mostMarks, "head-B/mark")
}

// BenchmarkForgetMarks forgets a quarter of the marks that may be, as is done when there is one more.
func BenchmarkForgetMarks(b *testing.B) {
	q := benchQueue(b, OS)
	for b.Loop() {
		b.StopTimer()
		fillMarks(q, mostMarks+1)
		b.StartTimer()
		q.forgetMarks()
		if len(q.marks) != mostMarks/4*3 {
			b.Fatal(len(q.marks))
		}
	}
}

// fillMarks begins streams as senders do that are restarted again and again, 13 times each.
func fillMarks(q *Queue, n int) {
	clear(q.marks)
	for i := range n {
		s := record.Stream{Epoch: 1.7e15 + uint64(i)*123456789}
		s.Sender = record.SenderID{}.Derive(fmt.Sprint(i / 13))
		q.touch(record.Durable{Stream: s, Seq: 1e6 + uint64(i), Chain: record.Chain(uint64(i+1) * 0x9e3779b97f4a7c15)})
	}
}
