// Package identify tells who is writing, by reading /proc while the writer waits for its answer.
package identify

import (
	"bytes"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// DefaultSize is how many threads are remembered when Options.Size is 0.
const DefaultSize = 1024

// shards is a power of two; a thread's entry is always in shard tid%shards.
const shards = 16

// Options says where to read and how much to remember.
type Options struct {
	Root string // the proc file system, "/proc" if empty
	Size int    // threads remembered, each costs one descriptor; DefaultSize if 0, at least 16
}

// Stats counts since New.
type Stats struct {
	Hits    uint64 // answered from the cache
	Misses  uint64 // read from /proc
	Unknown uint64 // the thread could not be seen or had gone
}

// Reader identifies writers and remembers them. It is safe for concurrent use and starts no goroutine.
//
// An entry is kept with an open descriptor of the thread's comm file. Such a descriptor belongs to the kernel's pid
// object and not to the number: once the thread has ended, reading it fails with ESRCH for good, also when the number
// has been given to another thread (fs/proc/base.c, comm_show). So one pread of some 0.7 us proves that the entry is
// the thread that waits now, where opening and parsing /proc/TID/stat would cost 8 us. It also shows an exec, because
// exec sets comm. What it cannot show is an exec of a program with the same name, which Refresh sees, and a move to
// another cgroup without an exec.
type Reader struct {
	root   string
	shards [shards]shard

	unknownMu sync.Mutex
	unknown   map[[2]uint32]*record.Writer // by uid and gid, guarded by unknownMu; at most maxUnknown

	hits, misses, lost atomic.Uint64
}

const maxUnknown = 1024

// New returns a Reader with an empty cache.
func New(o Options) *Reader {
	if o.Root == "" {
		o.Root = "/proc"
	}
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	r := &Reader{root: o.Root, unknown: map[[2]uint32]*record.Writer{}}
	for i := range r.shards {
		r.shards[i].init(max(1, o.Size/shards))
	}
	return r
}

// Identify returns the writer behind a request of thread tid with the file-system ids uid and gid. The thread must be
// waiting for the answer to the request, or have been killed. It never fails: what cannot be seen (tid 0 is a
// thread of another pid namespace, a thread that was killed while it waited is gone) is of kind Unknown.
//
// The same thread with the same ids gets the same pointer as long as its entry is remembered and it does not exec.
func (r *Reader) Identify(kind record.WriterKind, tid, uid, gid uint32) *record.Writer {
	if tid == 0 {
		return r.nobody(uid, gid)
	}
	s := &r.shards[tid%shards]
	if w := s.lookup(tid, kind, uid, gid); w != nil {
		r.hits.Add(1)
		return w
	}
	r.misses.Add(1)
	e, ok := r.load(tid)
	if !ok || !e.madeBy(uid) {
		e.close()
		return r.nobody(uid, gid)
	}
	return s.put(e, kind, uid, gid)
}

// Refresh reads a writer's program again, for the case that it was seen before its exec: of `prog >> file` the opener
// is the shell. If the thread has ended, its number belongs to another now, or nothing has changed, it returns w.
// A program that execs from a thread other than its first takes over the first thread's id; such a w stays as it is.
func (r *Reader) Refresh(w *record.Writer) *record.Writer {
	if w.TID == 0 || w.Start == 0 {
		return w
	}
	e, ok := r.load(w.TID)
	if !ok || e.start != w.Start {
		e.close()
		return w
	}
	if e.exe == "" { // it is ending: its program is gone already (do_exit), and its groups of cgroup v1 too
		if e.comm == w.Comm {
			e.close()
			return w
		}
		if e.unit == "" && e.container == "" {
			e.unit, e.container = w.Unit, w.Container
		}
	}
	if n := r.shards[w.TID%shards].put(e, w.Kind, w.UID, w.GID); *n != *w {
		return n
	}
	return w
}

// Stats returns the counters.
func (r *Reader) Stats() Stats {
	return Stats{Hits: r.hits.Load(), Misses: r.misses.Load(), Unknown: r.lost.Load()}
}

// Close gives all descriptors back. The Reader may be used afterwards, with an empty cache.
func (r *Reader) Close() {
	for i := range r.shards {
		r.shards[i].clear()
	}
}

// nobody returns the shared writer of kind Unknown, so that a container's writes do not each make a new one.
func (r *Reader) nobody(uid, gid uint32) *record.Writer {
	r.lost.Add(1)
	r.unknownMu.Lock()
	defer r.unknownMu.Unlock()
	key := [2]uint32{uid, gid}
	w := r.unknown[key]
	if w == nil {
		if len(r.unknown) >= maxUnknown {
			clear(r.unknown)
		}
		w = &record.Writer{Kind: record.Unknown, UID: uid, GID: gid}
		r.unknown[key] = w
	}
	return w
}

// entry is one thread as it was read. It changes only in writers, under the lock of its shard.
type entry struct {
	tid       uint32
	pid       uint32
	start     uint64
	fsuid     uint32
	name      []byte // comm of the thread itself, as its comm file held it
	comm      string // comm of the thread group
	exe       string
	unit      string
	container string
	fd        int // the thread's comm file; -1 when closed or never opened

	writers [4]*record.Writer // what was handed out: a thread is seldom seen in more than one way
	turn    int               // which of writers is replaced next
	used    bool              // since the hand passed
}

// alive reports whether the entry's thread still exists and has not changed its name.
func (e *entry) alive() bool {
	var buf [64]byte
	n, err := unix.Pread(e.fd, buf[:], 0)
	return err == nil && bytes.Equal(buf[:n], e.name)
}

// overflow is what /proc and requests show of an id that the user namespace of the reader does not map.
const overflow = 65534

// madeBy reports whether the thread can be the one that made a request with uid. It guards against a number given
// anew to another user's process after the writer was killed; the ids of a thread that waits cannot change.
func (e *entry) madeBy(uid uint32) bool {
	return e.fsuid == uid || e.fsuid == overflow || uid == overflow
}

func (e *entry) close() {
	if e.fd >= 0 {
		_ = unix.Close(e.fd) // a proc file: nothing is written back, nothing can be lost
	}
	e.fd = -1
}

// writer returns the entry's writer for a kind and ids, the one handed out before if there is one.
func (e *entry) writer(kind record.WriterKind, uid, gid uint32) *record.Writer {
	for _, w := range e.writers {
		if w != nil && w.Kind == kind && w.UID == uid && w.GID == gid {
			return w
		}
	}
	w := &record.Writer{
		Kind: kind, PID: e.pid, TID: e.tid, UID: uid, GID: gid, Start: e.start,
		Comm: e.comm, Exe: e.exe, Unit: e.unit, Container: e.container,
	}
	e.writers[e.turn] = w
	e.turn = (e.turn + 1) % len(e.writers)
	return w
}
