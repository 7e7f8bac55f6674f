package format

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/record"
)

var benched = []struct {
	name string
	Options
}{
	{"template", Options{Format: "template", Template: "%H:%F(%P):%f[%T] %L", TimeFormat: "%F %T(%s %-)"}},
	{"named", Options{Format: "template", Template: "{time} {host} {path} {pid} {unit} {seq} {data}\n"}},
	{"field", Options{Format: "template", Template: "{time} {field.level} {field.path} {data}\n"}},
	{"json", Options{Format: "json"}},
	{"logfmt", Options{Format: "logfmt"}},
	{"rfc5424", Options{Format: "rfc5424"}},
	{"msgpack", Options{Format: "msgpack"}},
}

// benchChunks are two chunks of 2048 records of 128 bytes by two writers, one with a time of its own for each record.
func benchChunks(line string) []record.Chunk {
	data := strings.Repeat(line+strings.Repeat("x", 127-len(line))+"\n", 2048)
	a, b := chunk("log/app.log", data), chunk("log/other.log", data)
	for i := range 2048 {
		b.Marks = append(b.Marks, record.Mark{Len: 128, Delta: int64(i) * 1e6})
	}
	return []record.Chunk{a, b}
}

// BenchmarkFormats renders 128-byte records, as a stream of output's pieces. copy is a format that only copies them.
func BenchmarkFormats(b *testing.B) {
	for _, line := range []struct{ name, text string }{
		{"ascii", "2023-11-14 22:13:20 INFO request served in 12 ms "},
		{"quotes", `{"level":"info","msg":"request served","ms":12,"path":"/a/b","ok":"true"}`},
		{"utf8", "Größe überschritten: ä ö ü und so weiter "},
	} {
		b.Run("copy/"+line.name, func(b *testing.B) { benchFormat(b, copier{}, line.text) })
		for _, k := range benched {
			b.Run(k.name+"/"+line.name, func(b *testing.B) {
				f, err := New(k.Options)
				if err != nil {
					b.Fatal(err)
				}
				benchFormat(b, f, line.text)
			})
		}
	}
}

func benchFormat(b *testing.B, f interface {
	Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte
}, text string) {
	chunks := benchChunks(text)
	var dst []byte
	spill := func(p []byte) []byte {
		if len(p) < 64<<10 {
			return p
		}
		return p[:0]
	}
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		for i := range chunks {
			dst = f.Append(dst[:0], &chunks[i], spill)
		}
	}
	used := cpuTime(b) - before
	b.ReportMetric(4096*float64(b.N)/used.Seconds(), "lines/s-of-cpu")
}

// copier is what no format can be faster than: it finds the records and copies them.
type copier struct{}

func (copier) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	EachRecord(c, func(rec []byte, _ int, _ int64) { dst = spill(append(dst, rec...)) })
	return dst
}

// cpuTime is what the process has used: on a busy machine it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// In the steady state nothing is allocated, also when each chunk has one record and another writer than the one before.
func TestNothingIsAllocated(t *testing.T) {
	for _, k := range benched {
		f, err := New(k.Options)
		if err != nil {
			t.Fatal(err)
		}
		chunks := benchChunks("a\"b ä \x01 ")
		for i := range 4 {
			c := chunk("a/long/path/that/does/not/fit/into/some/small/buffer/of/bytes", "line\xff\n")
			c.Writer.Exe, c.Time = strings.Repeat("x", 100)+"\xff", at+int64(i)
			chunks = append(chunks, c)
		}
		dst := make([]byte, 0, 4<<20)
		allocs := testing.AllocsPerRun(10, func() {
			for i := range chunks {
				dst = f.Append(dst[:0], &chunks[i], hold)
			}
		})
		if allocs > 0 {
			t.Errorf("%s: %v allocations for %d chunks, want none", k.name, allocs, len(chunks))
		}
	}
}
