package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ftfuse/internal/record"
)

func branchOf(t testing.TB, c *Cursor) *Branch {
	t.Helper()
	b, err := c.Branch()
	if err != nil {
		t.Fatal(err)
	}
	return b.(*Branch)
}

// all reads what there is of a cursor or a branch.
func all(t testing.TB, b backlog) (list []record.Chunk, last uint64) {
	t.Helper()
	for {
		batch, ok, err := b.read(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return list, last
		}
		list, last = append(list, batch.Chunks...), batch.Last
	}
}

// oldAndFresh is a queue with 10 entries that wait and, beside them, 10 of a branch.
func oldAndFresh(t *testing.T, o Options) (q *Queue, c *Cursor, b *Branch) {
	t.Helper()
	q, _ = open(t, o)
	c = cursor(t, q, "a")
	for i := range 10 {
		appendAll(t, q, spooled("r", 1, int64(i)*10, 10))
	}
	b = branchOf(t, c)
	for i := range 10 {
		appendAll(t, q, spooled("r", 2, int64(i)*10, 10))
	}
	return q, c, b
}

func split(t *testing.T, q *Queue) Split {
	t.Helper()
	s := q.Stats().Cursors[0].Branch
	if s == nil {
		t.Fatal("got no branch in the status")
	}
	return *s
}

func TestBranchGoesPastWhatWaits(t *testing.T) {
	o := options(t.TempDir())
	var released []record.Extent
	o.Release = func(l []record.Extent) { released = append(released, l...) }
	o.SegmentEntries = 3
	q, c, b := oldAndFresh(t, o)
	old, _ := all(t, c)
	fresh, _ := all(t, b)
	wholeSequence(t, old, 1)
	wholeSequence(t, fresh, 11)
	if len(old) != 10 || len(fresh) != 10 || old[0].Source.Epoch >= fresh[0].Source.Epoch || fresh[0].Source.Epoch != q.Epoch() {
		t.Fatalf("got %d old in epoch %d and %d fresh in %d", len(old), old[0].Source.Epoch, len(fresh), fresh[0].Source.Epoch)
	}
	mark := record.Durable{Stream: fresh[0].Source.Stream, Seq: 16, Chain: 5}
	if err := b.Ack(16, mark); err != nil {
		t.Fatal(err)
	}
	if err := q.commit(false); err != nil {
		t.Fatal(err)
	}
	if len(released) != 6 || released[0].Spool != 2 || split(t, q) != (Split{11, 16, Tally{100, 10}, Tally{40, 4}}) {
		t.Fatalf("got %v released, %+v", released, split(t, q))
	}
	crash(q)

	q, r := open(t, o)
	c = cursor(t, q, "a")
	b = c.Branched().(*Branch)
	if p, m := b.Acked(); p != 16 || m != mark || r.Lost != 0 || q.Held() != 140 {
		t.Fatalf("after a kill: got %d %v, %+v, %d held", p, m, r, q.Held())
	}
	if s := q.Stats().Cursors[0]; s.Behind != 14 || s.Rules[0].Delivered.Records != 6 {
		t.Fatalf("after a kill: got %+v", s)
	}
	balanced(t, q)
	all(t, c)
	fresh, last := all(t, b)
	wholeSequence(t, fresh, 17)
	if err := c.Ack(10, record.Durable{Seq: 10}); err != nil { // the two are one
		t.Fatal(err)
	}
	if p, m := c.Acked(); p != 16 || m != mark || c.Branched() != nil {
		t.Fatalf("joined: got %d %v", p, m)
	}
	if err := b.Ack(last, mark); err != nil { // under way when they joined
		t.Fatal(err)
	}
	appendAll(t, q, spooled("r", 2, 100, 10))
	if l, _ := all(t, c); len(l) != 1 || l[0].Seq != 21 {
		t.Fatalf("joined: got %+v", l)
	}
	if err := c.Ack(21, mark); err != nil {
		t.Fatal(err)
	}
	if err := q.commit(false); err != nil || len(released) != 21 || q.Held() != 0 {
		t.Fatalf("got %d extents released, %d bytes held, %v", len(released), q.Held(), err)
	}
	balanced(t, q)
}

func TestBranchWaitsAndJoins(t *testing.T) {
	q, c, b := oldAndFresh(t, options(t.TempDir()))
	all(t, c)
	_, last := all(t, b)
	got := make(chan record.Batch)
	go func() {
		b, err := c.Next(context.Background(), 1) // at the end of the old part
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	if err := b.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Ack(10, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	appendAll(t, q, inline("r", "x"))
	if k := <-got; k.First != 21 {
		t.Fatalf("got a batch from %d on, want 21", k.First)
	}
}

func TestBranchIsRefused(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	c := cursor(t, q, "a")
	if _, err := c.Branch(); !errors.Is(err, record.ErrRefused) {
		t.Fatalf("with nothing that waits: got %v", err)
	}
	other := inline("r", "x")
	other.Source, other.Seq = &record.Source{Stream: record.Stream{Sender: record.SenderID{9}, Epoch: 4}}, 1
	appendAll(t, q, other)
	if _, err := c.Branch(); !errors.Is(err, record.ErrRefused) || c.Branched() != nil {
		t.Fatalf("of a relay: got %v", err)
	}
	if err := q.RemoveCursor("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Branch(); !errors.Is(err, record.ErrClosed) {
		t.Fatalf("of a removed cursor: got %v", err)
	}
}

// A branch that is not on the disk is none: its epoch could be forgotten after something was sent under it.
func TestBranchThatCannotBeNotedIsNone(t *testing.T) {
	f := &faults{}
	o := options(t.TempDir())
	o.Storage = f.open
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	appendAll(t, q, inline("r", "1"))
	f.mu.Lock()
	f.at, f.until, f.err, f.writes = 1, 1<<30, syscall.EIO, true
	f.mu.Unlock()
	if _, err := c.Branch(); !errors.Is(err, syscall.EIO) || c.Branched() != nil {
		t.Fatalf("got %v", err)
	}
	f.mu.Lock()
	f.at = 0
	f.mu.Unlock()
	appendAll(t, q, inline("r", "2"))
	if l, _ := all(t, c); len(l) != 2 {
		t.Fatalf("got %d chunks, want both in order", len(l))
	}
	balanced(t, q)
}

// A destination that comes while another has received the newer part gets what is still there, and no word of the rest.
func TestLaterCursorBesideABranch(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentEntries = 3
	q, _, b := oldAndFresh(t, o)
	all(t, b)
	if err := b.Ack(18, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	if err := q.commit(false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		list, last := all(t, cursor(t, q, "later"))
		var seqs []uint64
		for i := range list {
			seqs = append(seqs, list[i].Seq)
		}
		if want := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 19, 20}; !slices.Equal(seqs, want) || last != 20 || len(gapsOf(list)) > 0 {
			t.Fatalf("got %v, gaps %v, want %v", seqs, gapsOf(list), want)
		}
		balanced(t, q)
		crash(q)
		q, _ = open(t, o)
	}
}

// What the meta database knew of a branch is also in the newest database of the chain.
func TestBranchOutlivesTheMetaDatabase(t *testing.T) {
	o := options(t.TempDir())
	q, _, b := oldAndFresh(t, o)
	fresh, _ := all(t, b)
	if err := b.Ack(20, record.Durable{Stream: fresh[0].Source.Stream, Seq: 20}); err != nil {
		t.Fatal(err)
	}
	crash(q)
	if err := os.RemoveAll(filepath.Join(o.Dir, metaName)); err != nil {
		t.Fatal(err)
	}
	q, _ = open(t, o)
	c := cursor(t, q, "a")
	again, _ := all(t, c.Branched().(*Branch))
	old, _ := all(t, c)
	if len(again) != 10 || again[0].Source.Stream != fresh[0].Source.Stream || len(old) != 10 {
		t.Fatalf("got %d old, %d fresh in %v, want 10 each, the fresh ones under the names that they had, %v", len(old), len(again), again[0].Source.Stream, fresh[0].Source.Stream)
	}
}

func TestOperatorsSeeBranches(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentEntries = 4
	q, _, b := oldAndFresh(t, o)
	fresh, _ := all(t, b)
	if err := b.Ack(15, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	s, problems, err := Status(o.Dir)
	if err != nil || len(problems) > 0 || s.Held != 150 || *s.Cursors[0].Branch != (Split{11, 15, Tally{100, 10}, Tally{50, 5}}) {
		t.Fatalf("status: got %+v, %v, %v", s, problems, err)
	}
	var out bytes.Buffer
	if err := Export(o.Dir, &out, nil, nil); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var e Exported
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil || len(lines) != 15 || e.Epoch != fresh[0].Source.Epoch {
		t.Fatalf("export: got %d lines, the last of epoch %d, %v", len(lines), e.Epoch, err)
	}
	if _, r, err := Repair(o.Dir, nil); err != nil || len(r.Problems) > 0 {
		t.Fatalf("repair: %v, %v", r.Problems, err)
	}
	if n, err := Purge(o.Dir, PurgeCursor+"a"); n != 150 || err != nil {
		t.Fatalf("purge: got %d bytes, %v", n, err)
	}
	q, _ = open(t, o)
	c := cursor(t, q, "a")
	b = c.Branched().(*Branch)
	old, _ := all(t, c)
	fresh, last := all(t, b)
	if got := append(gapsOf(old), gapsOf(fresh)...); !slices.Equal(got, []string{"1-10 purged 100", "16-20 purged 50"}) {
		t.Fatalf("after the purge: got %v", got)
	}
	if err := errors.Join(b.Ack(last, record.Durable{}), c.Ack(10, record.Durable{})); err != nil || c.rec.Acked != 20 {
		t.Fatalf("got %v, stands at %d", err, c.rec.Acked)
	}
	balanced(t, q)
}

// The format on the disk is the oldest that says all, and records that were written before there were branches read as ever.
func TestBranchIsANewFormat(t *testing.T) {
	q, c, _ := oldAndFresh(t, options(t.TempDir()))
	format := func() (int, int) {
		q.mu.Lock()
		defer q.mu.Unlock()
		r, cursors := q.records(true)
		return r.Format, cursors[0].Format
	}
	if a, b := format(); a != branchFormat || b != branchFormat {
		t.Fatalf("with a branch: got formats %d and %d", a, b)
	}
	all(t, c)
	if err := c.Ack(10, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	if a, b := format(); a != plainFormat || b != plainFormat {
		t.Fatalf("joined: got formats %d and %d", a, b)
	}
	const old = `{"format":1,"name":"a","acked":7,"mark":{"sender":"01000000000000000000000000000000","epoch":5,"seq":6,"chain":9},"handed":8,` +
		`"base":{},"delivered":{"r":{"bytes":70,"records":7}},"filtered":{},"dropped":{"r":{"3":{"bytes":1,"records":1}}},"epochs":[{"from":1,"epoch":5}],` +
		`"gaps":[{"first":9,"last":9,"reason":3,"parts":[{"own":true,"first":9,"last":9,"bytes":1,"records":1}]}]}`
	var r cursorRec
	if err := unseal(append(crcOf(old), old...), &r); err != nil {
		t.Fatal(err)
	}
	if now, err := json.Marshal(r); string(now) != old || err != nil {
		t.Fatalf("got %s, %v, want %s", now, err, old)
	}
}

func crcOf(s string) []byte {
	n := record.CRC([]byte(s))
	return []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
}

// Another destination's new epoch moves both parts of a branched one, and never into one stream.
func TestNewEpochKeepsOldAndFreshApart(t *testing.T) {
	o := options(t.TempDir())
	q, c, b := oldAndFresh(t, o)
	other := cursor(t, q, "b")
	for round := range 3 {
		var err error
		if round == 1 {
			_, err = c.NewEpoch()
		} else {
			_, err = other.NewEpoch()
		}
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, q, inline("r", fmt.Sprint(round)))
		c.Rewind()
		b.Rewind()
		old, _ := all(t, c)
		fresh, _ := all(t, b)
		streams := map[record.Stream]bool{}
		for i := range old {
			streams[old[i].Source.Stream] = true
		}
		for i := range fresh {
			if streams[fresh[i].Source.Stream] {
				t.Fatalf("round %d: old and fresh chunks are both in %v", round, fresh[i].Source.Stream)
			}
			if !slices.Contains(c.Streams(), fresh[i].Source.Stream) {
				t.Fatalf("round %d: HELLO does not name %v", round, fresh[i].Source.Stream)
			}
		}
		if len(old) != 10 || len(fresh) != 11+round {
			t.Fatalf("round %d: got %d old and %d fresh", round, len(old), len(fresh))
		}
	}
}
