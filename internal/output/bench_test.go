package output

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

// benchRig puts its files on tmpfs, so that the figures are the code's and not the disk's.
func benchRig(b *testing.B) *rig {
	r := newRig(b)
	if dir, err := os.MkdirTemp("/dev/shm", "ftfuse-bench-"); err == nil {
		b.Cleanup(func() { os.RemoveAll(dir) })
		r.Base = dir
	}
	r.Rotate = Rotate{Size: 64 << 20, Keep: 1} // tmpfs is memory
	return r
}

func benchPut(b *testing.B, r *rig, chunks []record.Chunk) {
	r.open()
	lines, size := 0, int64(0)
	for i := range chunks {
		lines += int(chunks[i].Records)
		size += int64(chunks[i].Len)
	}
	seq := uint64(0)
	b.SetBytes(size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for j := range chunks {
			seq++
			chunks[j].Seq = seq
		}
		r.put(chunks...)
		if i%64 == 63 {
			b.StopTimer()
			if err := r.out.tend(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

func lines(n, size int) string {
	return strings.Repeat(strings.Repeat("a", size-1)+"\n", n)
}

func BenchmarkRawMiB(b *testing.B) {
	r := benchRig(b)
	benchPut(b, r, []record.Chunk{r.chunk("log", lines(8192, 128))})
}

// BenchmarkPlainWrite is what the file system gives: write(2) of 1 MiB and nothing else.
func BenchmarkPlainWrite(b *testing.B) {
	r := benchRig(b)
	data := []byte(lines(8192, 128))
	f, err := os.OpenFile(r.Base+"/plain", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(b, err)
	defer f.Close()
	b.SetBytes(1 << 20)
	for i := 0; b.Loop(); i++ {
		_, err = f.Write(data)
		must(b, err)
		if i%64 == 63 {
			b.StopTimer()
			must(b, f.Truncate(0))
			b.StartTimer()
		}
	}
}

func BenchmarkRaw64KiB(b *testing.B) {
	r := benchRig(b)
	var all []record.Chunk
	for range 16 {
		all = append(all, r.chunk("log", lines(512, 128)))
	}
	benchPut(b, r, all)
}

func BenchmarkRawManyFiles(b *testing.B) {
	r := benchRig(b)
	var all []record.Chunk
	for i := range 100 {
		all = append(all, r.chunk(fmt.Sprint("d/log", i), lines(32, 128)))
	}
	benchPut(b, r, all)
}

func BenchmarkJSON128(b *testing.B) {
	r := benchRig(b)
	r.Format = "json"
	benchPut(b, r, []record.Chunk{r.chunk("log", lines(2048, 128))})
}

func BenchmarkTemplate128(b *testing.B) {
	r := benchRig(b)
	r.Format, r.Template, r.TimeFormat = "template", `%H:%F(%P):%f[%T] %L`, "%F %T(%s %-)"
	benchPut(b, r, []record.Chunk{r.chunk("log", lines(2048, 128))})
}

func BenchmarkSums(b *testing.B) {
	data := bytes.Repeat([]byte("x"), 1<<20)
	var dst []uint32
	b.SetBytes(1 << 20)
	for b.Loop() {
		dst = sums(dst[:0], 100, [][]byte{data})
	}
}
