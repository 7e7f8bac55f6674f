package mount

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"ftfuse/internal/memo"
	"ftfuse/internal/notice"
	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The rows of a running mount's memory: what the kernel has been told, so that another process can go on. Numbers
// are 64 bits, little-endian, then come texts, each behind its length. docs/takeover.md says why each is there.
const (
	rowInit    = 1  // INIT: request, answer
	rowEntry   = 2  // id, parent, device, inode, birth, last counter, gone; name
	rowNode    = 3  // unique, floor, id, entry, kind, lookups; path, statx
	rowForget  = 4  // id, count
	rowRemove  = 5  // unique, floor, parent; name
	rowRename  = 6  // unique, floor, from, to, exchange; old name, new name
	rowHandle  = 7  // unique, floor; JSON of a keptHandle
	rowRelease = 8  // fh, device, inode, birth
	rowLock    = 9  // device, inode, birth; JSON of a keptLock
	rowIntent  = 10 // unique, floor; JSON of an intent
	rowAnswer  = 11 // unique, floor; what the kernel is told
	rowNumbers = 12 // newest entry, handles given, newest backing id, take-overs
	rowOwed    = 13 // unique, floor, moved; nodes, handles: numbers
	rowQuiet   = 14 // an orderly end: nothing is read and unanswered
)

// resendBit marks a request that the kernel sends again (FUSE_UNIQUE_RESEND). The answer must carry it too.
const resendBit = 1 << 63

// keeper writes down what the next process must know. The zero keeper, and none, keep nothing.
type keeper struct {
	log *slog.Logger

	alive atomic.Bool // something is kept

	mu    sync.Mutex // taken after tree.mu, handles.mu and locks.mu
	memo  *memo.Memo
	owed  map[uint64]*promise
	row   []byte
	last  int32  // newest backing id
	taken uint64 // processes that have served this connection before this one
}

// promise is a request that has changed something and whose answer the kernel may not have.
type promise struct {
	Intent  *intent
	Nodes   []uint64 // with one lookup each for this request
	Handles []uint64
	Moved   bool   // a name has been removed or renamed for it
	Answer  []byte // decided, nil: not yet
}

// intent says what an operation that cannot be done twice was about to do.
type intent struct {
	Src, Dst record.FileKey // of the name that goes, and of the one that it replaces
	Last     bool           // the file whose name is taken away has no other
}

// gone returns the file that has lost its last name by it.
func (i *intent) gone() (record.FileKey, bool) {
	if i.Dst != (record.FileKey{}) {
		return i.Dst, i.Last
	}
	return i.Src, i.Last
}

// keptHandle is what is known of an answered open.
type keptHandle struct {
	FH, Node uint64
	Flags    uint32
	Spool    uint64 `json:",omitempty"` // number of the open capture
	Log      uint64 `json:",omitempty"` // number of the write capture
	Backing  int32  `json:",omitempty"`
	Policy   record.Decision
	Writer   *record.Writer `json:",omitempty"`
	Path     []byte         `json:",omitempty"` // by which it was opened
	Comm     []byte         `json:",omitempty"` // Writer.Comm and Exe again: JSON strings cannot hold every byte
	Exe      []byte         `json:",omitempty"`
}

// keptLock is a lock as it was set, or given back.
type keptLock struct {
	Flock, Unlock, Write bool
	Start, End, Owner    uint64
	PID                  uint32
	Born, FH             uint64
}

func (k *keeper) on() bool { return k != nil && k.alive.Load() }

// begin starts a row. Called with mu held.
func (k *keeper) begin(nums ...uint64) {
	k.row = k.row[:0]
	for _, n := range nums {
		k.row = binary.LittleEndian.AppendUint64(k.row, n)
	}
}

func (k *keeper) text(s string) {
	k.row = binary.LittleEndian.AppendUint64(k.row, uint64(len(s)))
	k.row = append(k.row, s...)
}

// end writes the row. When there is no room, this process goes on and the next one cannot. Called with mu held.
func (k *keeper) end(kind byte) {
	if err := k.memo.Append(kind, k.row); err != nil {
		k.log.Error("the mount cannot be taken over any more", notice.MountNotKept, "error", err)
		k.alive.Store(false)
	}
}

// promise returns what is known of a request. Called with mu held.
func (k *keeper) promise(unique uint64) *promise {
	p := k.owed[unique&^resendBit]
	if p == nil {
		p = &promise{}
		k.owed[unique&^resendBit] = p
	}
	return p
}

// floor returns the oldest request that may be unanswered. Called with mu held.
func (k *keeper) floor() uint64 {
	low := uint64(math.MaxUint64)
	for u := range k.owed {
		low = min(low, u)
	}
	return low
}

// of begins a row that belongs to a request. Called with mu held.
func (k *keeper) of(unique uint64, nums ...uint64) {
	k.begin(unique&^resendBit, k.floor())
	for _, n := range nums {
		k.row = binary.LittleEndian.AppendUint64(k.row, n)
	}
}

// entry notes a name. Called with tree.mu held.
func (k *keeper) entry(e *entry) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.putEntry(e)
	k.end(rowEntry)
}

// putEntry begins a row for a name. One that was pruned stands only in the paths of names that are gone, and does so as
// one that is gone itself: its place may have been given to another.
func (k *keeper) putEntry(e *entry) {
	gone := e.gone || e.parent.children[e.name] != e
	k.begin(e.id, e.parent.id, e.key.Dev, e.key.Ino, uint64(e.key.Birth), uint64(e.last), number(gone))
	k.text(e.name)
}

func number(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// node notes that a request has looked n up once more. Called with tree.mu held.
func (k *keeper) node(unique uint64, n *node) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.promise(unique)
	p.Nodes = append(p.Nodes, n.id)
	k.putNode(unique, n)
	k.end(rowNode)
}

func (k *keeper) putNode(unique uint64, n *node) {
	k.of(unique, n.id, n.at.id, uint64(n.kind), n.lookups)
	k.text(n.path)
	k.text(string(unsafe.Slice((*byte)(unsafe.Pointer(&n.st)), unsafe.Sizeof(n.st))))
}

// forget notes lookups that the kernel has given back. Called with tree.mu held.
func (k *keeper) forget(id, count uint64) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begin(id, count)
	k.end(rowForget)
}

// remove notes that a name is gone. Called with tree.mu held.
func (k *keeper) remove(unique uint64, parent *entry, name string) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.promise(unique).Moved = true
	k.of(unique, parent.id)
	k.text(name)
	k.end(rowRemove)
}

// rename notes that a name has moved. Called with tree.mu held.
func (k *keeper) rename(unique uint64, from *entry, oldName string, to *entry, newName string, exchange bool) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.promise(unique).Moved = true
	k.of(unique, from.id, to.id, number(exchange))
	k.text(oldName)
	k.text(newName)
	k.end(rowRename)
}

// handle notes an open. Called with handles.mu held.
func (k *keeper) handle(unique uint64, h *handle) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.promise(unique)
	p.Handles = append(p.Handles, h.fh)
	k.last = max(k.last, h.backing)
	k.of(unique)
	k.putJSON(h.kept())
	k.end(rowHandle)
}

func (k *keeper) putJSON(v any) {
	b, err := json.Marshal(v)
	if err != nil { // structs of numbers and bytes always encode
		panic(err)
	}
	k.row = append(k.row, b...)
}

// release notes the end of an open. Called with handles.mu held.
func (k *keeper) release(h *handle) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key := h.node.at.key
	k.begin(h.fh, key.Dev, key.Ino, uint64(key.Birth))
	k.end(rowRelease)
}

// lock notes a lock that was set or given back. Called with locks.mu held.
func (k *keeper) lock(key record.FileKey, l *lock) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.putLock(key, l)
	k.end(rowLock)
}

func (k *keeper) putLock(key record.FileKey, l *lock) {
	k.begin(key.Dev, key.Ino, uint64(key.Birth))
	k.putJSON(keptLock{l.flock, l.unlock, l.write, l.start, l.end, l.owner, l.pid, l.born, l.fh})
}

// intend notes what is about to be done for a request.
func (k *keeper) intend(unique uint64, i intent) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.promise(unique).Intent = &i
	k.of(unique)
	k.putJSON(i)
	k.end(rowIntent)
}

// told are the operations whose answers make something known to the kernel, so that it must hear the same again.
var told = map[uint32]bool{1: true, 6: true, 8: true, 9: true, 13: true, 14: true, 27: true, 35: true}

// answer notes what a request will be told. After it the request is not done again.
func (k *keeper) answer(opcode uint32, unique uint64, out []byte) {
	if !k.on() || !told[opcode] || len(out) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.owed[unique&^resendBit]
	if p == nil { // an error, and nothing changed
		return
	}
	p.Answer = append([]byte(nil), out...)
	k.of(unique)
	k.row = append(k.row, out...)
	k.end(rowAnswer)
}

// answered forgets a request that the kernel has been answered.
func (k *keeper) answered(unique uint64) {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.owed, unique&^resendBit)
}

// again returns what an earlier process did for a request that is sent again; nil: nothing, or it is a new one.
func (k *keeper) again(unique uint64) *promise {
	if unique&resendBit == 0 || !k.on() {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.owed[unique&^resendBit]
}

// keep makes the memory of a new connection, with the INIT that it began with.
func (m *Mount) keep(in, out []byte) error {
	mem, err := memo.New("ftfuse-" + m.o.Name)
	if err != nil {
		return err
	}
	k := &m.keeper
	k.memo, k.owed = mem, map[uint64]*promise{}
	m.init = [2][]byte{in, out}
	k.begin()
	k.text(string(in))
	k.text(string(out))
	if err := mem.Append(rowInit, k.row); err != nil {
		return err
	}
	k.alive.Store(true)
	return nil
}

func (k *keeper) takeOvers() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.taken
}

// settled forgets the requests of earlier processes: all that were not answered have been sent again and done.
func (k *keeper) settled() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.owed)
}

// Memory returns the descriptor of what the next process needs beside those of the connection and of the directory
// below; nil when this connection cannot be taken over.
func (m *Mount) Memory() *os.File {
	if m.keeper.memo == nil {
		return nil
	}
	return m.keeper.memo.File()
}

// compact writes the memory anew when most of it is history.
func (m *Mount) compact() {
	k := &m.keeper
	if !k.on() || !k.memo.Long() {
		return
	}
	if err := m.rewrite(); err != nil {
		k.log.Error("memory of the running mount cannot be made shorter", "error", err)
	}
}

// rewrite puts what holds now in the place of all rows.
func (m *Mount) rewrite() error {
	m.tree.mu.Lock()
	defer m.tree.mu.Unlock()
	m.handles.mu.Lock()
	defer m.handles.mu.Unlock()
	m.locks.mu.Lock()
	defer m.locks.mu.Unlock()
	k := &m.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.memo.Replace(func(add func(byte, []byte) error) error {
		w := &rewriter{k: k, add: add, done: map[*entry]bool{m.tree.root: true}}
		w.put(rowInit, func() { k.begin(); k.text(string(m.init[0])); k.text(string(m.init[1])) })
		w.put(rowNumbers, func() { k.begin(m.tree.next, m.handles.given, uint64(k.last), k.taken) })
		w.tree(m.tree)
		for _, h := range m.handles.all() {
			w.put(rowHandle, func() { k.of(0); k.putJSON(h.kept()) })
		}
		for key, f := range m.locks.files {
			for i := range f.held {
				w.put(rowLock, func() { k.putLock(key, &f.held[i]) })
			}
		}
		w.owed()
		return w.err
	})
}

// rewriter writes rows; after the first error it does nothing.
type rewriter struct {
	k    *keeper
	add  func(kind byte, body []byte) error
	done map[*entry]bool
	err  error
}

func (w *rewriter) put(kind byte, fill func()) {
	if w.err == nil {
		fill()
		w.err = w.add(kind, w.k.row)
	}
}

func (w *rewriter) tree(t *tree) {
	for _, n := range t.nodes {
		w.entry(n.at)
	}
	for _, n := range t.nodes {
		if n.id != rootID {
			w.put(rowNode, func() { w.k.putNode(0, n) })
		}
	}
}

// entry writes a name behind those that it stands in.
func (w *rewriter) entry(e *entry) {
	if w.done[e] {
		return
	}
	w.entry(e.parent)
	w.done[e] = true
	w.put(rowEntry, func() { w.k.putEntry(e) })
}

func (w *rewriter) owed() {
	for u, p := range w.k.owed {
		if p.Intent != nil {
			w.put(rowIntent, func() { w.k.of(u); w.k.putJSON(p.Intent) })
		}
		w.put(rowOwed, func() { w.k.of(u, number(p.Moved)); w.k.putJSON([2][]uint64{p.Nodes, p.Handles}) })
		if p.Answer != nil {
			w.put(rowAnswer, func() { w.k.of(u); w.k.row = append(w.k.row, p.Answer...) })
		}
	}
}

// quiet notes that everything that was read has been answered.
func (k *keeper) quiet() {
	if !k.on() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begin()
	k.end(rowQuiet)
}

// errNoResend says why a connection was given up.
var errNoResend = fmt.Errorf("the kernel cannot send again what the process that died had read (Linux 6.9): %w", unix.ENOTRECOVERABLE)

// canResend reports whether the kernel that sent this INIT knows FUSE_NOTIFY_RESEND.
func canResend(in []byte) bool { return !oldKernel && initIn(in).Flags64()&fuse.CAP_HAS_RESEND != 0 }
