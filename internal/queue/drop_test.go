package queue

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// gapsOf returns the gaps among chunks as "first-last reason bytes".
func gapsOf(chunks []record.Chunk) (l []string) {
	for i := range chunks {
		if g := chunks[i].Gap; g != nil {
			l = append(l, fmt.Sprintf("%d-%d %v %d", g.First, chunks[i].Seq, g.Reason, g.Bytes))
		}
	}
	return l
}

func TestDropOldestSparesWhatIsInFlight(t *testing.T) {
	o := options(t.TempDir())
	var released int
	o.Release = func(e []record.Extent) { released += len(e) }
	o.SegmentEntries = 5
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	for i := range 20 {
		appendAll(t, q, spooled("r", 1, int64(i)*10, 10))
	}
	b, _ := next(t, c, 30) // positions 1..3 are in flight
	if b.Last != 3 {
		t.Fatalf("got a batch up to %d, want 3", b.Last)
	}
	for _, want := range []int64{45, 20} {
		if n, err := q.DropOldest(want, record.QueueFull); err != nil || n < want || n > want+9 {
			t.Fatalf("DropOldest(%d): got %d, %v", want, n, err)
		}
	}
	if released != 7 || q.Held() != 130 {
		t.Fatalf("got %d extents released and %d bytes held, want 7 and 130", released, q.Held())
	}
	balanced(t, q)
	if q.Stats().LastLoss.IsZero() {
		t.Fatal("the loss was not noted")
	}
	q.Close()

	q, _ = open(t, o) // gaps and counters are on disk
	balanced(t, q)
	c = cursor(t, q, "a")
	all, last := drain(t, c, 1000)
	wholeSequence(t, all, 1)
	if got := gapsOf(all); !slices.Equal(got, []string{"4-10 queue_full 70"}) {
		t.Fatalf("got gaps %v", got)
	}
	if err := c.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	row := q.Stats().Cursors[0].Rules[0]
	if row.Dropped["queue_full"].Bytes != 70 || row.Delivered.Bytes != 130 || row.Queued.Bytes != 0 {
		t.Fatalf("got %+v", row)
	}
}

func TestDropOldestSparesRulesThatMakeWritersWait(t *testing.T) {
	o := options(t.TempDir())
	o.Droppable = func(rule string) bool { return rule != "r" }
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	for i := range 10 {
		rule := []string{"r", "s"}[i%2]
		appendAll(t, q, spooled(rule, 1, int64(i)*10, 10))
	}
	if n, err := q.DropOldest(1000, record.QueueFull); n != 50 || err != nil {
		t.Fatalf("dropped %d bytes, %v, want the 50 of the other rule", n, err)
	}
	all, _ := drain(t, c, 1000)
	kept := 0
	for _, ch := range all {
		if ch.Gap == nil {
			kept += int(ch.Len)
		}
	}
	if kept != 50 {
		t.Fatalf("%d bytes are left, want 50", kept)
	}
	balanced(t, q)
}

func TestUplinkDrops(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	c := cursor(t, q, "a")
	for i := range 10 {
		appendAll(t, q, spooled("r", 1, int64(i)*10, 10))
	}
	drain(t, c, 1)
	if err := c.Drop(4, 6, record.SpoolLost); err != nil {
		t.Fatal(err)
	}
	all, _ := drain(t, c, 1)
	if all[0].Gap == nil || all[0].Gap.First != 4 || all[0].Seq != 6 || len(all) != 5 {
		t.Fatalf("after a drop: got %+v", all)
	}
	wholeSequence(t, all, 4)
	c.Rewind()
	all, last := drain(t, c, 1000)
	wholeSequence(t, all, 1)
	if err := c.Drop(11, 11, record.Refused); err == nil {
		t.Fatal("dropped what Next has not returned")
	}
	if err := c.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	if d := q.Stats().Cursors[0].Rules[0].Dropped["spool_lost"]; d != (Tally{30, 3}) {
		t.Fatalf("got dropped %+v", d)
	}
}

func TestOwnGapsAreCountedAsDropped(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	c := cursor(t, q, "a")
	gap := record.Chunk{Source: source, File: files["r"], Writer: writer,
		Gap: &record.Gap{Reason: record.SpoolLost, Bytes: 50, Records: 2}}
	appendAll(t, q, inline("r", "before"), gap, inline("r", "after"))
	balanced(t, q)
	all, last := drain(t, c, 1<<20)
	wholeSequence(t, all, 1)
	if all[1].Gap == nil || all[1].Gap.First != 2 || all[1].Seq != 2 || gap.Gap.First != 0 {
		t.Fatalf("got %+v", all[1])
	}
	if err := c.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	row := q.Stats().Cursors[0].Rules[0]
	if row.Dropped["spool_lost"] != (Tally{50, 2}) || row.Delivered.Records != 2 || row.Captured != (Tally{61, 4}) {
		t.Fatalf("got %+v", row)
	}
}

func TestForeignDropsMakeAGapPerStream(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	c := cursor(t, q, "a")
	for i := range 6 {
		s := &record.Source{Stream: record.Stream{Sender: record.SenderID{byte(8 + i%2)}, Epoch: 3}}
		f := inline("r", "12345")
		f.Source, f.Seq = s, uint64(100+i)
		appendAll(t, q, f, inline("r", "own"))
	}
	if _, err := q.DropOldest(1000, record.QueueFull); err != nil {
		t.Fatal(err)
	}
	all, _ := drain(t, c, 1000)
	if got := gapsOf(all); !slices.Equal(got, []string{"100-104 queue_full 15", "1-6 queue_full 18", "101-105 queue_full 15"}) {
		t.Fatalf("got %v", got)
	}
	for i := range all {
		if all[i].Source.Sender != me && all[i].Source.Epoch != 3 {
			t.Fatalf("got source %+v", all[i].Source)
		}
	}
	balanced(t, q)
}

func TestWhatADestinationDoesNotWantIsFiltered(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	a, b := cursor(t, q, "all"), cursor(t, q, "some")
	for i := range 9 {
		c := inline([]string{"s", "r", "s"}[i%3], "x")
		c.Targets = [][]string{{"all"}, {"some", "all"}, {"all", "none"}}[i%3]
		appendAll(t, q, c)
	}
	got, last := drain(t, b, 1<<20)
	if len(got) != 3 {
		t.Fatalf("got %d chunks, want 3", len(got))
	}
	if err := b.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	if p, _ := b.Acked(); p != 9 {
		t.Fatalf("acknowledged up to %d, want 9: filtered positions need no answer", p)
	}
	if got, _ = drain(t, a, 1<<20); len(got) != 9 {
		t.Fatalf("got %d chunks, want 9", len(got))
	}
	balanced(t, q)
	if row := q.Stats().Cursors[1].Rules[1]; row.Rule != "s" || row.Filtered.Records != 6 || row.Delivered.Records != 0 {
		t.Fatalf("got %+v", row)
	}
}

// clocks are set by a test.
type clocks struct {
	wall time.Time
	up   time.Duration
}

func (k *clocks) use(o *Options) {
	o.Now = func() time.Time { return k.wall }
	o.Uptime = func() time.Duration { return k.up }
}

func (k *clocks) pass(d time.Duration) { k.wall, k.up = k.wall.Add(d), k.up+d }

func TestExpiry(t *testing.T) {
	k := &clocks{wall: time.Unix(0, 1e18)}
	o := options(t.TempDir())
	k.use(&o)
	o.Expire = func(rule string) time.Duration { return map[string]time.Duration{"r": time.Hour}[rule] }
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	add := func(rule string) {
		c := inline(rule, "x")
		c.Time = k.wall.UnixNano()
		appendAll(t, q, c)
		k.pass(10 * time.Minute)
	}
	for _, r := range []string{"r", "r", "r", "s", "r", "r", "r", "r", "r"} {
		add(r)
	}
	b, _ := next(t, c, 1) // 1..2 are older than an hour: 90 and 80 minutes; 3 is 70
	if got := gapsOf(b.Chunks); !slices.Equal(got, []string{"1-3 expired 3"}) {
		t.Fatalf("got gaps %v", got)
	}
	all, _ := drain(t, c, 1<<20)
	if got := wholeSequence(t, all, uint64(len(b.Chunks))+3); len(got) != 5+1-len(b.Chunks)+1 && len(gapsOf(all)) > 1 {
		t.Fatalf("got %v", got)
	}
	k.pass(24 * time.Hour)
	c.Rewind()
	again, last := drain(t, c, 1<<20)
	if n := len(gapsOf(again)); n != len(gapsOf(b.Chunks))+len(gapsOf(all)) {
		t.Fatalf("what the destination may have seen has changed: %v", gapsOf(again))
	}
	if err := c.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
}

func TestExpiryOfWhatNobodyReads(t *testing.T) {
	k := &clocks{wall: time.Unix(0, 1e18)}
	o := options(t.TempDir())
	k.use(&o)
	o.Expire = func(string) time.Duration { return time.Hour }
	released := 0
	o.Release = func(e []record.Extent) { released += len(e) }
	q, _ := open(t, o)
	cursor(t, q, "a")
	for i := range 10000 {
		appendAll(t, q, spooled("r", 1, int64(i), 1))
	}
	k.pass(2 * time.Hour)
	if err := q.ExpireNow(); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); released != 10000 || s.Held != 0 || s.Cursors[0].Gaps != 1 {
		t.Fatalf("got %d extents released, %d bytes held, %d gaps", released, s.Held, s.Cursors[0].Gaps)
	}
	balanced(t, q)
}

func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{50 * 365 * 24 * time.Hour, -50 * 365 * 24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			k := &clocks{wall: time.Unix(0, 1e18)}
			o := options(t.TempDir())
			k.use(&o)
			o.Expire = func(string) time.Duration { return time.Hour }
			q, _ := open(t, o)
			c := cursor(t, q, "a")
			appendAll(t, q, inline("r", "x"))
			k.wall = k.wall.Add(jump)
			k.pass(time.Minute)
			if err := q.ExpireNow(); err != nil {
				t.Fatal(err)
			}
			if q.Held() != 1 {
				t.Fatal("a jump of the wall clock has expired data of this run")
			}
			k.pass(2 * time.Hour)
			all, _ := drain(t, c, 1)
			if expired := all[0].Gap != nil; expired != (jump > 0) {
				t.Fatalf("two hours later: got expired %v, want %v", expired, jump > 0)
			}
		})
	}
}

func TestAgesNeverOverstate(t *testing.T) {
	var a ages
	up := func(pos uint64) time.Duration { return time.Duration(pos) * 700 * time.Millisecond }
	for pos := uint64(1); pos <= 20000; pos++ {
		a.note(pos, up(pos))
	}
	if len(a.at) > maxAges {
		t.Fatalf("got %d samples, want at most %d", len(a.at), maxAges)
	}
	now := up(20000)
	for pos := uint64(1); pos <= 20000; pos++ {
		age, known := a.atLeast(pos, 1, now)
		if real := now - up(pos); !known || age > real || real-age > time.Minute && pos < 19900 {
			t.Fatalf("position %d: got at least %v, it is %v", pos, age, real)
		}
	}
	if _, known := a.atLeast(5, 6, now); known {
		t.Fatal("the age of what an earlier run appended cannot be known")
	}
}

// What another destination may have seen keeps its epoch for it; what it cannot have seen does not, since Open.
func TestNewEpochSparesWhatOthersHaveSeen(t *testing.T) {
	o := options(t.TempDir())
	q, _ := open(t, o)
	a, b := cursor(t, q, "a"), cursor(t, q, "b")
	appendAll(t, q, inline("r", "1"))
	appendAll(t, q, inline("r", "2"))
	drain(t, a, 1)
	if err := a.Ack(1, record.Durable{Seq: 1}); err != nil {
		t.Fatal(err)
	}
	drain(t, b, 1)
	appendAll(t, q, inline("r", "unseen by b"))
	old := q.Epoch()
	e, err := a.NewEpoch()
	if err != nil || e <= old || q.Epoch() != e {
		t.Fatalf("got epoch %d after %d, %v", e, old, err)
	}
	appendAll(t, q, inline("r", "new"))
	if a.Given() != 4 || b.Given() != 4 {
		t.Fatalf("got %d and %d given, want 4", a.Given(), b.Given())
	}
	epochs := func(c *Cursor) (l []uint64) {
		c.Rewind()
		all, _ := drain(t, c, 1)
		for i := range all {
			l = append(l, all[i].Source.Epoch)
		}
		return l
	}
	check := func() {
		t.Helper()
		if got := epochs(a); !slices.Equal(got, []uint64{e, e, e}) {
			t.Fatalf("a: got %v, want thrice %d", got, e)
		}
		if got := epochs(b); !slices.Equal(got, []uint64{old, old, e, e}) {
			t.Fatalf("b: got %v, want twice %d, twice %d", got, old, e)
		}
	}
	check()
	if s := b.Streams(); len(s) != 2 || s[0].Epoch != old || s[1].Epoch != e {
		t.Fatalf("streams of b: got %v", s)
	}
	if s := a.Streams(); len(s) != 1 || s[0].Epoch != e {
		t.Fatalf("streams of a: got %v", s)
	}
	q.Close()
	q, _ = open(t, o)
	a, b = cursor(t, q, "a"), cursor(t, q, "b")
	check()
}

func TestUncleanOpenBeginsAnEpoch(t *testing.T) {
	o := options(t.TempDir())
	q, _ := open(t, o)
	cursor(t, q, "a")
	appendAll(t, q, inline("r", "1"))
	first := q.Epoch()
	crash(q)
	q, r := open(t, o)
	appendAll(t, q, inline("r", "2"))
	if r.Clean || r.Epoch <= first {
		t.Fatalf("after a crash: got clean %v, epoch %d after %d", r.Clean, r.Epoch, first)
	}
	all, _ := drain(t, cursor(t, q, "a"), 1)
	wholeSequence(t, all, 1)
	if all[0].Source.Epoch != first || all[1].Source.Epoch != r.Epoch {
		t.Fatalf("got epochs %d and %d, want %d and %d", all[0].Source.Epoch, all[1].Source.Epoch, first, r.Epoch)
	}
}

func TestLaterCursorBeginsAtWhatIsStillNeeded(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	a := cursor(t, q, "a")
	for _, l := range lines(1, 10) {
		appendAll(t, q, inline("r", l))
	}
	drain(t, a, 1)
	if err := a.Ack(4, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	b := cursor(t, q, "b")
	all, _ := drain(t, b, 1<<20)
	wholeSequence(t, all, 5)
	balanced(t, q)
	if err := q.RemoveCursor("a"); err != nil {
		t.Fatal(err)
	}
	if err := b.Ack(10, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	if q.Held() != 0 {
		t.Fatalf("got %d bytes held, want 0", q.Held())
	}
}
