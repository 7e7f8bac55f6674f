package mount

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want fuse.Status
	}{
		{nil, fuse.OK},
		{fmt.Errorf("a: %w", record.ErrFull), fuse.Status(unix.ENOSPC)},
		{fmt.Errorf("a: %w", record.ErrGone), fuse.EIO},
		{record.ErrRefused, fuse.EPERM},
		{fmt.Errorf("a: %w", unix.EDQUOT), fuse.Status(unix.EDQUOT)},
		{errors.Join(io.ErrShortWrite, unix.EROFS), fuse.EROFS},
		{io.ErrUnexpectedEOF, fuse.EIO},
		{unix.Errno(0), fuse.EIO},
	} {
		if got := status(c.err); got != c.want {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	m := &Mount{}
	app := uint32(unix.O_WRONLY | unix.O_APPEND)
	send := record.Decision{Send: true}
	unit, write := send, send
	unit.Unit, write.Capture = record.Write, record.WriteMode
	check := func(d record.Decision, flags uint32, mode record.Mode, why string) {
		t.Helper()
		if got, reason := m.Choose(d, flags); got != mode || reason != why {
			t.Errorf("%+v %#x: got %v, %q, want %v, %q", d, flags, got, reason, mode, why)
		}
	}
	check(send, app, record.OpenMode, whyAppend)
	check(send, app|unix.O_CREAT|unix.O_SYNC|unix.O_TRUNC, record.OpenMode, whyAppend)
	check(send, app|unix.O_DIRECT, record.WriteMode, whyDirect)
	check(send, unix.O_WRONLY, record.WriteMode, whyFlags)
	check(send, unix.O_RDWR|unix.O_APPEND, record.WriteMode, whyFlags)
	check(send, unix.O_RDONLY, record.WriteMode, whyReader)
	check(unit, app, record.WriteMode, whyUnit)
	check(write, app, record.WriteMode, whyRule)
	check(record.Decision{}, app, record.Stored, whyStored)
	m.pass.disable(errOldKernel)
	m.pass.disable(errSwitchedOff)
	check(send, app, record.WriteMode, whyKernel+errOldKernel.Error())
}

func TestHandles(t *testing.T) {
	var tab handles
	if tab.get(0) != nil || tab.get(1) != nil || tab.get(1<<63) != nil || tab.take(5) != nil {
		t.Error("an empty table holds something")
	}
	var all []*handle
	for range 3000 {
		h := &handle{}
		if err := tab.put(0, h); err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for _, h := range all[i*750 : (i+1)*750] {
				old := h.fh
				if tab.get(old) != h || tab.take(old) != h || tab.get(old) != nil || tab.take(old) != nil {
					t.Error("a handle is lost or doubled")
				}
				n := &handle{}
				if err := tab.put(0, n); err != nil || n.fh == old || tab.get(old) != nil {
					t.Error("a number came back", err)
				}
			}
		}()
	}
	wg.Wait()
	if n := len(tab.all()); n != 3000 || tab.n.Load() != 3000 {
		t.Errorf("got %d handles, want 3000", n)
	}
	tab.free, tab.next = nil, maxPages*pageSize-1
	if err := tab.put(0, &handle{}); err != unix.ENFILE {
		t.Errorf("full: got %v, want ENFILE", err)
	}
}

// Random fcntl locks against a table with one owner per byte.
func TestLockRanges(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const size, owners = 24, 3
	type held struct{ read, write [owners]bool }
	var model [size]held
	l, key := newLocks(), record.FileKey{Ino: 1}
	for step := range 20000 {
		a, b := rnd.IntN(size), rnd.IntN(size)
		q := lock{start: uint64(min(a, b)), end: uint64(max(a, b)), owner: uint64(rnd.IntN(owners)), write: rnd.IntN(2) == 0, unlock: rnd.IntN(3) == 0}
		free := true
		for i := q.start; i <= q.end; i++ {
			for o := range owners {
				if uint64(o) != q.owner && (model[i].write[o] || q.write && model[i].read[o]) {
					free = false
				}
			}
		}
		err := l.set(key, &q)
		if want := free || q.unlock; (err == nil) != want {
			t.Fatalf("step %d %+v: got %v, want it granted: %v", step, q, err, want)
		}
		for i := q.start; err == nil && i <= q.end; i++ {
			model[i].read[q.owner], model[i].write[q.owner] = !q.unlock && !q.write, !q.unlock && q.write
		}
	}
	for o := range owners {
		l.flush(key, uint64(o))
	}
	if len(l.files) != 0 {
		t.Errorf("locks are left over: %+v", l.files[key])
	}
}

func TestLockBound(t *testing.T) {
	l, key := newLocks(), record.FileKey{}
	for i := range uint64(maxLocks + 10) {
		err := l.set(key, &lock{start: 2 * i, end: 2 * i, fh: 7})
		if i < maxLocks-2 && err != nil || i > maxLocks && err != unix.ENOLCK {
			t.Fatalf("lock %d: got %v", i, err)
		}
	}
	l.release(key, 7)
	if len(l.files) != 0 {
		t.Error("locks are left over")
	}
}

func TestInterrupts(t *testing.T) {
	w := waits{locks: map[uint64]chan struct{}{}, limit: 10}
	closed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	a := w.join(1)
	w.interrupt(2) // not seen yet
	if closed(a) || !closed(w.join(2)) {
		t.Error("an early interrupt is lost, or hits another")
	}
	w.interrupt(1)
	w.interrupt(1)
	if !closed(a) {
		t.Error("not interrupted")
	}
	for u := range uint64(1000) {
		w.interrupt(u)
	}
	if len(w.early) > maxEarly {
		t.Errorf("%d early interrupts are kept", len(w.early))
	}
	b := w.join(5000)
	w.close()
	if !closed(b) || !closed(w.join(5001)) {
		t.Error("close cancels all")
	}
	if !w.room(10) || w.room(1) {
		t.Error("room is not bounded")
	}
	w.leave(10)
	if !w.room(1) {
		t.Error("room does not come back")
	}
}

func TestTreeFollowsRenames(t *testing.T) {
	tr := newTree(record.FileKey{})
	key := func(n uint64) record.FileKey { return record.FileKey{Ino: n} }
	d := tr.share(0, tr.bind(tr.root, "d", key(1)), kindDir, &unix.Statx_t{})
	f := tr.fresh(0, tr.bind(d.at, "f", key(2)), nil, "d/f", &unix.Statx_t{})
	g := tr.fresh(0, tr.bind(d.at, "f", key(2)), nil, "d/f", &unix.Statx_t{})
	if f.id == g.id || f.at != g.at {
		t.Fatal("two lookups of a captured file: want two nodes of one name")
	}
	path := func(n *node) string { p, live := tr.path(n.at); return fmt.Sprint(p, live) }
	moved := tr.rename(0, tr.root, "d", tr.root, "e", false)
	if len(moved) != 1 || moved[0].path != "e/f" || path(f) != "e/ftrue" {
		t.Errorf("after a rename of the directory: %v, %s", moved, path(f))
	}
	other := tr.share(0, tr.bind(tr.root, "o", key(3)), kindStored, &unix.Statx_t{})
	tr.rename(0, d.at, "f", tr.root, "o", false)
	if path(g) != "otrue" || path(other) != "ofalse" {
		t.Errorf("over an existing name: %s, %s", path(g), path(other))
	}
	n := tr.fresh(0, tr.bind(tr.root, "o", key(9)), nil, "o", &unix.Statx_t{})
	if path(n) != "otrue" || path(f) != "ofalse" {
		t.Errorf("replaced below: %s, %s", path(n), path(f))
	}
	for _, x := range []*node{d, f, g, other, n} {
		if tr.forget(x.id, 1) != x || tr.node(x.id) != nil {
			t.Errorf("node %d is not forgotten", x.id)
		}
	}
	if tr.count() != 1 || len(tr.root.children) != 0 {
		t.Errorf("left over: %d nodes, %v", tr.count(), tr.root.children)
	}
	if tr.forget(rootID, 1) != nil || tr.node(rootID) == nil {
		t.Error("the root was forgotten")
	}
}
