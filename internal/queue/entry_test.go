package queue

import (
	"bytes"
	"reflect"
	"testing"

	"ftfuse/internal/record"
)

func sampleSummaries() []summary {
	return []summary{
		{own: true, first: 1, last: 1},
		{rule: "r", own: true, first: 7, last: 9, newest: -5, bytes: 10, records: 2, held: 10,
			extents: []record.Extent{{Spool: 1 << 60, Off: 1 << 40, Len: 10}, {}}},
		{rule: "a rule", stream: record.Stream{Sender: record.SenderID{3}, Epoch: 4}, chain: 1 << 63, first: 2, last: 1 << 62,
			reason: record.SpoolLost, newest: 1 << 62, bytes: 1 << 63},
		{rule: "r", stream: record.Stream{Sender: record.SenderID{3}, Epoch: 4}, chain: 5, before: behind{1 << 40, 1 << 63}, first: 1<<40 + 1, last: 1<<40 + 3,
			bytes: 10, cut: Tally{2, 1}, targets: []string{"a"}},
	}
}

func TestSummaryRoundTrip(t *testing.T) {
	for _, s := range sampleSummaries() {
		got, err := parseSummary(s.append(nil))
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("got %+v, %v, want %+v", got, err, s)
		}
	}
}

// FuzzSummary: what parses prints to bytes that parse to the same, and nothing allocates beyond its input.
func FuzzSummary(f *testing.F) {
	seeds := sampleSummaries()
	for i := range seeds {
		f.Add(seeds[i].append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSummary(b)
		if err != nil {
			if !reflect.DeepEqual(s, summary{}) {
				t.Fatalf("got %+v with error %v", s, err)
			}
			return
		}
		p := s.append(nil)
		again, err := parseSummary(p)
		if err != nil || !reflect.DeepEqual(again, s) || !bytes.Equal(again.append(nil), p) {
			t.Fatalf("got %+v, %v, want %+v", again, err, s)
		}
	})
}

func TestEntryChecksumsHold(t *testing.T) {
	run := []record.Chunk{inline("r", "some text"), inline("r", "more")}
	run[0].Seq, run[1].Seq = 1, 2
	s := summarize(run, true)
	v := appendEntry(nil, &s, run)
	if _, chunks, err := readEntry(v); err != nil || len(chunks) != 2 || string(chunks[1].Data) != "more" {
		t.Fatalf("got %+v, %v", chunks, err)
	}
	head := len(v) - len("some textmore") // payload has the chunks' own checksums
	for i := range head {
		b := bytes.Clone(v)
		b[i] ^= 1
		if _, _, err := readEntry(b); err == nil {
			t.Fatalf("byte %d of %d flipped: not noticed", i, len(v))
		}
	}
}
