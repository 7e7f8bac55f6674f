package uplink

import (
	"testing"
	"time"
)

// A connection that gets nothing through makes batches small; those that are acknowledged soon make them large again, no
// larger than configured.
func TestBatchSize(t *testing.T) {
	b := newBatchSize(300<<10, 8*time.Second)
	for i, step := range []struct {
		do   func()
		want int
	}{
		{func() {}, 300 << 10},
		{func() { b.acked(time.Hour) }, 300 << 10},
		{b.stuck, 64 << 10},
		{func() { b.acked(time.Second) }, 64 << 10},
		{func() { b.acked(time.Second - 1) }, 128 << 10},
		{func() { b.acked(0) }, 256 << 10},
		{func() { b.acked(0) }, 300 << 10},
		{func() { b.acked(0) }, 300 << 10},
	} {
		if step.do(); b.get() != step.want {
			t.Errorf("step %d: got batches of %d bytes, want %d", i, b.get(), step.want)
		}
	}
	small := newBatchSize(1000, time.Second)
	if small.stuck(); small.get() != 1000 {
		t.Errorf("got batches of %d bytes, want what is configured", small.get())
	}
}
