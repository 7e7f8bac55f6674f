package capture

import (
	"math"
	"slices"
	"sort"
)

// Where the bytes of a view lie when they are in no spool.
const (
	inHole  = 0              // never written: zeros
	inBelow = math.MaxUint64 // in the file below the mount
)

// maxExtents bounds the memory of a view: beyond it the oldest end is given up.
const maxExtents = 1 << 14

// patch is a stretch of a file as its readers see it.
type patch struct {
	At    int64  `json:"at"` // offset in the file
	Len   int64  `json:"len"`
	Spool uint64 `json:"spool"`
	Off   int64  `json:"off"` // offset in the spool, or in the file below
}

func (p patch) end() int64 { return p.At + p.Len }

// view is the content of a captured file: stretches in order, without overlap. Below base it is gone. Guarded by
// File.mu.
type view struct {
	size    int64
	base    int64
	patches []patch
}

// find returns the index of the first patch that ends after off.
func (v *view) find(off int64) int {
	return sort.Search(len(v.patches), func(i int) bool { return v.patches[i].end() > off })
}

// put places n bytes at offset at, over what was there; a stretch between the old end and at becomes a hole.
func (v *view) put(at, n int64, spool uint64, off int64) {
	if n == 0 {
		return
	}
	if at == v.size && len(v.patches) > 0 {
		if l := &v.patches[len(v.patches)-1]; l.Spool == spool && l.end() == at && l.Off+l.Len == off {
			l.Len += n
			v.size += n
			return
		}
	}
	if at > v.size {
		v.patches = append(v.patches, patch{At: v.size, Len: at - v.size, Spool: inHole})
		v.size = at
	}
	v.cutOut(at, at+n)
	i := v.find(at)
	v.patches = slices.Insert(v.patches, i, patch{At: at, Len: n, Spool: spool, Off: off})
	v.size = max(v.size, at+n)
	if len(v.patches) > maxExtents {
		v.trim(v.patches[len(v.patches)/4].At)
	}
}

// cutOut removes [from, to), keeping what lies on both sides of it.
func (v *view) cutOut(from, to int64) {
	i := v.find(from)
	j := i
	var keep []patch
	for ; j < len(v.patches) && v.patches[j].At < to; j++ {
		p := v.patches[j]
		if p.At < from {
			keep = append(keep, patch{At: p.At, Len: from - p.At, Spool: p.Spool, Off: p.Off})
		}
		if p.end() > to {
			keep = append(keep, patch{At: to, Len: p.end() - to, Spool: p.Spool, Off: p.Off + to - p.At})
		}
	}
	v.patches = slices.Replace(v.patches, i, j, keep...)
}

// truncate sets the size; growing makes a hole.
func (v *view) truncate(size int64) {
	if size < v.size {
		v.cutOut(size, v.size)
		v.base = min(v.base, size)
	} else if size > v.size {
		v.patches = append(v.patches, patch{At: v.size, Len: size - v.size, Spool: inHole})
	}
	v.size = size
}

// trim gives up everything before base.
func (v *view) trim(base int64) {
	if base = min(base, v.size); base > v.base {
		v.cutOut(v.base, base)
		v.base = base
	}
}

// needs returns which bytes of each spool the view refers to, and by how many patches.
func (v *view) needs() map[uint64]spoolUse {
	m := make(map[uint64]spoolUse)
	for _, p := range v.patches {
		if p.Spool == inHole || p.Spool == inBelow {
			continue
		}
		u := m[p.Spool]
		u.bytes = u.bytes.add(p.Off, p.Off+p.Len)
		u.patches++
		m[p.Spool] = u
	}
	return m
}

type spoolUse struct {
	bytes   spans
	patches int
}
