package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// accessLog returns n bytes that compress as logs do.
func accessLog(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "192.168.%d.%d - - [22/Nov/2026:15:43:%02d +0000] \"GET /api/v1/items/%d?page=%d HTTP/1.1\" 200 %d \"-\" \"Mozilla/5.0\"\n",
			rng.IntN(256), rng.IntN(256), rng.IntN(60), rng.IntN(100000), rng.IntN(50), rng.IntN(100000))
	}
	return b.Bytes()[:n]
}

// Every level of zstd can be read, those that the library tells apart make other bytes, and other codecs have none.
func TestLevels(t *testing.T) {
	body := accessLog(1 << 18)
	made := map[string]int{}
	for _, level := range []int{0, 1, 2, 3, 5, 6, 9, 10, 22} {
		packed := Zstd.compress(nil, body, level)
		if got, err := Zstd.decompress(nil, packed, len(body)); err != nil || !bytes.Equal(got, body) {
			t.Errorf("level %d: got %d other bytes, %v", level, len(got), err)
		}
		made[string(packed)]++
		if !bytes.Equal(S2.compress(nil, body, level), S2.compress(nil, body, 1)) {
			t.Errorf("level %d: s2 depends on it", level)
		}
	}
	if len(made) != 4 {
		t.Errorf("got %d kinds of zstd, want 4", len(made))
	}
}

func BenchmarkCompress(b *testing.B) {
	body := accessLog(1 << 20)
	run := func(name string, c Codec, level int) {
		b.Run(name, func(b *testing.B) {
			packed := c.compress(nil, body, level)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				packed = c.compress(packed, body, level)
			}
			b.ReportMetric(float64(len(body))/float64(len(packed)), "ratio")
		})
	}
	run("s2", S2, 0)
	for _, level := range []int{1, 3, 6, 10} {
		run(fmt.Sprint("zstd-", level), Zstd, level)
	}
}

func BenchmarkDecompress(b *testing.B) {
	body := accessLog(1 << 20)
	for _, c := range []Codec{S2, Zstd} {
		b.Run(c.String(), func(b *testing.B) {
			packed := c.compress(nil, body, 3)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) { // as connections do
				room := make([]byte, len(body))
				for pb.Next() {
					if _, err := c.decompress(room, packed, len(body)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
