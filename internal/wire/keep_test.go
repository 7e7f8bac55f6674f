package wire

import (
	"bytes"
	"fmt"
	"testing"

	"ftfuse/internal/record"
)

// Tables of a batch stay with the decoder only while they are small: every connection may have some.
func TestHugeTablesAreNotKept(t *testing.T) {
	source, writer := &record.Source{Host: "h"}, &record.Writer{Comm: "c"}
	batch := func(files, name int) []record.Chunk {
		var list []record.Chunk
		for i := range files {
			file := &record.File{Mount: "m", Path: fmt.Sprintf("%0*d", name, i)}
			list = append(list, record.Chunk{Seq: uint64(i) + 1, Source: source, File: file, Writer: writer})
		}
		return list
	}
	for _, tc := range []struct {
		files, name int
		kept        bool
	}{{1, 10, true}, {200, 10, true}, {300, 10, false}, {5, 4000, false}, {8000, 100, false}} {
		var e Encoder
		var d Decoder
		frame, _, err := e.Batch(1, batch(tc.files, tc.name), None)
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Join(frame, nil)[4:]
		h, err := PeekBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Batch(h, b, nil, nil)
		if err != nil || len(got) != tc.files || got[tc.files-1].File.Path != fmt.Sprintf("%0*d", tc.name, tc.files-1) {
			t.Fatalf("%d files: got %d chunks, %v", tc.files, len(got), err)
		}
		if kept := len(d.tables.files) > 0; kept != tc.kept {
			t.Errorf("%d files with names of %d bytes: kept is %v, want %v", tc.files, tc.name, kept, tc.kept)
		}
		d.Forget()
		if d.tables.files != nil || d.tables.raw != nil {
			t.Error("something is kept of a quiet connection")
		}
	}
}
