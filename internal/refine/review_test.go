package refine

import (
	"strings"
	"testing"
	"time"

	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

func setOf(t testing.TB, targets []string, filters ...filter.Filter) *filter.Set {
	t.Helper()
	set, err := filter.New(filter.Options{Targets: targets, Filters: filters})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func one(rule *Rule) *Table {
	return &Table{Fallback: rule, Decide: func(string, string) *Rule { return rule }}
}

// A record of which nothing is left must not pass as it was, not even the first one ever changed.
func TestChangedToNothing(t *testing.T) {
	rule := &Rule{Name: "r", Targets: []string{"main"}, Filter: setOf(t, []string{"main"}, filter.Filter{Action: "rewrite", Match: "^secret()$", Rewrite: "$1"})}
	file := &record.File{Path: "p", Unit: record.Write}
	c := inline(file, "secret")
	c.Records, c.Marks = 1, []record.Mark{{Len: 6}}
	out := New(Options{}, one(rule)).Refine([]record.Chunk{c})
	if len(out) != 1 || out[0].Len != 0 || len(out[0].Data) > 0 || out[0].Input() != 6 || !out[0].Hollow() {
		t.Fatalf("got %+v, want nothing to deliver, and 6 bytes of input", out)
	}
	v := View{Name: "main", Decide: func(*record.Chunk) *Rule { return rule }}
	if seen := v.Of(&c); seen != nil {
		t.Fatalf("got %q for a destination, want nothing", seen.Data)
	}
}

// The targets of a record that goes on are those of the rules that judged its beginning; under others with other
// targets it must not go astray.
func TestSwapWithinARecordKeepsItsTargets(t *testing.T) {
	filters := []filter.Filter{{Action: "allow", Contains: "begins", Targets: []string{"second"}}}
	before := &Rule{Name: "r", Targets: []string{"first"}, Filter: setOf(t, []string{"first"}, filters...)}
	after := &Rule{Name: "r", Targets: []string{"other", "third"}, Filter: setOf(t, []string{"other", "third"}, filter.Filter{Action: "allow", Contains: "nowhere", Targets: []string{"second"}})}
	s := New(Options{}, one(before))
	file := &record.File{Path: "p"}
	piece := func(text string, flags record.Flags, off uint64, want string) {
		t.Helper()
		c := inline(file, text)
		c.Handle, c.Offset, c.Flags = 3, off, flags
		out := s.Refine([]record.Chunk{c})
		if got := strings.Join(out[0].Targets, " "); len(out) != 1 || got != want {
			t.Fatalf("got %d chunks, the first for %q, want one for %q", len(out), got, want)
		}
	}
	piece("it begins, ", record.Continued, 0, "second")
	s.Swap(one(after))
	piece("goes on, ", record.Continues|record.Continued, 11, "second")
	piece("ends\n", record.Continues, 20, "second")
	piece("another\n", 0, 25, "other third")
}

// What goes on of a long record draws on the limits, too: those who write no line ends have no more than others.
func TestLongRecordsDrawOnLimits(t *testing.T) {
	now := time.Unix(1e9, 0)
	rule := ruleOf(t, &Limit{Quota: 30, Every: time.Hour})
	s := New(Options{Now: func() time.Time { return now }}, one(rule))
	file := &record.File{Path: "p"}
	for i, flags := range []record.Flags{record.Continued, record.Continues | record.Continued, record.Continues} {
		c := inline(file, "0123456789")
		c.Flags, c.Offset = flags, uint64(i)*10
		if out := s.Refine([]record.Chunk{c}); out[0].Gap != nil {
			t.Fatalf("piece %d: got a gap, want the record as a whole", i)
		}
	}
	c := inline(file, "next\n")
	c.Offset = 30
	if out := s.Refine([]record.Chunk{c}); len(out) != 1 || out[0].Gap == nil || out[0].Gap.Reason != record.Limited {
		t.Fatalf("got %+v, want a gap: the quota is used up", out)
	}
}

// What does not have its checksum any more is not judged, nor given another one.
func TestDamagedSpoolIsNotJudged(t *testing.T) {
	s := spool{1: []byte("headgood line\n")}
	c := record.Chunk{Source: source, File: &record.File{Path: "p"}, Writer: writer, Len: 10, Records: 1, CRC: record.CRC([]byte("bad a line")),
		Extents: []record.Extent{{Spool: 1, Off: 4, Len: 10}}}
	out := stage(ruleOf(t), s).Refine([]record.Chunk{c})
	if len(out) != 1 || out[0].Gap == nil || out[0].Gap.Reason != record.Damaged || out[0].Gap.Bytes != 10 || len(out[0].Spent) != 1 {
		t.Fatalf("got %+v, want a gap of 10 damaged bytes", out)
	}
}

// A view counts the records that end in what it shows.
func TestViewCountsRecords(t *testing.T) {
	rule := ruleOf(t)
	v := View{Name: "main", Decide: func(*record.Chunk) *Rule { return rule }}
	c := inline(&record.File{Path: "p"}, "1\nD\n2\nhalf")
	c.Flags = record.Continued
	if seen := v.Of(&c); seen == nil || seen.Records != 2 || string(seen.Data) != "1\n2\nhalf" {
		t.Fatalf("got %+v, want 2 records in 3 lines", seen)
	} else if want := (record.Cut{Bytes: 2, Records: 1}); seen.Cut != want {
		t.Errorf("got %+v taken out, want %+v", seen.Cut, want)
	}
}

// Rules are exchanged while data passes: whatever the moment, all of it is covered, by one set of rules for a call.
func TestSwapWhileDataPasses(t *testing.T) {
	var tables []*Table
	for _, name := range []string{"one", "two", "three"} {
		rule := &Rule{Name: name, Targets: []string{name}, Filter: setOf(t, []string{name}, filter.Filter{Action: "deny", Contains: "not " + name}),
			Limits: []*Limit{{Per: PerUID, Records: 1000}}}
		tables = append(tables, one(rule))
	}
	s := New(Options{}, tables[0])
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.Swap(tables[i%len(tables)])
			}
		}
	}()
	defer func() {
		close(stop)
		<-done
	}()
	file := &record.File{Path: "p"}
	for i := range 2000 {
		a, b := inline(file, "not one\nnot two\nnot three\nall\n"), inline(file, "all\n")
		a.Handle, b.Handle, b.Offset = uint64(i), uint64(i), uint64(len(a.Data))
		end := uint64(0)
		for j, c := range s.Refine([]record.Chunk{a, b}) {
			if c.Offset != end || c.File.Rule != tables[0].Fallback.Name && c.File.Rule != tables[1].Fallback.Name && c.File.Rule != tables[2].Fallback.Name {
				t.Fatalf("call %d, chunk %d: at %d by rule %q, want %d", i, j, c.Offset, c.File.Rule, end)
			}
			if c.Gap == nil && (len(c.Targets) != 1 || c.Targets[0] != c.File.Rule) {
				t.Fatalf("call %d, chunk %d: for %q by rule %q", i, j, c.Targets, c.File.Rule)
			}
			end += uint64(c.Input())
			if c.Gap != nil {
				end += c.Gap.Bytes
			}
		}
		if want := uint64(len(a.Data) + len(b.Data)); end != want {
			t.Fatalf("call %d: covered up to %d, want %d", i, end, want)
		}
	}
}
