package ingest

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"ftfuse/internal/wire"
)

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// A connection that ends inside a frame, wherever, is one that has ended: nobody is refused, nothing of the frame is stored, and the
// journal says how it was.
func TestTheEndInsideAFrame(t *testing.T) {
	for _, cut := range []int{1, 3, 5, 40, 4000} {
		var log journal
		out := newMemory()
		s, address := serve(t, Options{Output: out, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		p := connect(t, address, stream(1), 1)
		p.batch(chunks(stream(1), 1, 1, 10))
		p.acked(1)
		p.raw(p.frame(chunks(stream(1), 2, 2, 5000), wire.None)[:cut])
		p.nc.Close()
		until(t, "the connection has ended", func() bool { return strings.Contains(log.String(), "sender disconnected") })
		if !strings.Contains(log.String(), "inside a frame") || strings.Contains(log.String(), "refused") {
			t.Errorf("%d bytes: got the log %s, want that it ended inside a frame", cut, &log)
		}
		for reason, n := range s.Status().Refused {
			if n > 0 {
				t.Errorf("%d bytes: got %d refused as %s, want none", cut, n, reason)
			}
		}
		out.holds(t, stream(1), 1, 1, 10)
	}
}
