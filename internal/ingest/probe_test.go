package ingest

import (
	"strings"
	"testing"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// A HELLO that only asks gets marks and who answers, replaces no connection of the same name, and may send nothing.
func TestProbe(t *testing.T) {
	out := newMemory()
	_, address := serve(t, Options{Output: out, ID: record.SenderID{9}, Name: "here"})
	p := connect(t, address, stream(1), 1)
	p.batch(chunks(stream(1), 1, 3, 10))
	p.acked(1)
	asks := dial(t, address)
	h := hello(stream(1), 2)
	h.Features = []wire.Text{wire.Probe}
	asks.send(h)
	w, ok := asks.receive().(wire.Welcome)
	if !ok || w.Receiver != (record.SenderID{9}) || w.Name != "here" || w.Time == 0 || len(w.Marks) != 1 || w.Marks[0].Seq != 3 || len(w.Features) != 1 {
		t.Errorf("got %+v", w)
	}
	p.batch(chunks(stream(1), 4, 5, 10)) // its connection lives
	p.acked(2)
	asks.batch(chunks(stream(1), 6, 6, 10))
	if n := asks.refused(wire.Malformed); !strings.Contains(string(n.Text), "would send none") {
		t.Errorf("got %q", n.Text)
	}
	out.holds(t, stream(1), 1, 5, 10)
}

// Data that has been here, and data that a relay could not hand on, is refused with the reason; other relayed data is taken.
func TestLoop(t *testing.T) {
	here := record.SenderID{9}
	hops := func(n int, last record.SenderID) string {
		s := ""
		for i := range n - 1 {
			s += string(make([]byte, record.HopLen-1)) + string(rune('a'+i))
		}
		return s + string(last[:])
	}
	for name, tc := range map[string]struct {
		relay bool
		hops  string
		want  string // in the refusal; "": it is taken
	}{
		"was here":          {false, hops(3, here), "a second time, by 3 relays"},
		"passed others":     {false, hops(3, record.SenderID{8}), ""},
		"the last relay":    {true, hops(record.MaxHops-1, record.SenderID{8}), ""},
		"too many to relay": {true, hops(record.MaxHops, record.SenderID{8}), "has passed 16 relays"},
		"many, and no more": {false, hops(record.MaxHops, record.SenderID{8}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := newMemory()
			_, address := serve(t, Options{Output: out, ID: here, Name: "here", Relay: func() bool { return tc.relay }})
			p := connect(t, address, stream(1), 1)
			list := chunks(stream(1), 1, 1, 10)
			src := *list[0].Source
			src.Hops = tc.hops
			list[0].Source = &src
			p.batch(list)
			if tc.want == "" {
				p.acked(1)
				return
			}
			if n := p.refused(wire.Loop); !strings.Contains(string(n.Text), tc.want) || n.Number != 1 {
				t.Errorf("got %+v, want %q of batch 1", n, tc.want)
			}
			if got := out.seqs(stream(1)); len(got) != 0 {
				t.Errorf("got %v stored", got)
			}
		})
	}
}
