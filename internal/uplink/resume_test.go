package uplink

import (
	"errors"
	"testing"

	"ftfuse/internal/record"
)

// Which chunks are sent, skipped, or show that the queue is another one than the receiver knows.
func TestResume(t *testing.T) {
	now, older := record.Stream{Sender: record.SenderID{1}, Epoch: 8}, record.Stream{Sender: record.SenderID{1}, Epoch: 7}
	later := record.Stream{Sender: now.Sender, Epoch: 9}
	chunk := func(s record.Stream, seq uint64) record.Chunk {
		return record.Chunk{Seq: seq, Source: &record.Source{Stream: s, BootID: "now"}, Len: 1}
	}
	before := func(c record.Chunk) record.Chunk {
		c.Source.BootID = "before"
		return c
	}
	holds := func(s record.Stream, seqs ...uint64) (m record.Durable) {
		for _, seq := range seqs {
			c := chunk(s, seq)
			m = m.Add(&c)
		}
		return m
	}
	for name, tc := range map[string]struct {
		acked  record.Durable
		mark   record.Durable
		given  uint64
		chunks []record.Chunk
		sent   int  // of the chunks
		epoch  bool // a new one is demanded in the end
	}{
		"all is new":                            {record.Durable{}, record.Durable{}, 2, []record.Chunk{chunk(now, 1), chunk(now, 2)}, 2, false},
		"some is known":                         {record.Durable{}, holds(now, 1), 2, []record.Chunk{chunk(now, 1), chunk(now, 2)}, 1, false},
		"all given is known":                    {record.Durable{}, holds(now, 1, 2), 2, []record.Chunk{chunk(now, 1), chunk(now, 2), chunk(now, 3)}, 1, false},
		"more than was given":                   {record.Durable{}, holds(now, 1, 2, 3), 2, nil, 0, true},
		"of an older epoch more than was given": {record.Durable{}, holds(older, 1, 2, 3), 2, []record.Chunk{before(chunk(older, 1)), chunk(now, 2)}, 1, false},
		"of an older epoch of this boot more":   {record.Durable{}, holds(older, 1, 2, 3), 2, []record.Chunk{chunk(older, 1)}, 0, true},
		"so, and more was given since":          {record.Durable{}, holds(older, 1, 2, 3), 4, []record.Chunk{chunk(older, 1), chunk(now, 2)}, 0, true},
		"of one that was acknowledged more":     {holds(older, 1), holds(older, 1, 2, 3), 2, []record.Chunk{chunk(now, 2)}, 1, false},
		"the epoch ends before the mark":        {record.Durable{}, holds(now, 1, 2, 3), 3, []record.Chunk{chunk(now, 1), chunk(later, 2)}, 0, true},
		"other chunks":                          {record.Durable{}, holds(now, 2, 3), 3, []record.Chunk{chunk(now, 1), chunk(now, 2), chunk(now, 3)}, 0, true},
		"goes on from what is acknowledged":     {holds(now, 1), holds(now, 1, 2), 3, []record.Chunk{chunk(now, 2), chunk(now, 3)}, 1, false},
		"began empty, and its answer was lost":  {holds(now, 1), holds(now, 2, 3), 4, []record.Chunk{chunk(now, 2), chunk(now, 3), chunk(now, 4)}, 1, false},
		"began empty, with other chunks":        {holds(now, 1), holds(now, 3), 4, []record.Chunk{chunk(now, 2), chunk(now, 3), chunk(now, 4)}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, err := newResume(now, "now", tc.acked, []record.Durable{tc.mark}, tc.given, func(id record.SenderID) bool { return id == now.Sender })
			sent := 0
			for i := 0; i < len(tc.chunks) && err == nil; i++ {
				var send bool
				if send, err = r.next(&tc.chunks[i]); send {
					sent++
				}
			}
			if sent != tc.sent || errors.Is(err, record.ErrEpoch) != tc.epoch || !tc.epoch && err != nil {
				t.Errorf("got %d sent, %v, want %d, a new epoch: %v", sent, err, tc.sent, tc.epoch)
			}
		})
	}
}
