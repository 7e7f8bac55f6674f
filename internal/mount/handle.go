package mount

import (
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
)

// handle is one answered OPEN, CREATE or OPENDIR, until its RELEASE.
type handle struct {
	fh     uint64
	node   *node
	flags  uint32 // of open(2)
	policy record.Decision

	spool Spool // open capture
	log   Log   // write capture
	fd    int   // a stored file's or a directory's descriptor below; -1 else
	held  bool  // the handle holds node.file's descriptor below; not if the last name was gone before the open

	backing int32          // backing id of the node when it was opened, 0 none
	opener  *record.Writer // who opened it, where it writes
	path    string         // by which it was opened, where it writes

	dir    sync.Mutex // held over one READDIR
	dirPos int64      // under dir: offset of the next getdents64

	who atomic.Pointer[seen]
}

// seen remembers who wrote last through a handle.
type seen struct {
	tid, uid, gid uint32
	until         time.Time
	w             *record.Writer
}

// seenFor bounds how long a thread's identity is taken from its handle. The identifier checks start times; within
// this time a thread id cannot come round again.
const seenFor = 200 * time.Millisecond

// writer returns who calls. It allocates only when the caller is another or has not been checked lately.
func (h *handle) writer(id Identifier, tid, uid, gid uint32) *record.Writer {
	now := time.Now()
	if s := h.who.Load(); s != nil && s.tid == tid && s.uid == uid && s.gid == gid && now.Before(s.until) {
		return s.w
	}
	w := id.Identify(record.Thread, tid, uid, gid)
	h.who.Store(&seen{tid, uid, gid, now.Add(seenFor), w})
	return w
}

const (
	pageBits = 10
	pageSize = 1 << pageBits
	maxPages = 1024 // so at most 1,048,575 open files
	slotBits = 20
)

type page [pageSize]atomic.Pointer[handle]

// handles is the table of open files. get takes no lock: it is in the path of every write. A handle's number is its
// slot and a counter above it: numbers do not come back, so that what is done late for one handle cannot hit another.
type handles struct {
	pages [maxPages]atomic.Pointer[page]
	n     atomic.Int64 // handles in the table

	mu    sync.Mutex
	free  []uint32 // slots given back
	next  uint32   // newest slot used; 0 is not, because fh 0 means none
	given uint64
	keep  *keeper
}

func (t *handles) slot(fh uint64) *atomic.Pointer[handle] {
	slot := fh & (1<<slotBits - 1)
	p := t.pages[slot>>pageBits].Load()
	if p == nil {
		return nil
	}
	return &p[slot&(pageSize-1)]
}

func (t *handles) get(fh uint64) *handle {
	s := t.slot(fh)
	if s == nil {
		return nil
	}
	if h := s.Load(); h != nil && h.fh == fh {
		return h
	}
	return nil
}

// put gives h, opened by a request, a number; ENFILE when the table is full.
func (t *handles) put(unique uint64, h *handle) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var slot uint32
	switch {
	case len(t.free) > 0:
		slot = t.free[len(t.free)-1]
		t.free = t.free[:len(t.free)-1]
	case t.next+1 < maxPages*pageSize:
		t.next++
		slot = t.next
	default:
		return unix.ENFILE
	}
	t.given++
	h.fh = t.given<<slotBits | uint64(slot)
	if t.pages[slot>>pageBits].Load() == nil {
		t.pages[slot>>pageBits].Store(new(page))
	}
	t.slot(h.fh).Store(h)
	t.n.Add(1)
	t.keep.handle(unique, h)
	return nil
}

// take removes the handle and returns it; nil if there is none.
func (t *handles) take(fh uint64) *handle {
	h := t.get(fh)
	if h == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.slot(fh).CompareAndSwap(h, nil) {
		return nil
	}
	t.free = append(t.free, uint32(fh&(1<<slotBits-1)))
	t.n.Add(-1)
	t.keep.release(h)
	return h
}

// leave ends the waiting of writes for room.
func (t *handles) leave() {
	for _, h := range t.all() {
		if h.log != nil {
			h.log.Leave()
		}
	}
}

// all returns every handle.
func (t *handles) all() []*handle {
	var all []*handle
	for i := range t.pages {
		p := t.pages[i].Load()
		for j := 0; p != nil && j < pageSize; j++ {
			if h := p[j].Load(); h != nil {
				all = append(all, h)
			}
		}
	}
	return all
}
