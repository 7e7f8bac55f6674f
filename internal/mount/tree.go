package mount

import (
	"strings"
	"sync"

	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
)

// kind is what a node stands for.
type kind uint8

const (
	kindDir      kind = iota
	kindCaptured      // a regular file whose content is the capture stage's
	kindStored        // a regular file whose content is the file below
	kindOther         // symbolic link, fifo, socket
)

const (
	rootID    = 1  // FUSE_ROOT_ID
	countBits = 24 // a node id is (entry id << countBits | counter)
)

// entry is one name: (parent, name). All nodes of a name point to it, so a rename moves them with one change,
// and a directory's rename moves what is below it. parent and name change under tree.mu, and only while
// Mount.ns is held for writing.
type entry struct {
	id       uint64
	parent   *entry // nil: the root
	name     string
	key      record.FileKey
	children map[string]*entry
	shared   *node  // the one node of a directory, stored or special file; nil for captured files
	nodes    int    // nodes that point here, and binds under way
	last     uint32 // counter of the newest node id
	gone     bool   // unlinked, removed or replaced: parent and name say where it was
}

// node is one inode as the kernel knows it. Captured files get a new one with every LOOKUP, because the kernel
// allows one backing file per inode (fs/fuse/passthrough.c) and each open needs its own.
type node struct {
	id      uint64
	at      *entry
	kind    kind
	file    *file        // kindCaptured only; the node holds a reference
	path    string       // kindCaptured only: where it was looked up. Who opens it meant that name, wherever it is by then
	st      unix.Statx_t // what the lookup saw, for a file whose last name is gone
	lookups uint64       // under tree.mu

	open nodeOpen
}

// tree holds what the kernel has looked up and not forgotten.
type tree struct {
	mu    sync.Mutex
	nodes map[uint64]*node
	root  *entry
	next  uint64 // newest entry id
	keep  *keeper
}

func newTree(key record.FileKey) *tree {
	t := &tree{nodes: map[uint64]*node{}}
	t.root = &entry{key: key, nodes: 1}
	n := &node{id: rootID, at: t.root, kind: kindDir, lookups: 1}
	t.root.shared, t.nodes[rootID] = n, n
	return t
}

func (t *tree) node(id uint64) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nodes[id]
}

func (t *tree) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.nodes)
}

// path returns e's path relative to the mount, "" for the root, and whether the name still stands.
func (t *tree) path(e *entry) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return e.path()
}

func (e *entry) path() (string, bool) {
	var names []string
	live := true
	for ; e.parent != nil; e = e.parent {
		names = append(names, e.name)
		live = live && !e.gone
	}
	for i, j := 0, len(names)-1; i < j; i, j = i+1, j-1 {
		names[i], names[j] = names[j], names[i]
	}
	return strings.Join(names, "/"), live
}

// bind returns the entry of name in parent; one that stands for another file is replaced. The entry stays until
// share, fresh or release follows.
func (t *tree) bind(parent *entry, name string, key record.FileKey) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := parent.children[name]; e != nil {
		if e.key == key {
			e.nodes++
			return e
		}
		t.drop(e)
	}
	t.next++
	e := &entry{id: t.next, parent: parent, name: name, key: key, nodes: 1}
	parent.add(e)
	t.keep.entry(e)
	return e
}

func (e *entry) add(child *entry) {
	if e.children == nil {
		e.children = map[string]*entry{}
	}
	e.children[child.name] = child
}

// drop marks e as gone. Called with t.mu held.
func (t *tree) drop(e *entry) {
	e.gone = true
	if e.parent.children[e.name] == e {
		delete(e.parent.children, e.name)
	}
}

// share returns the one node of e, which bind gave, with one more lookup for a request.
func (t *tree) share(unique uint64, e *entry, k kind, st *unix.Statx_t) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := e.shared; n != nil && n.kind == k {
		n.lookups++
		e.nodes--
		t.keep.node(unique, n)
		return n
	}
	n := t.add(e, k, nil)
	n.st = *st
	e.shared = n
	t.keep.node(unique, n)
	return n
}

// fresh returns a new node of e, which bind gave. It takes over the caller's reference to f.
func (t *tree) fresh(unique uint64, e *entry, f *file, path string, st *unix.Statx_t) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.add(e, kindCaptured, f)
	n.path, n.st = path, *st
	t.keep.node(unique, n)
	return n
}

// add makes a node with one lookup, which bind has counted in e.nodes. Called with t.mu held.
func (t *tree) add(e *entry, k kind, f *file) *node {
	id := uint64(0)
	for taken := true; taken; taken = t.nodes[id] != nil {
		e.last = (e.last + 1) & (1<<countBits - 1)
		id = e.id<<countBits | uint64(e.last)
	}
	n := &node{id: id, at: e, kind: k, file: f, lookups: 1}
	t.nodes[id] = n
	return n
}

// forget takes count lookups back. It returns the node when that was the last one.
func (t *tree) forget(id, count uint64) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[id]
	if n == nil || id == rootID {
		return nil
	}
	t.keep.forget(id, count)
	if n.lookups > count {
		n.lookups -= count
		return nil
	}
	n.lookups = 0
	delete(t.nodes, id)
	if n.at.shared == n {
		n.at.shared = nil
	}
	n.at.nodes--
	t.prune(n.at)
	return n
}

// prune removes e, and then its parents, when neither a node nor a name below needs them. Called with t.mu held.
func (t *tree) prune(e *entry) {
	for e.parent != nil && e.nodes == 0 && len(e.children) == 0 && !e.gone {
		delete(e.parent.children, e.name)
		e = e.parent
	}
}

// release takes bind back when no node follows.
func (t *tree) release(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.nodes--
	t.prune(e)
}

// remove forgets the name after it was removed below.
func (t *tree) remove(unique uint64, parent *entry, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep.remove(unique, parent, name)
	if e := parent.children[name]; e != nil {
		t.drop(e)
	}
}

// clear forgets everything but the root and returns the nodes there were.
func (t *tree) clear() []*node {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*node
	for id, n := range t.nodes {
		if id != rootID {
			all = append(all, n)
			delete(t.nodes, id)
		}
	}
	t.root.children = nil
	return all
}
