package uplink

import (
	"testing"

	"ftfuse/internal/record"
)

// What a receiver says of streams is held against what this process sent it, and nothing else.
func TestMemory(t *testing.T) {
	own := record.Stream{Sender: record.SenderID{1}, Epoch: 4}
	at := func(seq uint64, chain record.Chain) record.Durable {
		return record.Durable{Stream: own, Seq: seq, Chain: chain}
	}
	first, other := record.SenderID{8}, record.SenderID{9}
	asked := []record.Stream{own}
	for name, tc := range map[string]struct {
		receiver record.SenderID // that answers in the end
		mark     record.Durable
		odd      bool
	}{
		"where it was left":          {first, at(30, 3), false},
		"behind the first batch":     {first, at(20, 2), false},
		"within the second batch":    {first, at(25, 77), false},
		"set back":                   {first, at(5, 9), false},
		"empty":                      {first, record.Durable{}, false},
		"further than it was sent":   {first, at(31, 4), true},
		"other content":              {first, at(20, 99), true},
		"other content at the start": {first, at(10, 99), true},
		"another receiver":           {other, at(99, 99), false},
		"an older version":           {record.SenderID{}, at(99, 99), false},
	} {
		t.Run(name, func(t *testing.T) {
			var m memory
			ours := func(id record.SenderID) bool { return id == own.Sender }
			for range 2 { // it was met before that
				if odd := m.begin(first, asked, []record.Durable{at(10, 1)}, ours); odd != nil {
					t.Fatalf("got %v", odd)
				}
			}
			m.sent(1, []record.Durable{at(20, 2)})
			m.sent(2, []record.Durable{at(30, 3)})
			if odd := m.begin(tc.receiver, asked, []record.Durable{tc.mark}, ours); (odd != nil) != tc.odd {
				t.Errorf("got %v, want one that is odd: %v", odd, tc.odd)
			}
		})
	}
}

// Behind an acknowledgement, what lies before it is of no use; and of a stream that was not asked for nothing is known.
func TestMemoryForgets(t *testing.T) {
	own, more := record.Stream{Sender: record.SenderID{1}, Epoch: 4}, record.Stream{Sender: record.SenderID{1}, Epoch: 5}
	ours := func(record.SenderID) bool { return true }
	var m memory
	begin := func(asked []record.Stream, marks ...record.Durable) *record.Durable {
		return m.begin(record.SenderID{8}, asked, marks, ours)
	}
	begin([]record.Stream{own})
	for n := range uint64(100) {
		m.sent(n+1, []record.Durable{{Stream: own, Seq: n + 1, Chain: 5}, {Stream: more, Seq: n + 1, Chain: 6}})
		m.acked(n)
	}
	if n := len(m.now[own]); n > 2 {
		t.Errorf("got %d marks kept, want that of the last acknowledgement and what lies behind", n)
	}
	if odd := begin([]record.Stream{own, more}, record.Durable{Stream: own, Seq: 100, Chain: 5}, record.Durable{Stream: more, Seq: 7, Chain: 1}); odd != nil {
		t.Errorf("got %v of a stream that was not asked for", odd)
	}
	if odd := begin([]record.Stream{own}, record.Durable{Stream: own, Seq: 99, Chain: 5}); odd != nil {
		t.Errorf("a receiver that was set back: got %v", odd)
	}
}
