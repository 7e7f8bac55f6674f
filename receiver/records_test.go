package receiver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ftfuse/internal/record"
)

func TestRecords(t *testing.T) {
	marks := []record.Mark{{Len: 3, Delta: 10}, {Len: 4, Delta: 20}}
	for name, tc := range map[string]struct {
		chunk Chunk
		want  []string // data, offset, nanoseconds, < a piece that continues, > one that is continued
	}{
		"lines":         {Chunk{File: &File{}, Data: []byte("a\nbc\n")}, []string{`"a\n" 100 1`, `"bc\n" 102 1`}},
		"half a line":   {Chunk{File: &File{}, Data: []byte("a\nbc"), Continues: true, Continued: true}, []string{`"a\n" 100 1<`, `"bc" 102 1>`}},
		"one piece":     {Chunk{File: &File{}, Data: []byte("abc"), Continues: true, Continued: true}, []string{`"abc" 100 1<>`}},
		"lines, writes": {Chunk{File: &File{}, Data: []byte("a\nb\ncd\n"), marks: marks}, []string{`"a\n" 100 11`, `"b\n" 102 21`, `"cd\n" 104 21`}},
		"writes":        {Chunk{File: &File{Unit: Writes}, Data: []byte("a\nbcd\ne"), marks: marks}, []string{`"a\nb" 100 11`, `"cd\ne" 103 21`}},
		"one write":     {Chunk{File: &File{Unit: Writes}, Data: []byte("a\nb")}, []string{`"a\nb" 100 1`}},
		"framed":        {Chunk{File: &File{Unit: Framed}, Data: []byte("a\nb\n c\n"), marks: marks, Continued: true}, []string{`"a\nb" 100 11`, `"\n c\n" 103 21>`}},
		"binary":        {Chunk{File: &File{Unit: Binary}, Data: []byte("\n\n\x00aaaa"), marks: marks}, []string{`"\n\n\x00aaaa" 100 1`}},
		"a later unit":  {Chunk{File: &File{Unit: 9}, Data: []byte("\n\n")}, []string{`"\n\n" 100 1`}},
		"nothing":       {Chunk{File: &File{}, Continues: true}, nil},
		"gap":           {Chunk{Gap: &Gap{}}, nil},
	} {
		c := tc.chunk
		c.Offset, c.Time = 100, time.Unix(0, 1)
		var got []string
		for r := range c.Records() {
			s := fmt.Sprintf("%q %d %d", r.Data, r.Offset, r.Time.UnixNano())
			if r.Continues {
				s += "<"
			}
			if r.Continued {
				s += ">"
			}
			got = append(got, s)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
		for range c.Records() {
			break // must not go on
		}
	}
}
