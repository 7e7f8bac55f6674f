package mount

import "ftfuse/internal/record"

// moved is one file with the path that it has after a rename.
type moved struct {
	key  record.FileKey
	path string
}

// rename makes the tree follow a rename that was done below, and returns the known files that have new paths.
// Mount.ns is held for writing.
func (t *tree) rename(unique uint64, from *entry, oldName string, to *entry, newName string, exchange bool) []moved {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep.rename(unique, from, oldName, to, newName, exchange)
	src, dst := from.children[oldName], to.children[newName]
	if src == dst && src != nil {
		return nil
	}
	if src != nil {
		delete(from.children, oldName)
	}
	if dst != nil {
		delete(to.children, newName)
	}
	var all []moved
	if src != nil {
		src.parent, src.name = to, newName
		to.add(src)
		all = src.files(all)
	}
	switch {
	case dst == nil:
	case exchange:
		dst.parent, dst.name = from, oldName
		from.add(dst)
		all = dst.files(all)
	default:
		dst.gone = true
	}
	// A parent whose last known name has left may have no node of its own any more.
	t.prune(from)
	return all
}

// files adds the files at and below e. Called with tree.mu held.
func (e *entry) files(all []moved) []moved {
	if len(e.children) == 0 {
		p, _ := e.path()
		all = append(all, moved{e.key, p})
	}
	for _, c := range e.children {
		all = c.files(all)
	}
	return all
}
