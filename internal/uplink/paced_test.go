package uplink_test

import (
	"testing"
	"time"

	"ftfuse/internal/pace"
)

// A connection that has grown old ends in order and begins anew: nothing is cut, lost or sent twice.
func TestMaxAge(t *testing.T) {
	p := newPair(t)
	p.options.MaxAge = 5 * time.Millisecond
	p.receive()
	p.send()
	var want []byte
	for p.up.Status().Connects < 10 {
		want = fill(p.backlog, p.spools, 3, 2, 1000)
		p.delivered()
	}
	p.arrived(want)
	if st := p.up.Status(); st.Failures != 0 || st.SkippedChunks != 0 || st.SentBytes != uint64(len(want)) {
		t.Errorf("got %+v, want no failure, and %d bytes sent once", st, len(want))
	}
}

// What goes by a line that paces it is the same, in frames as they are.
func TestPaced(t *testing.T) {
	p := newPair(t)
	line, err := pace.New(1<<30, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	p.options.Line, p.options.Class = line, pace.Low
	p.receive()
	want := fill(p.backlog, p.spools, 30, 3, 100_000)
	p.send()
	p.delivered()
	p.arrived(want)
}

// A connection that waits for its line ends at once when it is asked to: nobody waits for a rate that is low.
func TestPacedStop(t *testing.T) {
	p := newPair(t)
	line, err := pace.New(1, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	p.options.Line, p.options.StopTimeout = line, 10*time.Millisecond
	p.receive()
	fill(p.backlog, p.spools, 30, 3, 100_000) // more than a burst
	stop := p.send()
	until(t, "it waits", func() bool { return p.up.Status().Batches > 0 })
	stop()
	if st := p.up.Status(); st.AckedBatches != 0 {
		t.Errorf("got %+v, want nothing through", st)
	}
}
