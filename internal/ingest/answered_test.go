package ingest

import (
	"slices"
	"testing"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// A HELLO of as many streams as there may be is one question to those who must answer, as an answer may cost a commit.
func TestAHelloIsOneQuestion(t *testing.T) {
	out, e := newMemory(), newEnd()
	_, address := serve(t, Options{Output: out, End: e})
	h := hello(stream(1), 1)
	var want []record.Durable
	for n := len(h.Streams); n < wire.MaxStreams; n++ {
		s := record.Stream{Sender: record.SenderID{1, byte(n >> 8), byte(n)}, Epoch: 2}
		c := chunks(s, 1, 9, 1)
		if err := out.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		h.Streams = append(h.Streams, s)
		if n%3 > 0 { // else nothing of it is answered for
			e.set(s, uint64(n%3))
			want = append(want, record.Durable{Stream: s, Seq: uint64(n % 3)})
		}
	}
	p := dial(t, address)
	p.send(h)
	w, ok := p.receive().(wire.Welcome)
	if !ok || !slices.Equal(w.Marks, want) {
		t.Errorf("got %+v, want the %d marks of the streams that are answered for", w, len(want))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asked != 1 {
		t.Errorf("got %d questions for %d streams, want one", e.asked, len(h.Streams))
	}
}
