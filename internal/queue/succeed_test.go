package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"ftfuse/internal/record"
)

// succeeded makes one cursor give way to others, and returns those.
func succeeded(t *testing.T, q *Queue, name string, heirs ...string) (list []*Cursor) {
	t.Helper()
	for _, h := range heirs {
		list = append(list, q.Heir(h))
	}
	if err := q.Succeed(name, list...); err != nil {
		t.Fatal(err)
	}
	return list
}

// takes acknowledges what it reads of a cursor, and returns the texts.
func takes(t *testing.T, c *Cursor) []string {
	t.Helper()
	chunks, last := drain(t, c, 1)
	if last > 0 {
		if err := c.Ack(last, record.Durable{}); err != nil {
			t.Fatal(err)
		}
	}
	var texts []string
	for i := range chunks {
		if chunks[i].Gap != nil {
			texts = append(texts, "gap")
			continue
		}
		texts = append(texts, string(chunks[i].Data))
	}
	return texts
}

func gets(t *testing.T, when string, c *Cursor, want ...string) {
	t.Helper()
	if got := takes(t, c); !slices.Equal(got, want) {
		t.Errorf("%s: %s gets %q, want %q", when, c.Name(), got, want)
	}
}

// What waits at a cursor waits at each of its heirs then, nothing else does, and it is free when all of them have it; what comes
// for the old name late is theirs too. So it is after a restart, and after a kill.
func TestHeirsGetWhatWaits(t *testing.T) {
	for name, end := range map[string]func(*Queue){"at once": nil, "closed": func(q *Queue) { q.Close() }, "killed": crash} {
		t.Run(name, func(t *testing.T) {
			o := options(t.TempDir())
			q, _ := open(t, o)
			old, other := cursor(t, q, "t"), cursor(t, q, "other")
			appendAll(t, q, aimed("acknowledged", "t"))
			gets(t, "before", old, "acknowledged")
			appendAll(t, q, aimed("waits", "t"), aimed("not its own", "other"), aimed("handed", "t"))
			if _, ok := next(t, old, 1); !ok {
				t.Fatal("got nothing")
			}
			heirs := succeeded(t, q, "t", "t/a", "t/b")
			appendAll(t, q, aimed("late", "t"), aimed("new", "t/a", "t/b"))
			if end != nil {
				end(q)
				q, _ = open(t, o)
				heirs, other = []*Cursor{cursor(t, q, "t/a"), cursor(t, q, "t/b")}, cursor(t, q, "other")
			}
			if got := q.Cursors(); !slices.Equal(got, []string{"other", "t/a", "t/b"}) {
				t.Fatalf("got cursors %v, want the heirs and not the old one", got)
			}
			balanced(t, q)
			for _, h := range heirs {
				gets(t, "then", h, "waits", "handed", "late", "new")
				balanced(t, q)
			}
			gets(t, "then", other, "not its own")
			if n := q.Held(); n != 0 {
				t.Errorf("got %d bytes held, want none: all is acknowledged", n)
			}
			for _, h := range heirs {
				if h.StreamsName() == h.Name() || h.StreamsName() == cursor(t, q, "other").StreamsName() {
					t.Errorf("got streams named %q: want them told apart from those of an earlier cursor", h.StreamsName())
				}
			}
		})
	}
}

// A cursor that has the old name again gets what comes for it from then on, and nobody else does. An heir can have heirs.
func TestTheOldNameAgain(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	cursor(t, q, "t")
	appendAll(t, q, aimed("one", "t"))
	a := succeeded(t, q, "t", "t/a", "t/b")[0]
	appendAll(t, q, aimed("two", "t/a", "t/b"))
	b := cursor(t, q, "t/b")
	gets(t, "first", b, "one", "two")
	again := succeeded(t, q, a.Name(), "t")[0]
	appendAll(t, q, aimed("three", "t"), aimed("late", "t/a"))
	gets(t, "again", again, "one", "two", "three", "late")
	gets(t, "again", b)
	balanced(t, q)
}

// What was dropped while it waited comes to heirs as a gap, and what was captured beside an outage stays beside it.
func TestHeirsGetGapsAndBranches(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	c := cursor(t, q, "t")
	appendAll(t, q, aimed("dropped", "t"))
	appendAll(t, q, aimed("old", "t"))
	if _, err := q.DropOldest(1, record.QueueFull); err != nil {
		t.Fatal(err)
	}
	b := branchOf(t, c)
	appendAll(t, q, aimed("fresh", "t"))
	appendAll(t, q, aimed("fresher", "t"))
	fresh, ok, err := b.read(1)
	if err != nil || !ok || b.Ack(fresh.Last, record.Durable{}) != nil {
		t.Fatalf("got %v, %v, %v of the branch", fresh, ok, err)
	}
	h := succeeded(t, q, "t", "t/a")[0]
	balanced(t, q)
	gets(t, "then", h, "gap", "old")
	gets(t, "then", h, "fresher")
	balanced(t, q)
}

// What others wait for is answered for by heirs when they have it, not before.
func TestHeirsOwe(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	old := cursor(t, q, "t")
	all := relayedChunks(rand.New(rand.NewPCG(5, 5)), 20)
	appendAll(t, q, all...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	list := succeeded(t, q, "t", "t/a", "t/b")
	if err := old.Await(ctx, []record.Durable{{Stream: all[0].Source.Stream, Seq: 1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v of who waits for the old one, want no answer", err)
	}
	for _, h := range list {
		s := all[0].Source.Stream
		if got := answered(t, h, s); got != (record.Durable{}) {
			t.Errorf("got %+v answered before anything is acknowledged", got)
		}
		takes(t, h)
		if got := answered(t, h, s); got != q.Mark(s) {
			t.Errorf("got %+v answered, want %+v", got, q.Mark(s))
		}
	}
}

// On a disk that is full heirs give out nothing, until it is known there that they are the heirs.
func TestHeirsOnAFullDisk(t *testing.T) {
	f := &faults{err: syscall.ENOSPC}
	o := options(fastDir(t))
	o.Storage = f.open
	q, _ := open(t, o)
	cursor(t, q, "t")
	appendAll(t, q, aimed("waits", "t"))
	f.mu.Lock()
	f.at, f.until, f.writes = f.n+1, 1<<30, true
	f.mu.Unlock()
	h := succeeded(t, q, "t", "t/a")[0]
	if _, _, err := h.read(1); !errors.Is(err, record.ErrFull) {
		t.Fatalf("got %v, want that the disk is full", err)
	}
	f.mu.Lock()
	f.at = 0
	f.mu.Unlock()
	gets(t, "with room", h, "waits")
	crash(q)
	q, _ = open(t, o)
	if got := q.Cursors(); !slices.Equal(got, []string{"t/a"}) {
		t.Errorf("got cursors %v, want the heir alone", got)
	}
}

// Nobody takes a place that is not free, or of one who is not there.
func TestSucceedRefuses(t *testing.T) {
	q, _ := open(t, options(t.TempDir()))
	cursor(t, q, "t")
	cursor(t, q, "t/a")
	for _, err := range []error{q.Succeed("t", q.Heir("t/b"), q.Heir("t/a")), q.Succeed("x", q.Heir("t/b")), q.Succeed("t")} {
		if !errors.Is(err, record.ErrRefused) {
			t.Errorf("got %v, want that it is refused", err)
		}
	}
	if got := q.Cursors(); !slices.Equal(got, []string{"t", "t/a"}) {
		t.Errorf("got cursors %v, want them as they were", got)
	}
}
