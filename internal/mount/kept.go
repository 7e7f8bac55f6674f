package mount

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"ftfuse/internal/memo"
	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
)

// Kept is what an earlier process knew of a running mount.
type Kept struct {
	memo    *memo.Memo
	init    [2][]byte
	tree    *tree
	locks   *locks
	entries map[uint64]*entry
	handles map[uint64]*keptHandle
	owed    map[uint64]*promise
	given   uint64
	last    int32
	taken   uint64
	quiet   bool
}

// ReadKept reads what the process before this one has left in memory. It takes over f.
func ReadKept(f *os.File) (*Kept, error) {
	k := &Kept{tree: newTree(record.FileKey{}), locks: newLocks(), handles: map[uint64]*keptHandle{}, owed: map[uint64]*promise{}}
	k.entries = map[uint64]*entry{0: k.tree.root}
	mem, err := memo.Open(f, k.row)
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	k.memo = mem
	if k.init[0] == nil {
		_ = mem.Close()
		return nil, fmt.Errorf("take over: the memory of the running mount does not know how the connection began")
	}
	return k, nil
}

// Captured returns the numbers of the open and write captures whose handles live on.
func (k *Kept) Captured() []uint64 {
	var all []uint64
	for _, h := range k.handles {
		if h.Spool != 0 {
			all = append(all, h.Spool)
		}
		if h.Log != 0 {
			all = append(all, h.Log)
		}
	}
	slices.Sort(all)
	return all
}

// Close gives up what was read. Only for one that no Mount was opened with.
func (k *Kept) Close() error { return k.memo.Close() }

// reader of one row.
type rowReader struct {
	b   []byte
	bad bool
}

func (r *rowReader) num() uint64 {
	if len(r.b) < 8 {
		r.bad = true
		return 0
	}
	n := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

func (r *rowReader) text() string {
	n := r.num()
	if n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *rowReader) key() record.FileKey {
	return record.FileKey{Dev: r.num(), Ino: r.num(), Birth: int64(r.num())}
}

func (r *rowReader) json(v any) {
	if json.Unmarshal(r.b, v) != nil {
		r.bad = true
	}
}

// row replays one row.
func (k *Kept) row(kind byte, body []byte) error {
	r := &rowReader{b: body}
	k.quiet = kind == rowQuiet
	switch kind {
	case rowInit:
		k.init = [2][]byte{[]byte(r.text()), []byte(r.text())}
	case rowEntry:
		k.entry(r)
	case rowForget:
		k.tree.forget(r.num(), r.num())
	case rowRelease:
		fh := r.num()
		delete(k.handles, fh)
		k.locks.release(r.key(), fh)
	case rowLock:
		k.lock(r)
	case rowNumbers:
		k.tree.next, k.given, k.last, k.taken = r.num(), r.num(), int32(r.num()), r.num()
	case rowQuiet:
	default:
		k.ofRequest(kind, r)
	}
	if r.bad {
		return fmt.Errorf("row of kind %d and %d bytes cannot be read", kind, len(body))
	}
	return nil
}

// ofRequest replays a row that belongs to a request. Requests older than the row's floor had been answered then.
func (k *Kept) ofRequest(kind byte, r *rowReader) {
	unique, floor := r.num(), r.num()
	for u := range k.owed {
		if u < floor {
			delete(k.owed, u)
		}
	}
	p := &promise{}
	if unique != 0 {
		if k.owed[unique] == nil {
			k.owed[unique] = p
		}
		p = k.owed[unique]
	}
	switch kind {
	case rowNode:
		p.Nodes = append(p.Nodes, k.node(r))
	case rowRemove:
		if e := k.entries[r.num()]; e != nil {
			k.tree.remove(0, e, r.text())
		}
		p.Moved = true
	case rowRename:
		from, to, exchange := k.entries[r.num()], k.entries[r.num()], r.num() != 0
		oldName, newName := r.text(), r.text()
		if from != nil && to != nil {
			k.tree.rename(0, from, oldName, to, newName, exchange)
		}
		p.Moved = true
	case rowHandle:
		h := &keptHandle{}
		r.json(h)
		k.handles[h.FH] = h
		p.Handles = append(p.Handles, h.FH)
		k.given, k.last = max(k.given, h.FH>>slotBits), max(k.last, h.Backing)
	case rowIntent:
		p.Intent = &intent{}
		r.json(p.Intent)
	case rowAnswer:
		p.Answer = append([]byte(nil), r.b...)
	case rowOwed:
		p.Moved = r.num() != 0
		var both [2][]uint64
		r.json(&both)
		p.Nodes, p.Handles = both[0], both[1]
	default:
		r.bad = true
	}
}

func (k *Kept) entry(r *rowReader) {
	e := &entry{id: r.num()}
	parent := k.entries[r.num()]
	e.key, e.last, e.gone = r.key(), uint32(r.num()), r.num() != 0
	e.name = r.text()
	if parent == nil {
		r.bad = true
		return
	}
	e.parent = parent
	if !e.gone {
		if old := parent.children[e.name]; old != nil {
			k.tree.drop(old)
		}
		parent.add(e)
	}
	k.entries[e.id] = e
	k.tree.next = max(k.tree.next, e.id)
}

func (k *Kept) node(r *rowReader) uint64 {
	id, at, kd, lookups := r.num(), k.entries[r.num()], kind(r.num()), r.num()
	path, st := r.text(), r.text()
	n := k.tree.nodes[id]
	if n == nil {
		if at == nil || len(st) != int(unsafe.Sizeof(unix.Statx_t{})) {
			r.bad = true
			return id
		}
		n = &node{id: id, at: at, kind: kd, path: path}
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&n.st)), len(st)), st)
		k.tree.nodes[id] = n
		at.nodes++
		at.last = max(at.last, uint32(id&(1<<countBits-1)))
		if kd != kindCaptured {
			at.shared = n
		}
	}
	n.lookups = lookups
	return id
}

func (k *Kept) lock(r *rowReader) {
	key := r.key()
	var l keptLock
	r.json(&l)
	k.locks.with(key, func(f *fileLocks) {
		f.apply(&lock{flock: l.Flock, unlock: l.Unlock, write: l.Write, start: l.Start, end: l.End, owner: l.Owner,
			pid: l.PID, born: l.Born, fh: l.FH})
	})
}

// settle takes back what was done for requests whose answer was not decided: they will be done anew. It returns the
// handles that end with it.
func (k *Kept) settle() []*keptHandle {
	var over []*keptHandle
	for _, p := range k.owed {
		if p.Answer != nil {
			continue
		}
		for _, fh := range p.Handles {
			if h := k.handles[fh]; h != nil {
				over = append(over, h)
				delete(k.handles, fh)
				if n := k.tree.nodes[h.Node]; n != nil {
					k.locks.release(n.at.key, fh)
				}
			}
		}
		for _, id := range p.Nodes {
			k.tree.forget(id, 1)
		}
		p.Nodes, p.Handles = nil, nil
	}
	for _, e := range k.entries {
		if e.parent != nil && e.nodes == 0 && !e.gone {
			k.tree.prune(e)
		}
	}
	return over
}
