package share

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"ftfuse/internal/record"
)

// once is a backlog of one batch.
type once struct {
	record.Backlog
	batch record.Batch
}

func (o *once) Next(context.Context, int64) (record.Batch, error) {
	b := o.batch
	b.Chunks = append([]record.Chunk(nil), b.Chunks...)
	return b, nil
}

func text(source *record.Source, seq uint64, s string) record.Chunk {
	return record.Chunk{Seq: seq, Source: source, File: &record.File{Mount: "m", Path: "p", Rule: "r", Unit: record.Framed},
		Writer: &record.Writer{Kind: record.Thread, PID: 3, Comm: "c"}, Handle: 4, Offset: 5, Time: 6, Clock: record.Written,
		Flags: record.Continues, Records: 1, Marks: []record.Mark{{Len: uint32(len(s))}}, CRC: record.CRC([]byte(s)), Len: uint32(len(s)), Data: []byte(s)}
}

// nobody is told nothing, as nothing is taken out.
func nobody(last uint64, rule string, bytes, records uint64) {
	panic(fmt.Sprintf("%d bytes and %d records of rule %q taken out up to %d", bytes, records, rule, last))
}

// Through several relays everything stays but the stream's name and the hops, which tell the ways apart.
func TestRelayKeepsWhatIsKnown(t *testing.T) {
	me := &record.Source{Stream: record.Stream{Sender: record.SenderID{1}, Epoch: 7}, Host: "h", BootID: "b"}
	was := []record.Chunk{text(me, 3, "some"), {Seq: 9, Source: me, Time: 1, Gap: &record.Gap{First: 4, Reason: record.QueueFull, Bytes: 10, Records: 2}}, text(me, 10, "more")}
	all := func(c *record.Chunk) *record.Chunk { return c }
	relays := []record.SenderID{{11}, {12}, {13}}
	var b record.Backlog = &once{batch: record.Batch{First: 1, Last: 3, Chunks: was, Bytes: 8}}
	for _, id := range relays {
		b = Relay(b, id, all, nobody)
	}
	got, err := b.Next(t.Context(), 1)
	if err != nil || len(got.Chunks) != len(was) || got.Bytes != 8 || got.First != 1 || got.Last != 3 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i, c := range got.Chunks {
		for _, id := range relays {
			if !c.Source.Passed(id) {
				t.Errorf("chunk %d has not passed %v", i, id)
			}
		}
		if len(c.Source.Hops) != 3*record.HopLen || c.Source.Captor() != me.Sender || c.Source.Sender == me.Sender || c.Source.Epoch != 7 {
			t.Errorf("chunk %d has source %+v", i, c.Source)
		}
		if c.Origin() != was[i].Origin() {
			t.Errorf("chunk %d has origin %+v, want %+v", i, c.Origin(), was[i].Origin())
		}
		kept := *c.Source
		kept.Stream, kept.First, kept.Hops = me.Stream, me.First, me.Hops
		if c.Source = &kept; !reflect.DeepEqual(c, was[i]) {
			t.Errorf("chunk %d: got %+v, want %+v", i, c, was[i])
		}
	}
	other, err := Relay(&once{batch: record.Batch{Chunks: was}}, record.SenderID{14}, all, nobody).Next(t.Context(), 1)
	if err != nil || other.Chunks[0].Source.Stream == got.Chunks[0].Source.Stream {
		t.Errorf("by two relays: got the same stream %+v", other.Chunks[0].Source.Stream)
	}
	if was[0].Source != me || me.Hops != "" {
		t.Error("the source of others was changed")
	}
}

// What rules change has the checksum of what goes on; what they take out does not go on, and its positions do; what is damaged stays so.
func TestRelayAppliesRules(t *testing.T) {
	me := &record.Source{Stream: record.Stream{Sender: record.SenderID{1}, Epoch: 7}}
	bad := text(me, 4, "damaged")
	bad.CRC++
	was := []record.Chunk{text(me, 1, "out"), text(me, 2, "change"), text(me, 3, "keep"), bad}
	was[1].File = &record.File{Mount: "m", Path: "p", Rule: "s"}
	var told []string
	r := Relay(&once{batch: record.Batch{First: 1, Last: 4, Chunks: was}}, record.SenderID{2}, func(c *record.Chunk) *record.Chunk {
		n := *c
		n.Cut = record.Cut{Bytes: 3}
		switch string(c.Data) {
		case "out":
			return nil
		case "keep":
			return c
		}
		n.Data = []byte("something else")
		return &n
	}, func(last uint64, rule string, bytes, records uint64) {
		told = append(told, fmt.Sprint(last, rule, bytes, records))
	})
	b, err := r.Next(t.Context(), 1)
	if err != nil || len(b.Chunks) != 3 || b.Last != 4 {
		t.Fatalf("got %+v, %v, want three chunks and all positions", b, err)
	}
	slices.Sort(told)
	if want := []string{fmt.Sprint(4, "r", 3, 1), fmt.Sprint(4, "s", 3, 0)}; !slices.Equal(told, want) { // all of one chunk, and some of another
		t.Errorf("told that %q was taken out, want %q", told, want)
	}
	told = nil
	if _, err := r.Next(t.Context(), 1); err != nil || len(told) != 2 {
		t.Errorf("read again: got %v, told %q, want the same again", err, told)
	}
	for i, want := range []string{"something else", "keep", "damaged"} {
		c := &b.Chunks[i]
		if string(c.Data) != want || int(c.Len) != len(want) || (record.CRC(c.Data) == c.CRC) != (want != "damaged") {
			t.Errorf("got %q of %d bytes with checksum %08x, want %q", c.Data, c.Len, c.CRC, want)
		}
	}
}
