package refine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

// benchSize is that of a line of the benchmarks, with its line end.
const benchSize = 128

// benchText is a chunk of lines like an access log's. One in a hundred holds a password.
var benchText = func() []byte {
	var b bytes.Buffer
	for i := range record.MaxChunk / benchSize {
		line := fmt.Sprintf(`192.0.2.%d - - [02/Jan/2026:03:04:%02d +0000] "GET /shop/item/%d?ref=mail HTTP/1.1" 200 %d "-" "curl/8.5.0"`,
			i*3%256, i%60, 10007*i%99991, 1000+i*37%9000)
		if i%100 == 42 {
			line = line[:60] + " password=opensesame "
		}
		b.WriteString(line)
		b.Write(bytes.Repeat([]byte{'.'}, benchSize-1-len(line)))
		b.WriteByte('\n')
	}
	return b.Bytes()
}()

// benchFilters returns n filters; the last one holds for every line when hit is set, the others for none.
func benchFilters(n int, kind string, hit bool) filter.Options {
	o := filter.Options{Targets: []string{"main"}}
	for i := range n {
		word := fmt.Sprintf("%s%c%c%d", [...]string{"fail", "panic:", "timeout", "denied"}[i%4], 'a'+i%26, 'a'+i*7%26, i)
		f := filter.Filter{Action: filter.Deny}
		switch last := hit && i == n-1; {
		case last && kind == "regex":
			f.Match = `^192\.0\.\d+\.\d+ - `
		case last:
			f.Contains = "192.0.2."
		case kind == "regex":
			f.Match = [...]string{`(?i)` + word + `\s+\d+`, `^\S+ .*(` + word + `|x` + word + `).*ms$`}[i%2]
		default:
			f.Contains = word
		}
		o.Filters = append(o.Filters, f)
	}
	return o
}

// BenchmarkFilters is the cost of filters by line: of the chain alone, and of the stage with it, which reads the lines out of a
// file and divides them.
func BenchmarkFilters(b *testing.B) {
	for _, kind := range []string{"literal", "regex"} {
		for _, hit := range []string{"miss", "hit"} {
			for _, n := range []int{1, 10, 100} {
				name := fmt.Sprintf("%s/%s/%d", kind, hit, n)
				o := benchFilters(n, kind, hit == "hit")
				b.Run(name+"/chain", func(b *testing.B) { benchChain(b, o) })
				b.Run(name+"/stage", func(b *testing.B) { benchStage(b, o) })
			}
		}
	}
}

// BenchmarkSome has filters that concern some of the lines: a hundredth is redacted, a hundredth or every other one is denied.
func BenchmarkSome(b *testing.B) {
	for name, f := range map[string]filter.Filter{
		"nothing-redacted":   {Action: filter.Redact, Redact: []string{"jwt"}},
		"hundredth-redacted": {Action: filter.Redact, Redact: []string{"password"}},
		"hundredth-denied":   {Action: filter.Deny, Contains: "password="},
		"half-denied":        {Action: filter.Deny, Match: `item/\d*[13579]\?`},
	} {
		o := filter.Options{Targets: []string{"main"}, Filters: []filter.Filter{f}}
		b.Run(name+"/chain", func(b *testing.B) { benchChain(b, o) })
		b.Run(name+"/stage", func(b *testing.B) { benchStage(b, o) })
	}
}

// BenchmarkIdle is the stage without filters.
func BenchmarkIdle(b *testing.B) { benchStage(b, filter.Options{Targets: []string{"main"}}) }

func benchChain(b *testing.B, o filter.Options) {
	set, err := filter.New(o)
	if err != nil {
		b.Fatal(err)
	}
	c, sc := set.For(nil, nil, ""), filter.Scratch{}
	measure(b, func() {
		for off := 0; off < len(benchText); off += benchSize {
			c.Apply(benchText[off:off+benchSize], uint64(off), &sc)
		}
	})
}

func benchStage(b *testing.B, o filter.Options) {
	set, err := filter.New(o)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "spool"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(benchText); err != nil {
		b.Fatal(err)
	}
	rule := &Rule{Name: "r", Targets: o.Targets, Filter: set}
	s := New(Options{Read: func(e record.Extent, p []byte) error { _, err := f.ReadAt(p, e.Off); return err }},
		&Table{Fallback: rule, Decide: func(string, string) *Rule { return rule }})
	n := uint32(len(benchText))
	chunks := []record.Chunk{{Source: source, File: &record.File{Path: "p"}, Writer: writer, Handle: 1, Len: n, Records: n / benchSize,
		CRC: record.CRC(benchText), Extents: []record.Extent{{Spool: 1, Len: n}}}}
	measure(b, func() {
		if out := s.Refine(chunks); len(out) == 0 || out[0].Gap != nil {
			b.Fatalf("got %d chunks, want some and no gap", len(out))
		}
	})
}

// measure runs f, which is once over all lines, and reports the processor time of a line: on a busy machine it says more
// than the clock.
func measure(b *testing.B, f func()) {
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		f()
	}
	used, lines := cpuTime(b)-before, float64(b.N)*float64(len(benchText)/benchSize)
	b.ReportMetric(float64(used.Nanoseconds())/lines, "cpu-ns/line")
	b.ReportMetric(lines/used.Seconds(), "lines/s-of-cpu")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
