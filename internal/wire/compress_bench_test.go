package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// accessLog is n bytes of lines as a web server writes them: few agents, many addresses, paths and sizes.
func accessLog(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	popular := rand.NewZipf(rng, 1.2, 4, 50_000)
	agents := []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "curl/8.5.0", "Googlebot/2.1 (+http://www.google.com/bot.html)",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
	}
	verbs, codes := []string{"GET", "GET", "GET", "POST", "HEAD"}, []int{200, 200, 200, 304, 302, 404, 500}
	var b bytes.Buffer
	for at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); ; at = at.Add(time.Duration(rng.ExpFloat64() * 2e7)) {
		client, page := popular.Uint64(), popular.Uint64()
		line := fmt.Sprintf("%d.%d.%d.%d - - [%s] \"%s /shop/%x/item-%d?ref=%d HTTP/1.1\" %d %d \"https://www.example.com/shop/%x\" \"%s\"\n",
			11+client*7%200, client*31%256, client*57%256, client%256, at.Format("02/Jan/2006:15:04:05 -0700"), verbs[rng.IntN(len(verbs))], page*2654435761%4096,
			page, rng.IntN(100), codes[rng.IntN(len(codes))], 200+page*7919%40_000, page*40503%4096, agents[client%uint64(len(agents))])
		if b.WriteString(line); b.Len() >= n {
			return b.Bytes()[:n]
		}
	}
}

// BenchmarkCompress is what a gigabyte of access log costs in batches of a megabyte, by codec and level, on either side, and what
// is left of it.
func BenchmarkCompress(b *testing.B) {
	text := accessLog(record.MaxChunk)
	source := &record.Source{Host: "web1"}
	chunks := []record.Chunk{{Seq: 1, Source: source, File: &record.File{Mount: "log", Path: "access.log"}, Writer: &record.Writer{Comm: "nginx"},
		Data: text, Len: uint32(len(text)), CRC: record.CRC(text)}}
	for _, c := range []struct {
		codec Codec
		level int
	}{{None, 1}, {S2, 1}, {Zstd, 1}, {Zstd, 3}, {Zstd, 7}, {Zstd, 12}} {
		name := fmt.Sprint(c.codec)
		if c.codec == Zstd {
			name = fmt.Sprintf("%v-%d", c.codec, c.level)
		}
		e := Encoder{Level: c.level}
		var frame []byte
		b.Run(name+"/pack", func(b *testing.B) {
			perGB(b, len(text), func() {
				bufs, _, err := e.Batch(1, chunks, c.codec)
				if err != nil {
					b.Fatal(err)
				}
				frame = frame[:0]
				for _, p := range bufs {
					frame = append(frame, p...)
				}
			})
			b.ReportMetric(float64(len(text))/float64(len(frame)), "ratio")
		})
		if frame == nil {
			continue // another benchmark was asked for
		}
		h, err := PeekBatch(frame[4:])
		if err != nil {
			b.Fatal(err)
		}
		scratch := make([]byte, 0, h.Body)
		var d Decoder
		b.Run(name+"/unpack", func(b *testing.B) {
			perGB(b, len(text), func() {
				got, err := d.Batch(h, frame[4:], scratch, nil)
				if err != nil || record.CRC(got[0].Data) != chunks[0].CRC { // as a receiver does
					b.Fatal(err)
				}
			})
		})
	}
}

// perGB reports the processor time of f for each 10^9 bytes of payload.
func perGB(b *testing.B, size int, f func()) {
	b.SetBytes(int64(size))
	before := processorTime(b)
	for b.Loop() {
		f()
	}
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N)/float64(size)*1e9, "cpu-s/GB")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
