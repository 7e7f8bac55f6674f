package node

import (
	"testing"

	"ftfuse/internal/config"
	"ftfuse/internal/record"
)

func TestAnOutputBelowAMountDoesNotTakeItsOwnFiles(t *testing.T) {
	all, one := config.Output{Below: "app", Base: "copies/all", Path: "{name}"}, config.Output{Below: "app", Base: ".", Path: "all.log"}
	for _, c := range []struct {
		output      config.Output
		mount, path string
		flags       record.Flags
		taken       bool
	}{
		{all, "app", "copies/all/x.log", record.Below, false}, {all, "app", "copies/all/deep/x.log", record.Below, false},
		{all, "app", "copies/x.log", record.Below, true}, {all, "app", "copies/allx/x.log", record.Below, true}, {all, "app", "x.log", record.Below, true},
		{all, "web", "copies/all/x.log", record.Below, true}, {all, "app", "copies/all/x.log", 0, true}, // written through the mount
		{one, "app", "all.log", record.Below | record.Continues, false}, {one, "app", "all.log-20260102-150405", record.Below, false},
		{one, "app", "all.log2", record.Below, true}, {one, "app", "x.log", record.Below, true}, {one, "app", "all.log", 0, true},
		{config.Output{Below: "app", Base: "./", Path: "copy-{name}"}, "app", "copy-x", record.Below, false},
		{config.Output{Below: "app", Base: ".", Path: "copy-{name}"}, "app", "x", record.Below, true},
	} {
		ch := &record.Chunk{File: &record.File{Mount: c.mount, Path: c.path}, Flags: c.flags}
		if got := notOwn(c.output)(ch) != nil; got != c.taken {
			t.Errorf("%s of mount %s, flags %d, by %s/%s: taken %v, want %v", c.path, c.mount, c.flags, c.output.Base, c.output.Path, got, c.taken)
		}
	}
	if notOwn(all)(&record.Chunk{Gap: &record.Gap{}}) == nil {
		t.Error("a gap of which nothing is known is not taken")
	}
}
