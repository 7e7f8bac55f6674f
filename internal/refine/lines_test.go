package refine

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

// wordy are filters that ask for words. With each set, one more that never holds and has no word makes the stage look at
// every line by itself.
func wordy(t *rapid.T, each bool) *Rule {
	o := filter.Options{Targets: []string{"main"}, Filters: []filter.Filter{
		{Action: "deny", Contains: "debug"},
		{Action: "rewrite", Match: `^(\w+) error`, Rewrite: "${1} ERROR"},
		{Action: "allow", Contains: "audit", Targets: []string{"other"}},
	}}
	if each {
		o.Filters = append(o.Filters, filter.Filter{Action: "deny", Match: `^[\x00-\x02]{3}$`})
	}
	set, err := filter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &Rule{Name: "r", Targets: o.Targets, Filter: set}
}

func drawWordy(t *rapid.T) string {
	line := rapid.SampledFrom([]string{"quiet line", "quiet line", "quiet line", "", "it debug", "it error", "audit", strings.Repeat("long ", 300), strings.Repeat("longer ", 1500)})
	lines := rapid.SliceOfN(line, 1, 60).Draw(t, "lines")
	text := strings.Repeat(strings.Join(lines, "\n")+"\n", rapid.IntRange(1, 5).Draw(t, "times"))
	if rapid.Bool().Draw(t, "open") {
		text += "it deb"
	}
	return text
}

// TestRunsOfLines holds lines that are passed over together to those that are looked at one by one, in the stage and in a view.
func TestRunsOfLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, s := drawWordy(t), spool{}
		c := chunkOf(t, s, text, rapid.Bool().Draw(t, "marks"))
		c.Flags |= rapid.SampledFrom([]record.Flags{0, record.Continues, record.Continued}).Draw(t, "flags")
		if c.Flags&record.Continued != 0 && strings.HasSuffix(text, "\n") {
			c.Records-- // a record of many lines, cut behind one
		}
		runs, single := stage(wordy(t, false), s), stage(wordy(t, true), s)
		before := begun{verdict: verdict{fate: rapid.SampledFrom([]fate{kept, cut}).Draw(t, "begun")}, names: []string{"main"}}
		runs.long[c.Handle], single.long[c.Handle] = before, before
		got := runs.Refine([]record.Chunk{c})
		if want := single.Refine([]record.Chunk{c}); !reflect.DeepEqual(got, want) {
			t.Fatalf("in runs got\n%+v\nwant as one by one\n%+v", got, want)
		}
		if a, b := runs.long[c.Handle], single.long[c.Handle]; a.verdict != b.verdict || len(runs.long) != len(single.long) {
			t.Fatalf("in runs %v is remembered, want %v", a, b)
		}
		check(t, s, &c, got)
		c.Data = []byte(text)
		for _, name := range []string{"main", "other"} {
			view := func(each bool) *record.Chunk {
				rule := wordy(t, each)
				return (&View{Name: name, Decide: func(*record.Chunk) *Rule { return rule }}).Of(&c)
			}
			if got, want := view(false), view(true); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s sees in runs\n%+v\nwant as one by one\n%+v", name, got, want)
			}
		}
	})
}
