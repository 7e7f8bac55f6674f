package capture

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// Complete records wait until enough of them are there, or the first has waited long enough, or the handle ends; what
// has not ended does not make them wait.
func TestGather(t *testing.T) {
	now := time.Unix(1, 0)
	for _, c := range []struct {
		name string
		how  record.Gather
		fed  []string
		wait time.Duration
		want []int
		left bool
	}{
		{"too few", record.Gather{Records: 3, Wait: time.Second}, []string{"a\nb\n", "c"}, time.Second - 1, nil, true},
		{"records", record.Gather{Records: 3, Wait: time.Second}, []string{"a\nb\n", "c\nd"}, 0, []int{6}, true},
		{"bytes", record.Gather{Bytes: 4, Wait: time.Second}, []string{"a\n", "b\n"}, 0, []int{4}, false},
		{"few bytes", record.Gather{Bytes: 5, Wait: time.Second}, []string{"a\n", "b\n", "c"}, 0, nil, true},
		{"wait", record.Gather{Records: 9, Wait: time.Second}, []string{"a\n", "b\nc"}, time.Second, []int{4}, true},
		{"wait alone", record.Gather{Wait: time.Second}, []string{"a\n", "b\n"}, time.Second, []int{4}, false},
		{"more than a chunk", record.Gather{Records: 30, Wait: time.Second}, []string{strings.Repeat("1234\n", 29), "x\n"}, 0, []int{100, 47}, false},
		{"bytes of chunks", record.Gather{Bytes: 140, Wait: time.Second}, []string{strings.Repeat("1234\n", 28)}, 0, []int{100, 40}, false},
		{"nothing", record.Gather{Wait: time.Second}, nil, time.Hour, nil, false},
	} {
		m := &meta{MaxRecord: 100, framing: framing{Gather: c.how}}
		s := new(Capture).testStream(m)
		out := feedAll(s, now, c.fed...)
		out = s.age(now.Add(c.wait), out)
		if !slices.Equal(lens(out), c.want) || s.waits() != c.left {
			t.Errorf("%s: got %v, waits %v, want %v, %v", c.name, lens(out), s.waits(), c.want, c.left)
		}
		total := 0
		for _, n := range lens(s.end(out)) {
			total += n
		}
		if total != len(strings.Join(c.fed, "")) || s.waits() || s.cost() > 0 {
			t.Errorf("%s: %d bytes at the end, waits %v", c.name, total, s.waits())
		}
	}
}

// What waits is bounded, and is looked at when it is due.
func TestGatheredIsBounded(t *testing.T) {
	m := &meta{MaxRecord: 1000, framing: framing{LineEnd: record.NUL, Gather: record.Gather{Bytes: 1 << 40, Wait: time.Hour}}}
	s, now := new(Capture).testStream(m), time.Unix(1, 0)
	most, total := 0, 0
	for range 40 {
		for _, c := range feedAll(s, now, strings.Repeat("\x00", 10_000)) {
			total += int(c.Len)
			if err := wire.Check(&c); err != nil {
				t.Fatal(err)
			}
		}
		most = max(most, s.cost())
	}
	if most > 2*maxGather || total == 0 {
		t.Fatalf("%d pieces in memory, %d bytes went out", most, total)
	}
	if at := s.due(); !at.Equal(now.Add(time.Hour)) {
		t.Fatalf("due at %v, want an hour after %v", at, now)
	}
}

// gatherRig is a capture that is turned by hand.
func gatherRig(t *testing.T) (*rig, context.Context) {
	t.Helper()
	sink := newChain()
	c, err := New(Options{Dir: t.TempDir(), Source: &record.Source{}, Sink: sink, Stop: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	sink.store = c
	return &rig{Capture: c, sink: sink}, t.Context()
}

// A spool in which records wait is polled until they have gone; stopping registers them, and what is joined waits.
func TestGatheredSpoolStaysHot(t *testing.T) {
	r, ctx := gatherRig(t)
	d := decision
	d.Gather = record.Gather{Records: 10, Wait: 10 * time.Second}
	sp, err := r.file(t, "a.log").OpenSpool(d, "m", "a.log", &record.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	w := kernel(t, sp)
	mustWrite(t, w, "one\n")
	now := time.Now()
	r.turn(ctx, now)
	r.turn(ctx, now.Add(5*time.Second))
	if len(r.sink.all()) > 0 || len(r.pass.hot) != 1 || r.pass.patience(now) != tidyEvery {
		t.Fatalf("got %q, %d hot spools", r.sink.all(), len(r.pass.hot))
	}
	if p := r.pass.patience(r.pass.due); p != ageEvery {
		t.Fatalf("sleeps %v when something is due", p)
	}
	r.turn(ctx, now.Add(10*time.Second))
	r.turn(ctx, now.Add(20*time.Second))
	if string(r.sink.all()) != "one\n" || len(r.pass.idle) != 1 || !r.pass.due.IsZero() {
		t.Fatalf("got %q, %d idle spools", r.sink.all(), len(r.pass.idle))
	}
	mustWrite(t, w, "two\npart")
	r.heat(sp.r, now)
	r.turn(ctx, now)
	if string(r.sink.all()) != "one\n" {
		t.Fatalf("got %q too early", r.sink.all())
	}
	if err := r.finish(); err != nil {
		t.Fatal(err)
	}
	if string(r.sink.all()) != "one\ntwo\n" {
		t.Fatalf("got %q at the end", r.sink.all())
	}
}

// Too much that waits goes: complete records first, and pieces only if that is not enough.
func TestTooMuchWaits(t *testing.T) {
	r, ctx := gatherRig(t)
	d := decision
	d.Unit, d.Gather = record.Line, record.Gather{Wait: time.Hour}
	d.LineEnd = record.NUL
	now := time.Now()
	f := r.file(t, "a.log")
	for range 5 {
		l, err := f.OpenLog(d, "m", "a.log", &record.Writer{})
		if err != nil {
			t.Fatal(err)
		}
		mustLog(t, l, strings.Repeat("\x00", maxGather-10)+"part")
	}
	r.turn(ctx, now)
	r.turn(ctx, now.Add(time.Second))
	held := 0
	for _, s := range r.pass.streams {
		if held += s.cost(); s.part.len != 4 || !s.aging {
			t.Fatalf("stream with a part of %d bytes, aging %v", s.part.len, s.aging)
		}
	}
	if got := len(r.sink.all()); held > maxHeld || got < 4*(maxGather-10) {
		t.Fatalf("%d pieces in memory, %d bytes went out", held, got)
	}
}

// Whatever is gathered: the chunks keep their order and their bytes.
func TestGatherKeepsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]record.Unit{record.Line, record.Write, record.Binary}).Draw(t, "unit")
		m := &meta{ID: 7, MaxRecord: 16, MaxAge: int64(time.Second), File: record.File{Unit: unit},
			framing: framing{Gather: record.Gather{Wait: time.Second, Records: rapid.IntRange(0, 9).Draw(t, "records")}}}
		s, now := new(Capture).testStream(m), time.Unix(1, 0)
		var out []record.Chunk
		var all []byte
		for range rapid.IntRange(0, 20).Draw(t, "writes") {
			p := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n")), 1, 40).Draw(t, "p")
			out = s.feed(piece{spool: 1, off: int64(len(all)), data: p, writer: &m.Writer, written: unit == record.Write}, now, out)
			all = append(all, p...)
			if now = now.Add(time.Second / 4); rapid.Bool().Draw(t, "age") {
				out = s.age(now, out)
			}
			if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
				if out = s.cut(out); s.waits() || s.cost() > 0 {
					t.Fatalf("cut and %d pieces wait", s.cost())
				}
			}
		}
		checkChunks(t, s.end(out), all, 16)
	})
}
