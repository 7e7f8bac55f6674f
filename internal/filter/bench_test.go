package filter

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// benchLines are like an access log's, of 128 bytes each with their line end.
var benchLines = func() (lines [][]byte) {
	for i := range 64 {
		s := fmt.Sprintf(`192.0.2.%d - - [02/Jan/2026:03:04:%02d +0000] "GET /shop/item/%d?ref=mail HTTP/1.1" 200 %d "-" "curl/8.5.0"`,
			i*3, i%60, 10007*i%99991, 1000+i*37)
		for len(s) < 127 {
			s += "."
		}
		lines = append(lines, []byte(s[:127]+"\n"))
	}
	return lines
}()

// benchFilters returns n filters; the last one hits every line when hit is set, the others none.
func benchFilters(n int, kind string, hit bool) Options {
	var o Options
	for i := range n {
		word := fmt.Sprintf("%c%c%s%d", 'a'+i%26, 'a'+i*7%26, [...]string{"fail", "panic:", "timeout", "denied"}[i%4], i)
		f := Filter{Action: Deny}
		last := hit && i == n-1
		switch {
		case kind == "literal" && last:
			f.Contains = "GET /shop"
		case kind == "literal":
			f.Contains = word
		case last:
			f.Match = `GET /shop/\w+/\d+`
		case i%2 == 0:
			f.Match = `(?i)` + word + `\s+\d+`
		default:
			f.Match = `^\S+ .*(` + word + `|x` + word + `).*ms$`
		}
		o.Filters = append(o.Filters, f)
	}
	return o
}

func BenchmarkFilters(b *testing.B) {
	for _, kind := range []string{"literal", "regex"} {
		for _, hit := range []bool{false, true} {
			for _, n := range []int{1, 10, 100} {
				b.Run(fmt.Sprintf("%s/%s/%d", kind, map[bool]string{true: "hit", false: "miss"}[hit], n), func(b *testing.B) {
					benchApply(b, benchFilters(n, kind, hit), hit)
				})
			}
		}
	}
}

func benchApply(b *testing.B, o Options, drops bool) {
	s, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	c, sc := s.For(nil, nil, ""), Scratch{}
	b.ReportAllocs()
	i, before := 0, cpuTime(b)
	for b.Loop() {
		if v := c.Apply(benchLines[i&63], uint64(i), &sc); v.Keep == drops {
			b.Fatalf("keep %v, want %v", v.Keep, !drops)
		}
		i++
	}
	used := cpuTime(b) - before
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/line")
	b.ReportMetric(float64(b.N)/used.Seconds(), "lines/s-of-cpu")
}

// cpuTime is what the process has used: on a busy machine it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRedact has lines with one IPv4 address each.
func BenchmarkRedact(b *testing.B) {
	for _, name := range append(BuiltIn(), "own") {
		b.Run(name, func(b *testing.B) {
			benchApply(b, Options{
				Filters:  []Filter{{Action: Redact, Redact: []string{name}}},
				Patterns: []Pattern{{"own", `\bref=\w+`}},
			}, false)
		})
	}
}

func BenchmarkOthers(b *testing.B) {
	for name, f := range map[string]Filter{
		"rewrite":    {Action: Rewrite, Match: `^(\S+) .*"GET ([^ ?]+)`, Rewrite: "$1 $2"},
		"no-literal": {Action: Deny, Match: `\d{7,} \d{7,}`},
		"field":      {Action: Deny, Field: "level", Is: []string{"debug"}},
	} {
		b.Run(name, func(b *testing.B) { benchApply(b, Options{Filters: []Filter{f}}, false) })
	}
}
