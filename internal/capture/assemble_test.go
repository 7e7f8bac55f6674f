package capture

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// Assemble makes what a capture makes of the same bytes.
func TestAssembleIsCapture(t *testing.T) {
	text := "a\r\n b\r\nc\x00\n" + strings.Repeat("long ", 20) + "\nd\r\n\r\n e"
	for name, change := range map[string]func(*record.Decision){
		"lines":    func(*record.Decision) {},
		"binary":   func(d *record.Decision) { d.Unit = record.Binary },
		"crlf":     func(d *record.Decision) { d.LineEnd = record.CRLF },
		"any":      func(d *record.Decision) { d.LineEnd = record.Any },
		"start":    func(d *record.Decision) { d.Join = record.Join{Start: `^\S`, Wait: time.Hour, Lines: 2} },
		"continue": func(d *record.Decision) { d.Join = record.Join{Continue: `^\s`, Wait: time.Hour} },
		"split":    func(d *record.Decision) { d.MaxRecord = 16 },
		"truncate": func(d *record.Decision) { d.MaxRecord, d.TooLong = 16, record.Truncate },
		"drop":     func(d *record.Decision) { d.MaxRecord, d.TooLong = 16, record.DropLong },
		"batch":    func(d *record.Decision) { d.Gather = record.Gather{Records: 2, Wait: time.Hour} },
	} {
		t.Run(name, func(t *testing.T) {
			d := decision
			change(&d)
			l := &framedLife{t: t, kind: "open", dir: t.TempDir(), path: below(t, ""), sink: newChain()}
			l.begin(d)
			l.write(text)
			l.end()
			l.turn(context.Background(), time.Now())
			if err := l.finish(); err != nil {
				t.Fatal(err)
			}
			l.Close()
			got, err := Assemble(d, &record.Source{}, "m", "a.log", &record.Writer{}, []byte(text))
			if err != nil || len(got) == 0 || len(got) != len(l.sink.chunks) {
				t.Fatalf("got %d chunks and %v, want %d", len(got), err, len(l.sink.chunks))
			}
			var all []byte
			for i, c := range got {
				all = append(all, c.Data...)
				w := l.sink.chunks[i]
				lens := func(a, b record.Mark) bool { return a.Len == b.Len }
				if c.Offset != w.Offset || c.Len != w.Len || c.CRC != w.CRC || c.Records != w.Records || c.Flags != w.Flags ||
					c.File.Unit != w.File.Unit || (c.Gap == nil) != (w.Gap == nil) || !slices.EqualFunc(c.Marks, w.Marks, lens) {
					t.Errorf("chunk %d is %+v, want %+v", i, c, w)
				}
				if record.CRC(c.Data) != c.CRC {
					t.Errorf("chunk %d has data %q of another checksum", i, c.Data)
				}
			}
			if string(all) != string(l.sink.all()) {
				t.Errorf("got %q, want %q", all, l.sink.all())
			}
		})
	}
}

// One write(2) is one record where that is the unit; nothing makes nothing; a pattern that is none is said.
func TestAssembleEnds(t *testing.T) {
	d := record.Decision{Unit: record.Write, Capture: record.WriteMode}
	got, err := Assemble(d, &record.Source{}, "m", "a", &record.Writer{}, []byte("a\nb\n"))
	if err != nil || len(got) != 1 || got[0].Records != 1 || len(got[0].Marks) != 1 || got[0].Clock != record.Written {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := Assemble(d, &record.Source{}, "m", "a", &record.Writer{}, nil); err != nil || len(got) != 0 {
		t.Errorf("nothing written gives %+v, %v", got, err)
	}
	if _, err := Assemble(record.Decision{Join: record.Join{Start: "("}}, &record.Source{}, "m", "a", &record.Writer{}, nil); err == nil {
		t.Error("a pattern that is none was taken")
	}
}
