package queue

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/syndtr/goleveldb/leveldb"

	"ftfuse/internal/record"
)

// relaying is a queue of other senders' streams, whose clocks stand unless the test moves them, and how far each stream came.
type relaying struct {
	t *testing.T
	o Options
	clocks
	*Queue
	want map[record.Stream]record.Durable
}

func newRelaying(t *testing.T, most int, cursors ...string) *relaying {
	r := &relaying{t: t, o: options(fastDir(t)), clocks: clocks{wall: time.Unix(1.7e9, 0)}, want: map[record.Stream]record.Durable{}}
	r.o.MostMarks = most
	r.use(&r.o)
	r.reopen(nil)
	for _, name := range cursors {
		cursor(t, r.Queue, name)
	}
	return r
}

// reopen opens the queue, after an end.
func (r *relaying) reopen(end func(*Queue)) {
	r.t.Helper()
	if end != nil {
		end(r.Queue)
	}
	r.Queue, _ = open(r.t, r.o)
}

func closed(q *Queue) { q.Close() }

func (r *relaying) pass(d time.Duration) { r.clocks.pass(d) }

func streamOf(sender int, epoch uint64) record.Stream {
	s := record.Stream{Epoch: epoch}
	binary.BigEndian.PutUint32(s.Sender[1:], uint32(sender)+1)
	return s
}

// put appends one chunk to each stream, for some destinations.
func (r *relaying) put(targets []string, streams ...record.Stream) {
	r.t.Helper()
	var list []record.Chunk
	for _, s := range streams {
		c := inline("r", fmt.Sprintln("line", len(r.want), r.want[s].Seq))
		c.Source, c.Seq, c.Targets = &record.Source{Stream: s, Host: "h"}, r.want[s].Seq+1, targets
		r.want[s] = r.want[s].Add(&c)
		list = append(list, c)
	}
	appendAll(r.t, r.Queue, list...)
}

// deliver has a destination acknowledge all.
func (r *relaying) deliver(name string) {
	r.t.Helper()
	c := cursor(r.t, r.Queue, name)
	_, last := drain(r.t, c, 1<<20)
	if last == 0 {
		return
	}
	if err := c.Ack(last, record.Durable{}); err != nil {
		r.t.Fatal(err)
	}
}

// knows fails unless streams are known as far as they came, or not at all.
func (r *relaying) knows(when string, known bool, streams ...record.Stream) {
	r.t.Helper()
	for _, s := range streams {
		want := r.want[s]
		if !known {
			want = record.Durable{}
		}
		if got := r.Mark(s); got != want {
			r.t.Errorf("%s: sender %v, epoch %d: got mark %+v, want %+v", when, s.Sender, s.Epoch, got, want)
		}
	}
}

// rotated begins a new database now, and returns its head.
func (r *relaying) rotated() headRec {
	r.t.Helper()
	r.put(nil, streamOf(1<<20, 1)) // else there is nothing in this one
	r.deliver("up")
	r.rotateDue.Store(true)
	r.rotate()
	h, _, found, err := r.newest().head()
	if err != nil || !found {
		r.t.Fatalf("head: found %v, %v", found, err)
	}
	return h
}

// However many streams there were, and however often the queue was opened, closed or killed, no more are known than the bound,
// here and in the heads, but for those of which something is queued; and those that were touched last are.
func TestMarksAreBounded(t *testing.T) {
	const most = 64
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := newRelaying(t, most, "up")
	r.o.SegmentEntries = 50
	r.reopen(closed)
	heads, owed := map[uint64]bool{}, 0 // the most that was ever owed
	for n := range 1500 {
		s := streamOf(rnd.IntN(200), uint64(n+1))
		if rnd.IntN(4) == 0 {
			s = streamOf(1000+n, 1) // of a sender that never comes again
		}
		r.put(nil, s)
		now := len(cursor(t, r.Queue, "up").Owed())
		owed = max(owed, now)
		r.pass(time.Duration(rnd.IntN(100)) * time.Minute)
		if rnd.IntN(3) == 0 || now == most/2 { // chance alone would let more be owed once in a thousand runs
			r.deliver("up")
		}
		switch rnd.IntN(40) {
		case 0:
			r.reopen(closed)
		case 1:
			r.reopen(crash)
		}
		owed = max(owed, len(cursor(t, r.Queue, "up").Owed()))
		if got := len(r.Marks()); got > max(most, owed+most/4) {
			t.Fatalf("stream %d: got %d marks with at most %d owed, want at most %d, or a quarter of that more than are owed", n, got, owed, most)
		}
		r.knows("touched last", true, s)
		h, _, found, err := r.newest().head()
		if err != nil || !found {
			t.Fatalf("head: found %v, %v", found, err)
		}
		heads[h.First] = true
		if len(h.Marks) > max(most, owed) {
			t.Fatalf("head at %d: got %d marks with at most %d owed, want at most %d, or those that are owed", h.First, len(h.Marks), owed, most)
		}
	}
	if len(heads) < 20 || owed > most/2 {
		t.Fatalf("%d databases, %d streams owed: the test tests nothing", len(heads), owed)
	}
	r.deliver("up")
	if h := r.rotated(); len(h.Marks) > most {
		t.Errorf("with nothing queued: got %d marks in the head, want at most %d", len(h.Marks), most)
	}
}

// Of what is queued for somebody every stream stays known, whatever comes meanwhile, as long as it is queued.
func TestAStreamInUseIsNeverForgotten(t *testing.T) {
	for name, end := range map[string]func(*Queue){"closed": closed, "killed": crash} {
		t.Run(name, func(t *testing.T) {
			r := newRelaying(t, 16, "up", "slow")
			r.o.SegmentEntries = 40
			r.reopen(closed)
			var used []record.Stream
			for n := range 24 { // more than the bound, the older ones superseded
				used = append(used, streamOf(n/2, uint64(n%2+1)))
			}
			r.put(nil, used...)
			flood := func() {
				for n := range 200 {
					r.pass(time.Hour)
					r.put([]string{"up"}, streamOf(100+n, uint64(len(r.want))))
					r.deliver("up")
				}
				r.pass(100 * 24 * time.Hour)
			}
			for range 3 {
				flood()
				r.reopen(end)
				r.knows("queued for one of two", true, used...)
				if got := len(r.Marks()); got > len(used)+16 {
					t.Fatalf("got %d marks, want at most those in use and 16: what is not for a destination is not owed by it", got)
				}
			}
			r.put(nil, used[0]) // goes on where it was
			r.knows("gone on", true, used[0])
			if got := answered(t, cursor(t, r.Queue, "slow"), used[0]); got.Seq != 0 {
				t.Errorf("got sequence %d answered for, want nothing", got.Seq)
			}
			r.deliver("slow")
			r.deliver("up")
			flood()
			r.knows("delivered", false, used...)
		})
	}
}

// Streams that a newer one of the sender has followed go before those that may go on, the longest untouched first; and which is
// newer does not depend on the clocks of senders.
func TestTheSupersededAreForgottenFirst(t *testing.T) {
	r := newRelaying(t, 8, "up")
	log := &counting{}
	r.o.Logger = slog.New(log)
	r.reopen(closed)
	still := streamOf(1, 1) // of a sender that is still, longer than all others
	r.put(nil, still)
	r.pass(time.Hour)
	var old []record.Stream
	for epoch := uint64(50); epoch > 46; epoch-- { // its clock goes back at each start
		old = append(old, streamOf(2, epoch))
		r.put(nil, streamOf(2, epoch))
		r.pass(time.Hour)
	}
	r.pass(48 * time.Hour)
	killed, goesOn := streamOf(3, 2), streamOf(3, 1) // it comes back with a clock in 1970
	r.put(nil, killed)
	r.pass(time.Hour)
	r.put(nil, goesOn)
	r.deliver("up")
	r.knows("within the bound", true, append(old, still, killed, goesOn)...)
	r.pass(time.Hour)
	more := []record.Stream{streamOf(4, 1), streamOf(5, 1)}
	r.put(nil, more...) // 9: down to 6
	r.deliver("up")
	r.knows("above the bound", false, old[:3]...)
	r.knows("above the bound", true, old[3], still, killed, goesOn, more[0], more[1])
	if log.n != 0 {
		t.Errorf("got %d warnings, want none while only what is superseded was forgotten", log.n)
	}
	last := []record.Stream{streamOf(6, 1), streamOf(7, 1), streamOf(8, 1)}
	r.pass(time.Hour)
	r.put(nil, last...) // none is superseded for long
	r.deliver("up")
	r.knows("nothing else left", false, still, old[3], killed)
	r.knows("nothing else left", true, append(last, goesOn, more[0], more[1])...)
	if log.n != 1 {
		t.Errorf("got %d warnings, want one for streams that may go on", log.n)
	}
}

// counting counts log records from warnings on.
type counting struct{ n int }

func (c *counting) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (c *counting) Handle(context.Context, slog.Record) error    { c.n++; return nil }
func (c *counting) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c *counting) WithGroup(string) slog.Handler                { return c }

// As in the ledger, what nothing came of for 90 days goes if the sender has a newer stream, and only then.
func TestOldMarksAreForgotten(t *testing.T) {
	r := newRelaying(t, 0, "up") // the default
	const days = 24 * time.Hour
	first, second, only := streamOf(1, 1), streamOf(1, 2), streamOf(2, 1)
	r.put(nil, first, only)
	r.pass(time.Minute)
	r.put(nil, second)
	r.deliver("up")
	r.rotated()
	r.pass(60 * days)
	r.reopen(closed)
	r.rotated()
	r.knows("after 60 days", true, first, second, only)
	r.pass(31 * days)
	h := r.rotated()
	r.knows("after 91 days", false, first)
	r.knows("after 91 days", true, second, only)
	if len(h.Marks) != 3 { // and that of rotated
		t.Errorf("got %d marks in the head, want 3", len(h.Marks))
	}
	r.put(nil, first) // it has come again, and is the one that was touched last
	r.deliver("up")
	r.pass(91 * days)
	r.reopen(closed)
	r.knows("turned round", false, second)
	if got := r.Mark(first).Seq; got != 2 {
		t.Errorf("got sequence %d, want 2", got)
	}
}

// A relay may boot with a clock that is far behind, and be told the time when it runs. Nothing that was touched lately counts as
// old then, in this run or a later one.
func TestMarksOnAMachineWithoutAClock(t *testing.T) {
	r := newRelaying(t, 0, "up")
	now := r.wall
	before, lastBefore := streamOf(1, 1), streamOf(1, 2)
	r.put(nil, before)
	r.pass(time.Minute)
	r.put(nil, lastBefore)
	r.deliver("up")
	r.rotated()
	r.wall = time.Unix(100, 0)
	r.reopen(crash)
	in1970, last1970 := streamOf(2, 1), streamOf(2, 2)
	r.put(nil, in1970)
	r.pass(time.Minute)
	r.put(nil, last1970, streamOf(1, 3))
	r.deliver("up")
	r.rotated()
	all := []record.Stream{before, lastBefore, in1970, last1970}
	r.knows("in 1970", true, all...)
	r.wall = now.Add(200 * 24 * time.Hour)
	r.rotated()
	r.knows("told the time", true, all...)
	r.reopen(crash)
	r.rotated()
	r.knows("opened with the time", true, all...)
	r.pass(91 * 24 * time.Hour)
	r.rotated()
	r.knows("91 days later", false, before, lastBefore, in1970)
	r.knows("91 days later", true, last1970)
}

// Marks that an older version has written have no time. They count as touched when the queue is opened.
func TestMarksOfOlderVersions(t *testing.T) {
	r := newRelaying(t, 0, "up")
	first, second := streamOf(1, 1), streamOf(1, 2)
	r.put(nil, second, first)
	r.deliver("up")
	r.rotated()
	r.Close()
	withoutTimes(t, r.newest())
	r.pass(1000 * 24 * time.Hour)
	r.reopen(nil)
	r.knows("opened", true, first, second)
	r.pass(89 * 24 * time.Hour)
	if h := r.rotated(); len(h.Marks) != 3 || h.Marks[0].At == 0 {
		t.Errorf("got %+v in the head, want three marks with times", h.Marks)
	}
	r.knows("after 89 days", true, first, second)
	r.pass(2 * 24 * time.Hour)
	r.reopen(crash)
	r.knows("after 91 days", false, first)
	r.knows("after 91 days", true, second)
}

// withoutTimes takes out of a closed database's head what older versions do not write.
func withoutTimes(t *testing.T, s *segment) {
	t.Helper()
	db, err := leveldb.OpenFile(s.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	v, err := db.Get(headKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	var h map[string]json.RawMessage
	var marks []map[string]json.RawMessage
	if err := unseal(v, &h); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(h["marks"], &marks); err != nil || len(marks) != 3 {
		t.Fatalf("got %d marks, %v", len(marks), err)
	}
	for _, m := range marks {
		if m["at"] == nil {
			t.Fatal("a mark has no time: the test tests nothing")
		}
		delete(m, "at")
	}
	if h["marks"], err = json.Marshal(marks); err != nil {
		t.Fatal(err)
	}
	if v, err = sealed(h); err != nil {
		t.Fatal(err)
	}
	if err := db.Put(headKey, v, nil); err != nil {
		t.Fatal(err)
	}
}

// What the ledger says a queue began with is known at each start, and is no younger for that.
func TestAdoptedMarksKeepTheirTime(t *testing.T) {
	r := newRelaying(t, 0, "up")
	began := r.wall
	old := record.Durable{Stream: streamOf(1, 1), Seq: 7, Chain: 9}
	r.Adopt([]record.Durable{old}, began)
	r.pass(80 * 24 * time.Hour)
	r.put(nil, streamOf(1, 2))
	r.deliver("up")
	for range 3 {
		r.reopen(closed)
		r.Adopt([]record.Durable{old}, began)
		r.rotated()
		if got := r.Mark(old.Stream); got != old {
			t.Fatalf("got %+v, want what was adopted", got)
		}
	}
	r.pass(11 * 24 * time.Hour)
	r.reopen(closed)
	r.Adopt([]record.Durable{old}, began)
	r.rotated()
	r.knows("91 days after", false, old.Stream)
}
