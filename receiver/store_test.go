package receiver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

func chunkOf(sender byte, seq uint64, data string) record.Chunk {
	return record.Chunk{
		Seq: seq, Source: &record.Source{Stream: record.Stream{Sender: record.SenderID{sender}, Epoch: 2}}, File: &record.File{}, Writer: &record.Writer{},
		Data: []byte(data), Len: uint32(len(data)), CRC: record.CRC([]byte(data)),
	}
}

// A relay brings several streams at once: each has its advance, with the chain that senders compare.
func TestAdvances(t *testing.T) {
	var got []Advance
	marks := map[Stream]Mark{{SenderID{1}, 2}: {Seq: 4, Chain: 77}}
	o := output{fake{marks, func(b *Batch) error { got = b.Advances; return nil }}}
	chunks := []record.Chunk{chunkOf(1, 5, "a"), chunkOf(2, 1, "b"), chunkOf(1, 7, "c")}
	if err := o.Put(t.Context(), chunks); err != nil {
		t.Fatal(err)
	}
	one := record.Durable{Seq: 4, Chain: 77}.Add(&chunks[0]).Add(&chunks[2])
	two := record.Durable{}.Add(&chunks[1])
	want := []Advance{
		{Stream{SenderID{1}, 2}, Mark{4, 77}, Mark{7, uint64(one.Chain)}},
		{Stream{SenderID{2}, 2}, Mark{}, Mark{1, uint64(two.Chain)}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// fake is a store whose Put is a function.
type fake struct {
	marks map[Stream]Mark
	put   func(*Batch) error
}

func (f fake) Mark(_ context.Context, s Stream) (Mark, error) { return f.marks[s], nil }
func (f fake) Put(_ context.Context, b *Batch) error          { return f.put(b) }

func TestRefusedForGood(t *testing.T) {
	odd := errors.New("odd")
	o := output{fake{put: func(*Batch) error { return errors.Join(odd, ErrRefused) }}}
	err := o.Put(t.Context(), []record.Chunk{chunkOf(1, 1, "a")})
	if !errors.Is(err, record.ErrRefused) || !errors.Is(err, odd) {
		t.Errorf("got %v, want both %v and %v", err, record.ErrRefused, odd)
	}
}

// What a Store gets is what was captured, and the payload is not a copy.
func TestConversion(t *testing.T) {
	c := chunkOf(3, 9, "text")
	*c.Source = record.Source{Stream: c.Source.Stream, Host: "h", BootID: "b", First: record.SenderID{9}}
	*c.File = record.File{Mount: "m", Path: "p", Rule: "r", Unit: record.Framed}
	*c.Writer = record.Writer{Kind: record.Opener, PID: 1, TID: 2, UID: 3, GID: 4, Start: 5, Comm: "c", Exe: "e", Unit: "u", Container: "k"}
	c.Handle, c.Offset, c.Time, c.Clock, c.Records, c.Flags = 6, 7, 8_000_000_009, record.Written, 3, 15
	gap := chunkOf(3, 10, "")
	gap.File, gap.Writer, gap.Gap = nil, nil, &record.Gap{First: 4, Reason: record.Limited, Bytes: 5, Records: 6}
	list := newChunks([]record.Chunk{c, gap})
	got := list[0]
	if &got.Data[0] != &c.Data[0] {
		t.Error("the payload was copied")
	}
	if got.Time.UnixNano() != c.Time || *got.Source != (Source{Stream{SenderID{3}, 2}, "h", "b", SenderID{9}}) || *got.File != (File{"m", "p", "r", Framed}) {
		t.Errorf("got %+v, %+v, %+v", got, got.Source, got.File)
	}
	if *got.Writer != (Writer{Opener, 1, 2, 3, 4, 5, "c", "e", "u", "k"}) {
		t.Errorf("got %+v", got.Writer)
	}
	if got.Seq != 9 || got.Handle != 6 || got.Offset != 7 || got.Clock != Written || got.Ends != 3 || !got.Continues || !got.Continued || !got.Below || !got.Last || got.Gap != nil {
		t.Errorf("got %+v", got)
	}
	if g := list[1]; g.File != nil || g.Writer != nil || *g.Gap != (Gap{4, Limited, 5, 6}) || g.Gap.String() != "gap from 4: limited, 5 bytes, 6 records" {
		t.Errorf("got %+v, %v", g, g.Gap)
	}
}

// The numbers here are those of record, whatever they are called.
func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Lines.String(): "line", Writes.String(): "write", Binary.String(): "binary", Framed.String(): "framed",
		Unknown.String(): "unknown", Opener.String(): "opener", Thread.String(): "thread", Seen.String(): "seen", Written.String(): "written",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for i, r := range []Reason{Expired, QueueFull, Damaged, TooLong, SpoolLost, Refused, Purged, Limited} {
		if want := record.Reasons()[i]; Reason(want) != r || r.String() != want.String() {
			t.Errorf("got %v, want %v", r, want)
		}
	}
	if n := len(record.Reasons()); n != int(Limited) {
		t.Errorf("got %d reasons, want %d", n, Limited)
	}
}

// Marks outlive the program in their file, and a file that does not read is said to be one.
func TestMarksFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "marks")
	s := Stream{SenderID{1, 2}, 3}
	m := Mark{1<<64 - 1, 1 << 63}
	fail := errors.New("full")
	for round, deliver := range []error{nil, fail} {
		k, err := AtLeastOnce(func(context.Context, *Batch) error { return deliver }, file)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := k.Mark(t.Context(), s); round > 0 && got != m {
			t.Errorf("got %v, want %v", got, m)
		}
		if err := k.Put(t.Context(), &Batch{Advances: []Advance{{Stream: s, To: m}, {Stream: Stream{Epoch: 1}, To: Mark{1, 2}}}}); err != deliver {
			t.Errorf("got %v, want %v", err, deliver)
		}
		m = Mark{1<<64 - 1, 1 << 63}
	}
	if err := os.WriteFile(file, []byte("0102\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := AtLeastOnce(nil, file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add(markLine(Stream{SenderID{1}, 2}, Mark{3, 4}))
	f.Add("0102 1 2 3\n")
	f.Fuzz(func(t *testing.T, line string) {
		s, m, err := parseMark(line)
		if err == nil && markLine(s, m) != line {
			t.Errorf("got %v %v of %q", s, m, line)
		}
		if err != nil && (s != Stream{} || m != Mark{}) {
			t.Errorf("got %v %v with an error", s, m)
		}
	})
}
