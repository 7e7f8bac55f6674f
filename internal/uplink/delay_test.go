package uplink

import (
	"testing"
	"time"
)

// A time that the receiver gave is kept, and not by everybody at the same moment.
func TestDelayIsSpread(t *testing.T) {
	for _, tc := range []struct{ pause, retry, least, most time.Duration }{
		{time.Second, 0, 500 * time.Millisecond, time.Second},
		{time.Second, 100 * time.Second, 100 * time.Second, 125 * time.Second},
	} {
		seen := map[time.Duration]bool{}
		for range 100 {
			e := &ending{retry: tc.retry}
			d := e.delay(tc.pause)
			if d < tc.least || d > tc.most {
				t.Fatalf("pause %v, asked for %v: got %v, want %v to %v", tc.pause, tc.retry, d, tc.least, tc.most)
			}
			seen[d] = true
		}
		if len(seen) < 50 {
			t.Errorf("pause %v, asked for %v: got %d different of 100", tc.pause, tc.retry, len(seen))
		}
	}
}
