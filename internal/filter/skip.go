package filter

import (
	"bytes"
	"encoding/binary"
)

// Skip returns how much of b, which holds records one after the other, no filter is of interest for: every record of which
// all bytes are among the first n has the verdict Default. It looks for the texts of all filters in all records at once,
// and so spares what each call of Apply costs; where it returns 0 the next record is one for Apply. A chain that has to look at
// each record by itself always returns 0.
func (c *Chain) Skip(b []byte, sc *Scratch) (n int) {
	if !c.skips {
		return 0
	}
	s := c.set
	if s.folds {
		for _, f := range foldsToASCII {
			b = before(b, bytes.Index(b, f))
		}
	}
	if s.escapes {
		b = before(b, bytes.IndexByte(b, '\\'))
	}
	sc.hit = append(sc.hit[:0], s.everOn...)
	if s.scan.narrow != nil {
		b = b[:c.untilNarrow(b, sc.hit)]
	}
	if s.scan.wide != nil {
		b = b[:c.untilWide(b, sc.hit)]
	}
	return len(b)
}

// Default is the verdict of a record that no filter is of interest for, where Skip is not always 0.
func (c *Chain) Default() Verdict {
	f := c.set.undecided()
	return f.verdict()
}

func before(b []byte, i int) []byte {
	if i < 0 {
		return b
	}
	return b[:i]
}

// Of a text that stands in b some gram lies at a position that is looked at, and all its grams lie in its record. So the
// first position with a hit lies in the first record that has one.

func (c *Chain) untilNarrow(b []byte, hit []uint64) int {
	s := &c.set.scan
	p := s.narrow
	for i := 0; i+2 <= len(b); i += p.stride {
		v := uint32(binary.LittleEndian.Uint16(b[i:])) | gramFold&0xffff
		if h := gramHash(v); p.set[h/64]>>(h%64)&1 != 0 {
			if s.check(p, b, i, v, h, hit); c.anyLive(hit) {
				return i
			}
		}
	}
	return len(b)
}

func (c *Chain) untilWide(b []byte, hit []uint64) int {
	s := &c.set.scan
	p := s.wide
	for i := 0; i+4 <= len(b); i += p.stride {
		v := binary.LittleEndian.Uint32(b[i:]) | gramFold
		if h := gramHash(v); p.set[h/64]>>(h%64)&1 != 0 {
			if s.check(p, b, i, v, h, hit); c.anyLive(hit) {
				return i
			}
		}
	}
	return len(b)
}

func (c *Chain) anyLive(hit []uint64) bool {
	for i, w := range hit {
		if w&c.live[i] != 0 {
			return true
		}
	}
	return false
}

// maySkip says whether the texts alone tell that no filter is of interest: none is asked of every record, and none asks for
// a record's beginning, which Skip does not know.
func (c *Chain) maySkip() bool {
	return c.set.sample == 1 && c.set.scan.starts == nil && !c.anyLive(c.set.everOn)
}
