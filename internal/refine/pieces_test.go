package refine

import (
	"strings"
	"testing"
	"time"

	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

// What filters take out of the text of a record they take out of each of its pieces, also of one that by itself would have been
// denied before, allowed before or not drawn for the sample: the first piece decides, and nothing gets by for that.
func TestEachPieceIsRedacted(t *testing.T) {
	redact := filter.Filter{Action: "redact", Redact: []string{"number"}}
	for name, o := range map[string]filter.Options{
		"denied behind":       {Filters: []filter.Filter{redact, {Action: "deny", Contains: "D"}}},
		"denied before":       {Filters: []filter.Filter{{Action: "deny", Contains: "D"}, redact}},
		"allowed before":      {Filters: []filter.Filter{{Action: "allow", Contains: "D"}, redact}},
		"nothing else passes": {Filters: []filter.Filter{redact, {Action: "allow", Contains: "begins"}}, Otherwise: "deny"},
		"sampled":             {Filters: []filter.Filter{redact}, Sample: 2},
	} {
		t.Run(name, func(t *testing.T) {
			o.Targets, o.Patterns = []string{"main"}, []filter.Pattern{{Name: "number", Match: `[0-9]+`}}
			set, err := filter.New(o)
			if err != nil {
				t.Fatal(err)
			}
			s, kept := New(Options{}, one(&Rule{Name: "r", Targets: o.Targets, Filter: set})), 0
			for handle := range uint64(16) {
				var got strings.Builder
				for i, text := range []string{"1 begins, ", "2 D goes on, ", "3 ends\n"} {
					c := inline(&record.File{Path: "p"}, text)
					c.Handle, c.Offset = handle, uint64(20*i)
					c.Flags = [3]record.Flags{record.Continued, record.Continues | record.Continued, record.Continues}[i]
					for _, o := range s.Refine([]record.Chunk{c}) {
						got.Write(o.Data)
					}
				}
				if got.Len() == 0 {
					continue
				}
				if kept++; got.String() != "*** begins, *** D goes on, *** ends\n" {
					t.Fatalf("handle %d: got %q, want each number taken out", handle, got.String())
				}
			}
			if kept == 0 {
				t.Error("nothing passed, want some records")
			}
		})
	}
}

// A record that was allowed by a filter before the one that redacts is not redacted, in none of its pieces.
func TestPiecesOfWhatWasAllowedFirstStay(t *testing.T) {
	set, err := filter.New(filter.Options{Targets: []string{"main"}, Filters: []filter.Filter{{Action: "allow", Prefix: "begins"}, {Action: "redact", Redact: []string{"ipv4"}}}})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{}, one(&Rule{Name: "r", Targets: []string{"main"}, Filter: set}))
	var got string
	for i, text := range []string{"begins 10.1.2.3 ", "10.1.2.4\n"} {
		c := inline(&record.File{Path: "p"}, text)
		c.Flags, c.Offset = [2]record.Flags{record.Continued, record.Continues}[i], uint64(20*i)
		for _, o := range s.Refine([]record.Chunk{c}) {
			got += string(o.Data)
		}
	}
	if want := "begins 10.1.2.3 10.1.2.4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The end of a record that has no bytes, as when a file is closed behind a piece, is part of the record: it goes where its pieces
// went, counts as they do, and nothing is remembered of it.
func TestEndsWithoutBytes(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, c := range []struct {
		name, begin string
		limits      []*Limit
		targets     string
		cut         uint32
		limited     uint64
	}{
		{"kept", "begins", nil, "main", 0, 0},
		{"sent elsewhere", "T begins", nil, "other", 0, 0},
		{"denied", "D begins", nil, "main", 1, 0},
		{"too much", "begins", []*Limit{{Records: 1, Burst: time.Second}}, "main", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			rule := ruleOf(t, c.limits...)
			s := New(Options{Now: func() time.Time { return now }}, one(rule))
			file := &record.File{Path: "p"}
			first := inline(file, "first\n")
			first.Handle = 9
			s.Refine([]record.Chunk{first})
			begin, end := inline(file, c.begin), inline(file, "")
			begin.Handle, begin.Flags = 3, record.Continued
			end.Handle, end.Offset, end.Flags, end.Records = 3, uint64(begin.Len), record.Continues|record.Last, 1
			s.Refine([]record.Chunk{begin})
			s.Swap(one(rule)) // a table of its own, with the same rule
			out := s.Refine([]record.Chunk{end})
			if len(out) != 1 || strings.Join(out[0].Targets, " ") != c.targets || out[0].Cut.Records != c.cut || len(s.long) > 0 {
				t.Fatalf("got %+v, %d remembered; want one chunk for %s with %d records taken out", out, len(s.long), c.targets, c.cut)
			}
			if g := out[0].Gap; (g != nil) != (c.limited > 0) || g != nil && (g.Reason != record.Limited || g.Records != c.limited) {
				t.Errorf("got gap %+v, want one for %d records", g, c.limited)
			}
			if kept := c.cut == 0 && c.limited == 0; kept != (out[0].Records == 1) {
				t.Errorf("got %d records that pass, want one: %v", out[0].Records, kept)
			}
		})
	}
}

// Rules that let everything pass, and come while a record does not, are for the next one.
func TestSwapToIdleRulesWithinARecord(t *testing.T) {
	s := New(Options{}, one(ruleOf(t)))
	file := &record.File{Path: "p"}
	var got string
	for i, text := range []string{"a D begins, ", "goes on, ", "ends\nnext D\n"} {
		if i == 1 {
			s.Swap(one(plain(t, "all", "main")))
		}
		c := inline(file, text)
		c.Flags, c.Offset = [3]record.Flags{record.Continued, record.Continues | record.Continued, record.Continues}[i], uint64(20*i)
		for _, o := range s.Refine([]record.Chunk{c}) {
			got += string(o.Data)
		}
	}
	if got != "next D\n" || len(s.long) > 0 {
		t.Errorf("got %q, %d remembered; want the next record alone", got, len(s.long))
	}
}
