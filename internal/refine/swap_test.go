package refine

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

func plain(t testing.TB, name string, targets ...string) *Rule {
	t.Helper()
	set, err := filter.New(filter.Options{Targets: targets})
	if err != nil {
		t.Fatal(err)
	}
	return &Rule{Name: name, Targets: targets, Filter: set}
}

func inline(f *record.File, text string) record.Chunk {
	return record.Chunk{Source: source, File: f, Writer: writer, Len: uint32(len(text)), Data: []byte(text),
		Records: uint32(strings.Count(text, "\n")), CRC: record.CRC([]byte(text))}
}

func TestSwap(t *testing.T) {
	first, second, rest := plain(t, "first", "a"), plain(t, "second", "b"), plain(t, "rest", "c")
	decide := func(r *Rule) *Table {
		return &Table{Fallback: rest, Decide: func(string, string) *Rule { return r }}
	}
	s := New(Options{}, decide(first))
	f := &record.File{Path: "p"}
	look := func(f *record.File, want string) {
		t.Helper()
		c := s.Refine([]record.Chunk{inline(f, "x\n")})[0]
		if c.File.Rule != want || c.File.Path != "p" {
			t.Fatalf("got rule %s, want %s", c.File.Rule, want)
		}
	}
	look(f, "first")
	s.Swap(decide(second))
	look(f, "second")
	s.Swap(decide(nil))
	look(f, "second")                     // whoever has the file open goes on as before
	look(&record.File{Path: "p"}, "rest") // and what is new falls back
	s.Swap(decide(first))
	look(f, "first")
}

func TestWhatCannotBeReadIsNotLetThrough(t *testing.T) {
	s := stage(ruleOf(t), spool{1: []byte("short")})
	c := record.Chunk{Source: source, File: &record.File{Path: "p"}, Writer: writer, Handle: 1, Offset: 10, Len: 100, Records: 2,
		Extents: []record.Extent{{Spool: 1, Off: 0, Len: 100}}}
	out := s.Refine([]record.Chunk{c})
	if len(out) != 1 || out[0].Gap == nil || *out[0].Gap != (record.Gap{Reason: record.SpoolLost, Bytes: 100, Records: 2}) || len(out[0].Spent) != 1 {
		t.Fatalf("got %+v, want a gap of its 100 bytes", out)
	}
}

func TestLimits(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := &Limit{Per: PerUID, Records: 2, Burst: time.Second}
	s := New(Options{Now: func() time.Time { return now }}, &Table{Decide: func(string, string) *Rule { return ruleOf(t, l) }})
	pass := func(uid uint32, want string) {
		t.Helper()
		c := inline(&record.File{Path: "p"}, "1\n2\n3\n4\n")
		c.Writer = &record.Writer{Kind: record.Thread, UID: uid}
		out := s.Refine([]record.Chunk{c})
		var text string
		var lost uint64
		for _, o := range out {
			text += string(o.Data)
			if o.Gap != nil && o.Gap.Reason == record.Limited {
				lost += o.Gap.Records
			}
		}
		if text != want || int(lost) != 4-strings.Count(want, "\n") {
			t.Fatalf("user %d: got %q and %d records missing, want %q", uid, text, lost, want)
		}
	}
	pass(1, "1\n2\n")
	pass(1, "")
	pass(2, "1\n2\n") // has an allowance of its own
	now = now.Add(500 * time.Millisecond)
	pass(1, "1\n")
}

func TestQuotaOutlivesTheProcess(t *testing.T) {
	day := 24 * time.Hour
	now := time.Unix(0, 0).Add(100 * day)
	make := func() *Limit { return &Limit{Quota: 5, Every: day} }
	l := make()
	take := func(n int, want bool) {
		t.Helper()
		b := bucketsOf([]*Limit{l}, writer, now)
		if got := b.take(n); got != want {
			t.Fatalf("take %d: got %v, want %v", n, got, want)
		}
	}
	take(3, true)
	used := l.Used()
	l = make()
	l.Restore(used, now)
	take(3, false)
	take(2, true)
	now = now.Add(day)
	take(5, true)
	l = make()
	l.Restore(used, now) // of yesterday
	take(5, true)
}

func TestLimitedIsCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, s := drawText(t), spool{}
		c := chunkOf(t, s, text, rapid.Bool().Draw(t, "marks"))
		l := &Limit{Bytes: int64(rapid.IntRange(1, 40).Draw(t, "rate"))}
		got := check(t, s, &c, stage(ruleFor(t, l), s).Refine([]record.Chunk{c}))
		kept := uint64(0)
		for _, line := range strings.SplitAfter(text, "\n") {
			if out, _ := naive(line); out != "" {
				kept += uint64(len(line))
			}
		}
		if got.limited > kept {
			t.Fatalf("%d bytes were limited, want at most the %d that filters keep", got.limited, kept)
		}
	})
}

func ruleFor(t *rapid.T, l *Limit) *Rule {
	set, err := filter.New(filter.Options{Targets: []string{"main"}, Filters: []filter.Filter{{Action: "deny", Contains: "D"}}})
	if err != nil {
		t.Fatal(err)
	}
	return &Rule{Name: "r", Targets: []string{"main"}, Filter: set, Limits: []*Limit{l}}
}
