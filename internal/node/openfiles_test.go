package node

import "testing"

func TestDescriptorsAreShared(t *testing.T) {
	for _, c := range []struct {
		limit                uint64
		connections, outputs int
		each                 int
		enough               bool
	}{
		{524288, 1024, 1, mostFiles, true},
		{20_000, 10_000, 2, 3558, true},
		{4096, 1024, 0, 1920, true},
		{1024, 1024, 1, leastFiles, false},
		{1 << 63, 10, 1, mostFiles, true},
	} {
		each, enough := shareFiles(c.limit, c.connections, c.outputs)
		if each != c.each || enough != c.enough {
			t.Errorf("%+v: got %d, %v", c, each, enough)
		}
	}
}
