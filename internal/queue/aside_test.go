package queue

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// aimed returns a chunk for some destinations.
func aimed(text string, targets ...string) record.Chunk {
	c := inline("r", text)
	c.Targets = targets
	return c
}

func rowOf(t *testing.T, s Stats, cursor string) Row {
	t.Helper()
	for _, c := range s.Cursors {
		if c.Name == cursor && len(c.Rules) == 1 {
			return c.Rules[0]
		}
	}
	t.Fatalf("got %+v, want one rule of cursor %s", s.Cursors, cursor)
	return Row{}
}

// What a destination never gets is filtered from the moment on that it is queued, also after a crash and for a stopped
// queue, and the books agree.
func TestWhatIsNotForADestinationIsNotQueuedForIt(t *testing.T) {
	o := options(t.TempDir())
	q, _ := open(t, o)
	cursor(t, q, "a")
	cursor(t, q, "b")
	appendAll(t, q,
		aimed("for a\n", "a"), aimed("for b!!\n", "b"), aimed("both\n"),
		ruled("kept\n", 0, record.Cut{Bytes: 10, Records: 2}),
		ruled("", 15, record.Cut{Bytes: 20, Records: 3}),
	)
	want := map[string][2]Tally{ // queued and filtered
		"a":     {{16, 3}, {38, 6}},
		"b":     {{18, 3}, {36, 6}},
		"later": {{10, 2}, {44, 7}},
	}
	hold := func(when string, s Stats, names ...string) {
		t.Helper()
		for _, name := range names {
			r := rowOf(t, s, name)
			if w := want[name]; r.Queued != w[0] || r.Filtered != w[1] || !r.Balanced() {
				t.Fatalf("%s, %s: got %+v, want %v queued and %v filtered", when, name, r, w[0], w[1])
			}
		}
	}
	hold("queued", q.Stats(), "a", "b")
	cursor(t, q, "later")
	hold("with another cursor", q.Stats(), "a", "b", "later")
	crash(q)
	stopped, problems, err := Status(o.Dir)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	hold("stopped", stopped, "a", "b", "later")
	q, _ = open(t, o)
	hold("opened again", q.Stats(), "a", "b", "later")
	if err := q.RemoveCursor("b"); err != nil {
		t.Fatal(err)
	}
	_, last := drain(t, cursor(t, q, "a"), 1<<20)
	if err := cursor(t, q, "a").Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	r := rowOf(t, q.Stats(), "a")
	if r.Queued != (Tally{}) || r.Delivered != want["a"][0] || r.Filtered != want["a"][1] {
		t.Fatalf("passed: got %+v, want all that was queued delivered, and nothing else changed", r)
	}
	hold("passed by another", q.Stats(), "later")
	balanced(t, q)
}

func TestOldestIsOfWhatIsForTheDestination(t *testing.T) {
	o := options(t.TempDir())
	q, _ := open(t, o)
	cursor(t, q, "a")
	cursor(t, q, "none")
	first, second := aimed("x\n", "b"), aimed("y\n", "a")
	first.Time, second.Time = 1e18, 1e18+5
	appendAll(t, q, first, second)
	check := func(s Stats) {
		t.Helper()
		for _, c := range s.Cursors {
			if want := map[string]int64{"a": 1e18 + 5}[c.Name]; want == 0 && !c.Oldest.IsZero() || want != 0 && !c.Oldest.Equal(time.Unix(0, want)) {
				t.Fatalf("%s: got %v as the oldest, want %d", c.Name, c.Oldest, want)
			}
		}
	}
	check(q.Stats())
	q.Close()
	s, _, err := Status(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	check(s)
}

// The bound of a destination counts what it is to get, and nothing else.
func TestBoundLeavesOutWhatIsNotForTheDestination(t *testing.T) {
	o := options(t.TempDir())
	o.Bound = func(string) int64 { return 10 }
	q, _ := open(t, o)
	cursor(t, q, "a")
	for range 10 {
		appendAll(t, q, aimed("not for a\n", "b"), ruled("", 0, record.Cut{Bytes: 100, Records: 1}))
	}
	appendAll(t, q, aimed("it is for\n", "a"))
	if err := q.BoundNow(); err != nil {
		t.Fatal(err)
	}
	if r := rowOf(t, q.Stats(), "a"); r.Queued != (Tally{10, 1}) || len(r.Dropped) > 0 {
		t.Fatalf("got %+v, want the 10 bytes queued and nothing dropped", r)
	}
	balanced(t, q)
}

// A destination that stands still holds up no room for what is not for it: not that of a rule that must not be
// dropped, nor what it has passed over while something before that is in flight.
func TestRoomOfWhatAStuckDestinationIsNotToGet(t *testing.T) {
	var released int64
	o := options(t.TempDir())
	o.Droppable = func(string) bool { return false }
	o.Release = func(l []record.Extent) {
		for _, e := range l {
			released += int64(e.Len)
		}
	}
	q, _ := open(t, o)
	stuck, main := cursor(t, q, "stuck"), cursor(t, q, "main")
	appendAll(t, q, aimed("for both\n"))
	for i := range 10 {
		c := spooled("r", 1, int64(i)*1000, 1000)
		c.Targets = []string{"main"}
		appendAll(t, q, c)
	}
	next(t, stuck, 1<<20) // it has seen the first, and passed over some
	_, last := drain(t, main, 1<<20)
	if err := main.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	if freed, err := q.DropOldest(10_000, record.QueueFull); err != nil || freed != 10_000 || released != 10_000 {
		t.Fatalf("got %d bytes freed and %d released, %v, want 10000", freed, released, err)
	}
	balanced(t, q)
	for _, name := range []string{"stuck", "main"} {
		if r := rowOf(t, q.Stats(), name); len(r.Dropped) > 0 {
			t.Fatalf("%s: got %+v, want nothing dropped: it was not for it, or it has it", name, r)
		}
	}
	if n := len(stuck.rec.Gaps); n != 1 {
		t.Fatalf("got %d runs, want those positions as one", n)
	}
	stuck.Rewind()
	got, last := drain(t, stuck, 1<<20)
	if len(got) != 1 || string(got[0].Data) != "for both\n" {
		t.Fatalf("got %d chunks, want the first one", len(got))
	}
	if err := stuck.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
}

// A destination that nobody serves any more holds up nothing that is not for it, whatever waits for it.
func TestNobodysCursorHoldsUpNothing(t *testing.T) {
	var released int64
	o := options(t.TempDir())
	o.Release = func(l []record.Extent) {
		for _, e := range l {
			released += int64(e.Len)
		}
	}
	q, _ := open(t, o)
	cursor(t, q, "gone")
	main := cursor(t, q, "main")
	appendAll(t, q, aimed("still for it\n", "gone"))
	for round := range 3 {
		for i := range 50 {
			c := spooled("r", 1, int64(round*50+i)*100, 100)
			c.Targets = []string{"main"}
			appendAll(t, q, c)
		}
		_, last := drain(t, main, 1<<20)
		if err := main.Ack(last, record.Durable{}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the first look sees that it stands still
			if err := q.passOver(func() {}); err != nil {
				t.Fatal(err)
			}
		}
		if want := int64(round+1) * 5000; released != want || q.Held() != int64(len("still for it\n")) {
			t.Fatalf("round %d: got %d bytes released and %d held, want %d, and what waits for it", round, released, q.Held(), want)
		}
		balanced(t, q)
	}
	if n := len(q.cursors["gone"].rec.Gaps); n != 1 {
		t.Errorf("got %d runs, want all of it as one", n)
	}
	crash(q)
	q, _ = open(t, o)
	balanced(t, q)
	got, last := drain(t, cursor(t, q, "gone"), 1<<20)
	if len(got) != 1 || string(got[0].Data) != "still for it\n" {
		t.Fatalf("got %d chunks, want what waited for it", len(got))
	}
	if err := cursor(t, q, "gone").Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
}

// What is left of a removed cursor gives back nothing a second time.
func TestRemovedCursorReleasesOnce(t *testing.T) {
	var released int64
	o := options(t.TempDir())
	o.Release = func(l []record.Extent) {
		for _, e := range l {
			released += int64(e.Len)
		}
	}
	q, _ := open(t, o)
	a, b := cursor(t, q, "a"), cursor(t, q, "b")
	appendAll(t, q, spooled("r", 1, 0, 100), spooled("r", 1, 100, 50))
	for _, c := range []*Cursor{a, b} {
		_, last := drain(t, c, 1<<20)
		if c == b {
			if err := q.RemoveCursor("b"); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Ack(last, record.Durable{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.commit(false); err != nil {
		t.Fatal(err)
	}
	if released != 150 || q.Held() != 0 {
		t.Fatalf("got %d bytes released and %d held, want 150 and none", released, q.Held())
	}
}

// A destination that wants nothing of a long queue reads it in steps.
func TestPassingOverTakesLittleMemory(t *testing.T) {
	q, _ := open(t, options(fastDir(t)))
	c := cursor(t, q, "a")
	chunks := make([]record.Chunk, 0, 2*maxFound)
	for i := range 2 * maxFound {
		chunks = append(chunks, aimed("x\n", fmt.Sprintf("other%d", i%2)))
	}
	appendAll(t, q, chunks...)
	r, more := q.begin(1<<20, c.way)
	if !more {
		t.Fatal("got nothing to read")
	}
	if err := r.collect(); err != nil || len(r.found) != maxFound {
		t.Fatalf("got %d entries at once, %v, want %d", len(r.found), err, maxFound)
	}
	if b, ok := next(t, c, 1<<20); ok || c.rec.Acked != q.last {
		t.Fatalf("got %d chunks, and stands at %d, want none and %d", len(b.Chunks), c.rec.Acked, q.last)
	}
	balanced(t, q)
}

// Whatever happens, the identity holds, and what is shown as queued is what the destination would still get.
func TestAsideUnderRandomOperations(t *testing.T) {
	seed := time.Now().UnixNano()
	rnd := rand.New(rand.NewPCG(uint64(seed), 1))
	t.Logf("seed %d", seed)
	o := options(fastDir(t))
	q, _ := open(t, o)
	names := []string{"a", "b", "c"}
	for _, n := range names {
		cursor(t, q, n)
	}
	for range 400 {
		name := names[rnd.IntN(len(names))]
		switch rnd.IntN(10) {
		case 9:
			for range 2 {
				if err := q.passOver(func() {}); err != nil {
					t.Fatal(err)
				}
			}
		case 0, 1, 2:
			targets := [][]string{nil, {"a"}, {"b"}, {"a", "b"}, {"nobody"}}[rnd.IntN(5)]
			c := ruled("text\n", 0, record.Cut{Bytes: uint32(rnd.IntN(3)) * 7})
			if rnd.IntN(4) == 0 {
				c = ruled("", 0, record.Cut{Bytes: 9, Records: 1})
			}
			c.Targets = targets
			appendAll(t, q, c)
		case 3, 4:
			if b, ok := next(t, cursor(t, q, name), int64(rnd.IntN(30))); ok && rnd.IntN(3) > 0 {
				if err := cursor(t, q, name).Ack(b.Last, record.Durable{}); err != nil {
					t.Fatal(err)
				}
			}
		case 5:
			if _, err := q.DropOldest(int64(rnd.IntN(20)), record.QueueFull); err != nil {
				t.Fatal(err)
			}
		case 6:
			cursor(t, q, name).Rewind()
		case 7:
			if c := cursor(t, q, name); c.rec.Acked < c.main.top {
				if err := c.Drop(c.rec.Acked+1, c.rec.Acked+1+rnd.Uint64N(c.main.top-c.rec.Acked), record.Refused); err != nil {
					t.Fatal(err)
				}
			}
		case 8:
			if rnd.IntN(2) == 0 {
				q.Close()
			} else {
				crash(q)
			}
			q, _ = open(t, o)
		}
		holdsWhatItGets(t, q, names)
	}
}

// holdsWhatItGets compares the books with what each cursor would read, and returns the entries that there are.
func holdsWhatItGets(t *testing.T, q *Queue, names []string) []delivered {
	t.Helper()
	balanced(t, q)
	s := q.Stats()
	list, err := q.summaries(1, q.last, func(int, int64) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		c, want, fresh := cursor(t, q, name), Tally{}, Tally{}
		for i := range list {
			if d := &list[i]; !c.rec.passed(d.pos) && d.s.wanted(name) {
				want = want.plus(d.s.kept())
				if c.rec.Branch.holds(d.pos) {
					fresh = fresh.plus(d.s.kept())
				}
			}
		}
		for _, cs := range s.Cursors {
			if cs.Name != name {
				continue
			}
			queued := Tally{}
			for _, r := range cs.Rules {
				queued = queued.plus(r.Queued)
			}
			if queued != want {
				t.Fatalf("%s: got %v queued, want %v: what it would still get", name, queued, want)
			}
			if s := cs.Branch; s != nil && (s.Fresh != fresh || s.Old != want.minus(fresh)) {
				t.Fatalf("%s: got %+v, want %v of %v fresh", name, *s, fresh, want)
			}
		}
	}
	return list
}
