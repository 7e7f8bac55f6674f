package mount

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"ftfuse/internal/memo"
	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// keeping is a tree with handles and locks that are written down.
type keeping struct {
	m       *Mount
	unique  uint64
	handles []*handle
	nodes   []*node
}

func newKeeping(t *rapid.T) *keeping {
	k := &keeping{m: &Mount{}}
	mem, err := memo.New("test")
	if err != nil {
		t.Fatal(err)
	}
	m := k.m
	m.tree, m.locks, m.init = newTree(record.FileKey{}), newLocks(), [2][]byte{{1}, {2}}
	m.keeper.memo, m.keeper.owed = mem, map[uint64]*promise{}
	m.tree.keep, m.locks.keep, m.handles.keep = &m.keeper, &m.keeper, &m.keeper
	m.keeper.alive.Store(true)
	if err := m.rewrite(); err != nil {
		t.Fatal(err)
	}
	return k
}

// request does something as a request does, and leaves it answered, decided, or undecided.
func (k *keeping) request(t *rapid.T, do func(unique uint64)) {
	k.unique += 2
	do(k.unique)
	k.m.keeper.answer(1, k.unique, []byte("an answer"))
	k.m.keeper.answered(k.unique)
}

func (k *keeping) dir(t *rapid.T) *entry {
	dirs := []*entry{k.m.tree.root}
	for _, n := range k.nodes {
		if n.kind == kindDir && !n.at.gone {
			dirs = append(dirs, n.at)
		}
	}
	return rapid.SampledFrom(dirs).Draw(t, "dir")
}

func (k *keeping) lookup(t *rapid.T) {
	parent, name := k.dir(t), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	kd := rapid.SampledFrom([]kind{kindDir, kindCaptured, kindStored}).Draw(t, "kind")
	key := record.FileKey{Ino: uint64(rapid.IntRange(1, 4).Draw(t, "inode")), Birth: int64(kd)}
	k.request(t, func(u uint64) {
		e := k.m.tree.bind(parent, name, key)
		var n *node
		if kd == kindCaptured {
			n = k.m.tree.fresh(u, e, nil, "path", &unix.Statx_t{})
		} else {
			n = k.m.tree.share(u, e, kd, &unix.Statx_t{})
		}
		if !slices.Contains(k.nodes, n) {
			k.nodes = append(k.nodes, n)
		}
	})
}

func (k *keeping) forget(t *rapid.T) {
	if len(k.nodes) == 0 {
		return
	}
	n := rapid.SampledFrom(k.nodes).Draw(t, "node")
	if slices.ContainsFunc(k.handles, func(h *handle) bool { return h.node == n }) {
		return // the kernel holds it
	}
	if k.m.tree.forget(n.id, uint64(rapid.IntRange(1, int(n.lookups)).Draw(t, "count"))) != nil {
		k.nodes = slices.DeleteFunc(k.nodes, func(o *node) bool { return o == n })
	}
}

func (k *keeping) open(t *rapid.T) {
	if len(k.nodes) == 0 {
		return
	}
	h := &handle{node: rapid.SampledFrom(k.nodes).Draw(t, "node"), flags: 5, backing: int32(rapid.IntRange(0, 9).Draw(t, "backing"))}
	k.request(t, func(u uint64) {
		if err := k.m.handles.put(u, h); err != nil {
			t.Fatal(err)
		}
	})
	k.handles = append(k.handles, h)
}

func (k *keeping) close(t *rapid.T) {
	if len(k.handles) == 0 {
		return
	}
	i := rapid.IntRange(0, len(k.handles)-1).Draw(t, "handle")
	h := k.m.handles.take(k.handles[i].fh)
	k.m.locks.release(h.node.at.key, h.fh)
	k.handles = slices.Delete(k.handles, i, i+1)
}

func (k *keeping) lock(t *rapid.T) {
	if len(k.handles) == 0 {
		return
	}
	h := rapid.SampledFrom(k.handles).Draw(t, "handle")
	start := uint64(rapid.IntRange(0, 9).Draw(t, "start"))
	l := &lock{flock: rapid.Bool().Draw(t, "flock"), unlock: rapid.Bool().Draw(t, "unlock"),
		write: rapid.Bool().Draw(t, "write"), start: start, end: start + 3, owner: uint64(rapid.IntRange(1, 3).Draw(t, "owner")), fh: h.fh}
	if l.flock {
		l.start, l.end = 0, math.MaxInt64 // flock(2) knows no ranges
	}
	_ = k.m.locks.set(h.node.at.key, l)
}

func (k *keeping) remove(t *rapid.T) {
	parent, name := k.dir(t), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	k.request(t, func(u uint64) { k.m.tree.remove(u, parent, name) })
}

func (k *keeping) rename(t *rapid.T) {
	from, to := k.dir(t), k.dir(t)
	oldName, newName := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "old"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "new")
	if e := from.children[oldName]; e == nil || within(to, e) || within(from, to.children[newName]) {
		return // rename(2) refuses it
	}
	k.request(t, func(u uint64) {
		k.m.tree.rename(u, from, oldName, to, newName, rapid.Bool().Draw(t, "exchange") && to.children[newName] != nil)
	})
}

func within(e, top *entry) bool {
	for ; e != nil; e = e.parent {
		if e == top {
			return true
		}
	}
	return false
}

// picture is all that the next process must know.
func picture(tr *tree, handles []string, l *locks) string {
	var all []string
	for _, n := range tr.nodes {
		path, live := n.at.path()
		all = append(all, fmt.Sprintf("node %x kind %d lookups %d at %s %v key %v", n.id, n.kind, n.lookups, path, live, n.at.key))
	}
	for key, f := range l.files {
		for _, o := range f.held {
			all = append(all, fmt.Sprintf("lock %v %+v", key, o))
		}
	}
	all = append(all, handles...)
	slices.Sort(all)
	return fmt.Sprintf("%q", all)
}

// What is read back is what was kept, after any history and at any point of it, also when it was written anew between.
func TestKeptIsWhatWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKeeping(t)
		defer k.m.keeper.memo.Close()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			rapid.SampledFrom([]func(*rapid.T){k.lookup, k.lookup, k.forget, k.open, k.close, k.lock, k.remove, k.rename}).Draw(t, "step")(t)
			if rapid.IntRange(0, 19).Draw(t, "anew") == 0 {
				if err := k.m.rewrite(); err != nil {
					t.Fatal(err)
				}
			}
		}
		var handles []string
		for _, h := range k.handles {
			handles = append(handles, fmt.Sprintf("handle %x node %x backing %d", h.fh, h.node.id, h.backing))
		}
		want := picture(k.m.tree, handles, k.m.locks)

		fd, err := unix.Dup(int(k.m.Memory().Fd()))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := ReadKept(os.NewFile(uintptr(fd), "memory"))
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		kept.settle()
		handles = nil
		for _, h := range kept.handles {
			handles = append(handles, fmt.Sprintf("handle %x node %x backing %d", h.FH, h.Node, h.Backing))
		}
		if got := picture(kept.tree, handles, kept.locks); got != want {
			t.Fatalf("read back:\n%s\nkept:\n%s", got, want)
		}
	})
}
