package format

import (
	"fmt"
	"testing"

	"ftfuse/internal/record"
)

func TestRecordsHaveTheTimeOfTheirMark(t *testing.T) {
	c := chunk("a", "1\n2\n33\n4") // writes: "1\n2", "\n", "", "33\n", "4"
	c.Time = 0
	c.Marks = []record.Mark{{Len: 3, Delta: 10}, {Len: 1, Delta: 20}, {Len: 0, Delta: 25}, {Len: 3, Delta: 30}, {Len: 1, Delta: 40}}
	const marked = `"1\n2"@0:10 "\n"@3:20 ""@4:25 "33\n"@4:30 "4"@7:40 `
	for _, k := range []struct {
		unit record.Unit
		want string
	}{
		{record.Line, `"1\n"@0:10 "2\n"@2:20 "33\n"@4:30 "4"@7:40 `},
		{record.Write, marked},
		{record.Framed, marked},
		{record.Binary, `"1\n2\n33\n4"@0:0 `},
	} {
		c.File = &record.File{Unit: k.unit}
		got := ""
		EachRecord(&c, func(rec []byte, off int, at int64) { got += fmt.Sprintf("%q@%d:%d ", rec, off, at) })
		if got != k.want {
			t.Errorf("%v: got %s, want %s", k.unit, got, k.want)
		}
	}
}

// Marks that do not add up to the payload come from a peer that is wrong: no byte is lost or doubled, and nothing panics.
func TestMarksThatDoNotAddUp(t *testing.T) {
	for _, marks := range [][]record.Mark{nil, {{Len: 1}}, {{Len: 100}, {Len: 3}}, {{Len: 0}, {Len: 0}}} {
		c := framed("a", "12345")
		c.Marks = marks
		got := ""
		EachRecord(&c, func(rec []byte, off int, _ int64) {
			if off != len(got) {
				t.Errorf("%v: a record at %d, want %d", marks, off, len(got))
			}
			got += string(rec)
		})
		if got != "12345" {
			t.Errorf("%v: got %q", marks, got)
		}
	}
}

func TestCut(t *testing.T) {
	for _, k := range []struct {
		unit           record.Unit
		rec, text, end string
		any            string // cutAny
	}{
		{record.Line, "a\n", "a", "\n", "a"},
		{record.Line, "a\r\n", "a\r", "\n", "a\r"},
		{record.Line, "a", "a", "", "a"},
		{record.Line, "a\r", "a\r", "", "a\r"},
		{record.Framed, "a\n", "a", "\n", "a"},
		{record.Framed, "a\nb\r\n", "a\nb", "\r\n", "a\nb"},
		{record.Framed, "a\r", "a", "\r", "a"},
		{record.Framed, "a\x00", "a", "\x00", "a"},
		{record.Framed, "\n", "", "\n", ""},
		{record.Framed, "", "", "", ""},
		{record.Write, "a\n", "a\n", "", "a"},
		{record.Write, "a\r\n", "a\r\n", "", "a"},
		{record.Binary, "a\n", "a\n", "", "a\n"},
	} {
		c := chunk("a", k.rec)
		c.File.Unit = k.unit
		if text, end := Cut(&c, []byte(k.rec)); string(text) != k.text || string(end) != k.end {
			t.Errorf("%v %q: got %q and %q, want %q and %q", k.unit, k.rec, text, end, k.text, k.end)
		}
		if got := cutAny(&c, []byte(k.rec)); string(got) != k.any {
			t.Errorf("%v %q: got %q for people, want %q", k.unit, k.rec, got, k.any)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	if _, err := New(Options{Format: "xml"}); err == nil {
		t.Error("xml: no error")
	}
}

// Every format hands its buffer on between records, and a chunk renders to the same bytes each time.
func TestSpill(t *testing.T) {
	for _, name := range []string{"template", "json", "logfmt", "rfc5424", "msgpack"} {
		f, err := New(Options{Format: name, Template: "%H %L"})
		if err != nil {
			t.Fatal(err)
		}
		c := chunk("a", "1\n2\n3\n")
		want := string(f.Append(nil, &c, hold))
		got, spills := "", 0
		rest := f.Append(nil, &c, func(p []byte) []byte { got += string(p); spills++; return p[:0] })
		if got += string(rest); got != want || spills != 3 {
			t.Errorf("%s: got %q in %d pieces, want %q in 3", name, got, spills, want)
		}
		g := gap("a")
		if got := f.Append(nil, &g, hold); (len(got) > 0) != f.Gaps() {
			t.Errorf("%s: got %q for a gap, and Gaps is %v", name, got, f.Gaps())
		}
		if n := f.Overhead(&c); n < len(want)/3-2 && name != "template" {
			t.Errorf("%s: overhead %d, and three records are %d bytes", name, n, len(want))
		}
	}
}

// Attributes are rendered anew when a chunk has others.
func TestAttributesFollowTheChunk(t *testing.T) {
	for _, name := range []string{"template", "json", "logfmt", "rfc5424", "msgpack"} {
		o := Options{Format: name, Template: "{host} {path} {comm} {seq} %L"}
		f, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		a, b := chunk("a", "x\n"), chunk("b", "x\n")
		b.Source.Host, b.Writer.Comm, b.Seq, b.Handle, b.Offset, b.Time, b.Flags = "other", "bash", 8, 9, 10, at+1e9, record.Below
		c := b
		c.Seq, c.Writer = 9, nil
		g := gap("b")
		for i, k := range []record.Chunk{a, b, a, g, b, c, a} {
			if got, want := string(f.Append(nil, &k, hold)), render(t, o, k); got != want {
				t.Errorf("%s, chunk %d: got %q, want %q", name, i, got, want)
			}
		}
	}
}
