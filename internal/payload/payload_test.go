package payload

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"ftfuse/internal/record"
)

// spool is a store of one spool.
type spool []byte

func (s spool) ReadExtent(e record.Extent, p []byte) error {
	if e.Off+int64(e.Len) > int64(len(s)) {
		return fmt.Errorf("read spool: %w", record.ErrGone)
	}
	copy(p, s[e.Off:])
	return nil
}

var text = spool("one two three four")

func chunk(from, to int64, extents ...record.Extent) record.Chunk {
	return record.Chunk{Source: &record.Source{}, File: &record.File{}, Writer: &record.Writer{}, Len: uint32(to - from), CRC: record.CRC(text[from:to]), Extents: extents}
}

func chunks() []record.Chunk {
	inline := chunk(0, 3)
	inline.Data = []byte("one")
	return []record.Chunk{inline,
		chunk(3, 7, record.Extent{Off: 3, Len: 2}, record.Extent{Off: 5, Len: 2}),
		{Source: &record.Source{}, Gap: &record.Gap{}},
		chunk(7, 18, record.Extent{Off: 7, Len: 11})}
}

func TestBothWaysGiveTheSame(t *testing.T) {
	loaded := chunks()
	l := Loader{Store: text}
	if err := l.Load(loaded); err != nil {
		t.Fatal(err)
	}
	appended := chunks()
	all, err := Append(text, appended, []byte("before: "))
	if err != nil || string(all) != "before: "+string(text) {
		t.Fatalf("got %q, %v, want all payload behind what was there", all, err)
	}
	for i := range loaded {
		if string(loaded[i].Data) != string(appended[i].Data) {
			t.Errorf("chunk %d: got %q and %q", i, loaded[i].Data, appended[i].Data)
		}
	}
}

func TestBadPayload(t *testing.T) {
	wrong := chunk(0, 3, record.Extent{Off: 4, Len: 3})
	gone := chunk(0, 3, record.Extent{Off: 17, Len: 3})
	for _, c := range []struct {
		chunk record.Chunk
		why   record.Reason
	}{{wrong, record.Damaged}, {gone, record.SpoolLost}} {
		l := Loader{Store: text}
		err := l.Load([]record.Chunk{chunk(3, 7, record.Extent{Off: 3, Len: 4}), c.chunk})
		var bad *Bad
		if !errors.As(err, &bad) {
			t.Fatalf("got %v, want a *Bad", err)
		}
		_, other := Append(text, []record.Chunk{c.chunk}, nil)
		for _, err := range []error{err, other} {
			if why, v := Judge(err); why != c.why || v != Final {
				t.Errorf("%v: judged %v, %v, want %v for good", err, why, v, c.why)
			}
		}
	}
	if _, v := Judge(fmt.Errorf("open: %w", syscall.EMFILE)); v != Passing {
		t.Errorf("a lack of descriptors is judged %v, want that it passes", v)
	}
	if _, v := Judge(syscall.EIO); v != Doubtful {
		t.Errorf("an I/O error is judged %v, want another attempt", v)
	}
}
