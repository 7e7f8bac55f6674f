package node

import (
	"testing"

	"ftfuse/internal/config"
	"ftfuse/internal/record"
)

func TestAnOutputBelowAMountDoesNotTakeItsOwnFiles(t *testing.T) {
	view := notOwn(config.Output{Below: "app", Base: "copies/all"})
	for _, c := range []struct {
		mount, path string
		taken       bool
	}{
		{"app", "copies/all/x.log", false}, {"app", "copies/all/deep/x.log", false},
		{"app", "copies/x.log", true}, {"app", "copies/allx/x.log", true}, {"app", "x.log", true}, {"web", "copies/all/x.log", true},
	} {
		ch := &record.Chunk{File: &record.File{Mount: c.mount, Path: c.path}}
		if got := view(ch) != nil; got != c.taken {
			t.Errorf("%s of mount %s: taken %v, want %v", c.path, c.mount, got, c.taken)
		}
	}
	if view(&record.Chunk{Gap: &record.Gap{}}) == nil {
		t.Error("a gap of which nothing is known is not taken")
	}
}
