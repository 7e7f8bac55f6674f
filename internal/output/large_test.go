package output

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

// A quarter of a MiB of empty lines is 100 MiB of JSON: it is written without ever being held.
func TestLargeTextIsNotHeld(t *testing.T) {
	const empty = record.MaxChunk / 4
	r := newRig(t)
	r.Format = "json"
	r.open()
	var before, after runtime.MemStats
	put := []record.Chunk{r.chunk("a", "before\n"), r.chunk("a", strings.Repeat("\n", empty)), r.chunk("a", "after\n")}
	runtime.ReadMemStats(&before)
	r.put(put...)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("allocated %d MiB, want at most 32", grown>>20)
	}
	got := r.read("a")
	if n := strings.Count(got, "\n"); n != empty+2 {
		t.Errorf("lines: got %d, want %d", n, empty+2)
	}
	if !strings.Contains(lastLine(got), `"data":"after"`) {
		t.Errorf("last line: got %q", lastLine(got))
	}
	if s := r.out.Stats(); s.Unowned != 0 || s.Uncertain != 0 {
		t.Errorf("stats: got %+v", s)
	}
}

func TestLargeTextSurvivesAKill(t *testing.T) {
	r := newRig(t)
	r.Format = "json"
	r.open()
	r.put(r.chunk("a", "before\n"))
	head := r.read("a")
	big := r.chunk("a", strings.Repeat("\n", 50_000))
	if n := estimate(r.out.form, &big); n < largeText {
		t.Fatalf("estimate: got %d, not large", n)
	}
	r.crash("written", big)
	whole := r.read("a")
	r.open()
	if s := r.out.Stats(); s.Finished != 1 {
		t.Fatalf("stats: got %+v, want the append finished", s)
	}
	r.want("a", whole)
	again := r.chunk("a", strings.Repeat("\n", 50_001))
	r.crash("written", again)
	must(t, os.Truncate(r.Base+"/a", int64(len(whole))/4096*4096+8192))
	r.open()
	r.want("a", whole)
	r.put(again)
	if got := r.read("a"); strings.Count(got, "\n") != 100_002 || !strings.HasPrefix(got, head) {
		t.Fatalf("lines: got %d, want %d", strings.Count(got, "\n"), 100_002)
	}
}

func lastLine(s string) string {
	s = strings.TrimSuffix(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}
