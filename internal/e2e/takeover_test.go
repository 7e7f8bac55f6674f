package e2e

import (
	"testing"
	"time"
)

// The sender is killed and started again while programs write: no program sees an error, nothing is lost or comes twice.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	s, m := startManaged(t)
	rnd := random(t)
	l := s.loads(300*time.Microsecond, false)
	for range soak(40) {
		time.Sleep(time.Duration(rnd.Intn(120)) * time.Millisecond)
		s.sender.kill()
		m.start()
	}
	s.settle(l)
	total := 0
	for _, w := range l {
		if len(w.failed)+len(w.other) > 0 {
			t.Errorf("writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
		total += len(w.ok)
	}
	t.Logf("%d lines over %d kills", total, soak(40))
	if total == 0 {
		t.Error("nothing was written")
	}
}
