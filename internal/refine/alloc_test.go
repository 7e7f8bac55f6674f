//go:build !race

package refine

import (
	"strings"
	"testing"

	"ftfuse/internal/record"
)

// With the race detector sync.Pool throws things away on purpose, and package regexp allocates anew.
func TestNothingMatchesNothingIsAllocated(t *testing.T) {
	text := strings.Repeat(strings.Repeat("x", 127)+"\n", 100)
	c := record.Chunk{Source: source, File: &record.File{Path: "p"}, Writer: writer, Len: uint32(len(text)), Data: []byte(text), Records: 100}
	s := stage(ruleOf(t), spool{})
	chunks := []record.Chunk{c}
	if n := testing.AllocsPerRun(100, func() { s.Refine(chunks) }); n > 2 {
		t.Errorf("a chunk of 100 lines that match nothing allocates %v times, want at most 2", n)
	}
}

func TestIdleAllocatesNothing(t *testing.T) {
	s := stage(plain(t, "r", "a"), spool{})
	chunks := []record.Chunk{inline(&record.File{Path: "p"}, "x\n")}
	if n := testing.AllocsPerRun(100, func() { s.Refine(chunks) }); n > 0 {
		t.Errorf("a chunk without filters allocates %v times, want none", n)
	}
}
