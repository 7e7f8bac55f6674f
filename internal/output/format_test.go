package output

import (
	"slices"
	"testing"

	"ftfuse/internal/format"
	"ftfuse/internal/record"
)

// A file holds what its format renders, chunk after chunk, gaps too where the format has them.
func TestFormatsInFiles(t *testing.T) {
	for _, name := range []string{"raw", "template", "json", "logfmt", "rfc5424", "msgpack"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Format, r.Template, r.TimeFormat = name, "{time} %T {seq} {field.a} %L", "%s.%-"
			r.open()
			framed, gap := r.chunk("a", "a=1 two\nlines\r\nnone"), r.chunk("a", "")
			framed.File.Unit, framed.Marks = record.Framed, []record.Mark{{Len: 15}, {Len: 4, Delta: 5}}
			gap.Gap = &record.Gap{First: 2, Reason: record.Purged, Bytes: 1, Records: 1}
			chunks := []record.Chunk{framed, gap, r.chunk("a", "a=2 x\n\xff\n")}
			f, err := format.New(format.Options{Format: name, Template: r.Template, TimeFormat: r.TimeFormat, Location: r.Location})
			must(t, err)
			var want []byte
			for i := range chunks {
				if chunks[i].Gap == nil || f.Gaps() {
					want = f.Append(want, &chunks[i], slices.Clip[[]byte])
				}
			}
			r.put(chunks...)
			r.want("a", string(want))
		})
	}
}

func TestValidateJudgesFormats(t *testing.T) {
	for _, k := range []struct {
		format, template string
		good             bool
	}{{"logfmt", "", true}, {"rfc5424", "", true}, {"msgpack", "", true}, {"template", "{host} %L", true}, {"template", "{hots}", false}, {"template", "%Q", false}, {"xml", "", false}} {
		if err := Validate(Options{Path: "{path}", Format: k.format, Template: k.template}); (err == nil) != k.good {
			t.Errorf("%s %q: got %v, want good: %v", k.format, k.template, err, k.good)
		}
	}
}
