package capture

import (
	"errors"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// unregistered asks for all that is written and not in the queue.
func (r *rig) unregistered(t *testing.T) int64 {
	t.Helper()
	n, err := r.Unregistered()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever a write(2) has returned for is in the queue or counts as not there, whether the follower has looked or not.
func TestUnregisteredIsAllThatIsWritten(t *testing.T) {
	sink := newChain()
	sink.fail = errors.New("the queue does not take it")
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	f := r.file(t, "a.log")
	sp, err := f.OpenSpool(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	w := kernel(t, sp)
	l, err := f.OpenLog(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for range 500 { // at any moment of the follower's
		mustWrite(t, w, "open\n")
		if written += 5; r.unregistered(t) != int64(written) {
			t.Fatalf("got %d bytes after write(2), want %d", r.unregistered(t), written)
		}
		n, err := l.Write([]byte("log\n"), 0, true, false, &record.Writer{}, 0)
		if written += n; err != nil || r.unregistered(t) != int64(written) {
			t.Fatalf("got %d bytes after a write by us, want %d (%v)", r.unregistered(t), written, err)
		}
	}
	mustWrite(t, w, "no end")
	sink.mu.Lock()
	sink.fail = nil
	sink.mu.Unlock()
	sink.waitFor(t, "all but the beginning of a line is registered", func() bool { return r.unregistered(t) == 6 })
	l.Release()
	sp.Release()
	sink.waitFor(t, "all is registered", func() bool { return r.unregistered(t) == 0 })
	if got := len(sink.all()); got != written+6 {
		t.Errorf("got %d bytes, want %d", got, written+6)
	}
}

// The log that an earlier process has left counts before it is read.
func TestUnregisteredOfAnEarlierProcess(t *testing.T) {
	dir, sink := t.TempDir(), newChain()
	sink.fail = errors.New("the queue does not take it")
	r := start(t, dir, sink, Recovery{}, func(o *Options) { o.Stop = time.Nanosecond })
	l, err := r.file(t, "a.log").OpenLog(decision, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("not seen\n"), 0, true, false, &record.Writer{}, 0); err != nil {
		t.Fatal(err)
	}
	r.stop()
	c, err := New(r.o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Recover(Recovery{}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Unregistered(); n != 9 || err != nil {
		t.Errorf("got %d bytes, %v, want the 9 that were written", n, err)
	}
}
