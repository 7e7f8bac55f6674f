package queue

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"ftfuse/internal/record"
)

// A cursor that becomes known while another one goes on gets all that was there when it began: what the other one passes meanwhile
// is neither given free nor removed, and has the epoch that it had.
func TestCursorIsMadeWhileAnotherGoesOn(t *testing.T) {
	const each, segments = 8, 5
	o := options(fastDir(t))
	o.SegmentEntries = each
	released := 0
	o.Release = func(list []record.Extent) { released += len(list) }
	var during func() // called when the second segment is opened
	o.Storage = func(path string) (storage.Storage, error) {
		if f := during; f != nil && strings.HasSuffix(path, segmentName(each+1)) {
			during = nil
			f()
		}
		return storage.OpenFile(path, false)
	}
	q, _ := open(t, o)
	a := cursor(t, q, "a")
	first := q.Epoch()
	for i := range each * segments {
		if i == each/2 {
			if _, err := q.BeginEpoch(); err != nil {
				t.Fatal(err)
			}
		}
		appendAll(t, q, spooled("r", 1, int64(10*i), 10))
	}
	_, last := drain(t, a, 1<<20)
	q.closeIdleReaders()
	passed := false
	during = func() {
		passed = true
		if err := a.Ack(each, record.Durable{}); err != nil {
			t.Error(err)
		}
		if err := q.commit(false); err != nil {
			t.Error(err)
		}
	}
	b := cursor(t, q, "b")
	if !passed {
		t.Fatal("the second segment was not opened while the cursor was made")
	}
	balanced(t, q)
	all, end := drain(t, b, 1<<20)
	wholeSequence(t, all, 1)
	for i := range all {
		if c := &all[i]; c.Gap != nil {
			t.Fatalf("got %+v in the place of sequence %d, want all that was there", c.Gap, c.Seq)
		} else if i < each/2 && c.Source.Epoch != first {
			t.Fatalf("sequence %d: got epoch %d, want %d", c.Seq, c.Source.Epoch, first)
		}
	}
	if len(all) != each*segments || released != 0 {
		t.Fatalf("got %d chunks with %d extents given free, want %d and none", len(all), released, each*segments)
	}
	for c, to := range map[*Cursor]uint64{a: last, b: end} {
		if err := c.Ack(to, record.Durable{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.commit(false); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	if released != each*segments || q.Held() != 0 {
		t.Errorf("got %d extents given free and %d bytes held, want %d and none", released, q.Held(), each*segments)
	}
}

// A cursor that cannot be committed comes to nothing: what another one passed while it was made is given free.
func TestCursorIsNotMade(t *testing.T) {
	const each, segments = 8, 3
	o := options(fastDir(t))
	o.SegmentEntries, o.RetryEvery = each, 1
	released := 0
	o.Release = func(list []record.Extent) { released += len(list) }
	f := &faults{until: 1 << 30, err: syscall.EIO}
	fail := func(at int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.at = at
	}
	var during func()
	o.Storage = func(path string) (storage.Storage, error) {
		if strings.HasSuffix(path, "meta") {
			return f.open(path)
		}
		if d := during; d != nil && strings.HasSuffix(path, segmentName(each+1)) {
			during = nil
			d()
		}
		return storage.OpenFile(path, false)
	}
	q, _ := open(t, o)
	a := cursor(t, q, "a")
	for i := range each * segments {
		appendAll(t, q, spooled("r", 1, int64(10*i), 10))
	}
	drain(t, a, 1<<20)
	q.closeIdleReaders()
	during = func() {
		if err := a.Ack(each, record.Durable{}); err != nil {
			t.Error(err)
		}
		fail(1)
	}
	if _, err := q.Cursor("b"); !errors.Is(err, syscall.EIO) || during != nil {
		t.Fatalf("got %v, want that the cursor cannot be committed", err)
	}
	fail(0)
	if err := q.commit(false); err != nil {
		t.Fatal(err)
	}
	if want := uint64(10 * each * (segments - 1)); released != each || uint64(q.Held()) != want {
		t.Errorf("got %d extents given free and %d bytes held, want %d and %d", released, q.Held(), each, want)
	}
	balanced(t, q)
}

// What is appended while a cursor is removed, and what the others pass of that, is given free.
func TestCursorIsRemovedWhileAnotherGoesOn(t *testing.T) {
	o := options(fastDir(t))
	o.SegmentEntries = 8
	released := 0
	o.Release = func(list []record.Extent) { released += len(list) }
	var during func()
	o.Storage = func(path string) (storage.Storage, error) {
		if f := during; f != nil && strings.HasSuffix(path, segmentName(1)) {
			during = nil
			f()
		}
		return storage.OpenFile(path, false)
	}
	q, _ := open(t, o)
	a := cursor(t, q, "a")
	cursor(t, q, "b")
	for i := range 20 {
		appendAll(t, q, spooled("r", 1, int64(10*i), 10))
	}
	ack := func() {
		if _, last := drain(t, a, 1<<20); last > 0 {
			if err := a.Ack(last, record.Durable{}); err != nil {
				t.Error(err)
			}
		}
	}
	ack()
	q.segs[0].closeReader() // b is in it
	during = func() {
		appendAll(t, q, spooled("r", 1, 1000, 10))
		ack()
	}
	if err := q.RemoveCursor("b"); err != nil {
		t.Fatal(err)
	}
	if during != nil {
		t.Fatal("the first segment was not opened while the cursor was removed")
	}
	if err := q.commit(false); err != nil {
		t.Fatal(err)
	}
	if released != 21 || q.Held() != 0 {
		t.Errorf("got %d extents given free and %d bytes held, want 21 and none", released, q.Held())
	}
}
