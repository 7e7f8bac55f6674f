package filter

import (
	"cmp"
	"slices"
)

// texts collects which filters want which texts.
type texts map[text][]int

func (t texts) add(filter int, n need) {
	for _, x := range n.texts {
		if !slices.Contains(t[x], filter) {
			t[x] = append(t[x], filter)
		}
	}
}

// scanner finds which of many texts a record holds, in one or two passes that look at few of its bytes.
//
// A pass looks at grams: width bytes, taken as one number and hashed into a small table of bits. It does so at every
// stride-th position only. Of each text the table has stride neighbouring grams, so wherever the text stands in a record,
// one of these lies at a position that is looked at. The shortest text bounds the stride, and a stride of 1 is always
// possible. Where a bit is set the text is compared; so nothing is missed, and a chance hit costs a comparison.
//
// An automaton (Aho-Corasick) looks at each byte and each look waits for the one before. Here no look depends on another.
type scanner struct {
	wanted []wanted
	narrow *pass          // texts of 2 and 3 bytes, by grams of 2
	wide   *pass          // longer ones, by grams of 4
	starts *[256][]wanted // texts for the record's beginning, by their first byte; nil: none
}

// wanted is a text with the filters that want it.
type wanted struct {
	s       string
	filters []int
}

type pass struct {
	width, stride int
	set           [gramBits / 64]uint64
	heads         []uint32 // by hash: 1 + index into grams, 0 none; its length is a power of two
	grams         []gram
}

type gram struct {
	value uint32
	next  uint32 // as in heads
	text  int    // index into wanted
	off   int    // of the gram in the text
}

const (
	gramBits  = 1 << 15 // 4 KiB a pass: stays in the first-level cache beside the record
	maxGrams  = gramBits / 16
	maxStride = 8
	gramFold  = 0x20202020 // makes letters small, and some other bytes equal: only the comparison knows
)

func newScanner(t texts) (s scanner) {
	for x, filters := range t {
		w := wanted{x.s, filters}
		if !x.start {
			s.wanted = append(s.wanted, w)
			continue
		}
		if s.starts == nil {
			s.starts = new([256][]wanted)
		}
		same := &s.starts[x.s[0]]
		*same = append(*same, w)
	}
	slices.SortFunc(s.wanted, func(a, b wanted) int { return cmp.Or(len(a.s)-len(b.s), cmp.Compare(a.s, b.s)) })
	long, _ := slices.BinarySearchFunc(s.wanted, 4, func(w wanted, n int) int { return len(w.s) - n })
	s.narrow = newPass(s.wanted, 0, long, 2)
	s.wide = newPass(s.wanted, long, len(s.wanted), 4)
	return s
}

// newPass makes a pass for wanted[from:to], which are in order of length; nil for none.
func newPass(all []wanted, from, to, width int) *pass {
	if from == to {
		return nil
	}
	p := &pass{width: width}
	p.stride = max(1, min(len(all[from].s)-width+1, maxStride, maxGrams/(to-from)))
	size := 1
	for size < 2*p.stride*(to-from) {
		size *= 2
	}
	p.heads = make([]uint32, size)
	for i := from; i < to; i++ {
		at := rarest(all[i].s, width, p.stride)
		for off := at; off < at+p.stride; off++ {
			v := gramOf(all[i].s[off:], width)
			h := gramHash(v)
			p.set[h/64] |= 1 << (h % 64)
			head := &p.heads[int(h)&(size-1)]
			p.grams = append(p.grams, gram{value: v, next: *head, text: i, off: off})
			*head = uint32(len(p.grams))
		}
	}
	return p
}

func gramOf(s string, width int) (v uint32) {
	for i := width - 1; i >= 0; i-- {
		v = v<<8 | uint32(s[i]|gramFold&0xff)
	}
	return v
}

// gramHash spreads a gram over gramBits, by Fibonacci hashing.
func gramHash(v uint32) uint32 { return v * 2654435769 >> 17 }

// rarest returns where in s the stride grams begin that are likely to be rare in logs.
func rarest(s string, width, stride int) int {
	best, least := 0, 0.0
	for at := 0; at+stride+width-1 <= len(s); at++ {
		sum := 0.0
		for off := at; off < at+stride; off++ {
			p := 1.0
			for i := range width {
				p *= frequency(s[off+i])
			}
			sum += p
		}
		if at == 0 || sum < least {
			best, least = at, sum
		}
	}
	return best
}

// frequency is a rough measure of how often a byte stands in logs.
func frequency(c byte) float64 {
	switch {
	case c >= '0' && c <= '9', c == ' ':
		return 6
	case c == 'e', c == 't', c == 'a', c == 'o', c == 'i', c == 'n', c == 's', c == 'r', c == '/', c == '.':
		return 5
	case c >= 'a' && c <= 'z', c == '"', c == ':', c == '-', c == '=':
		return 3
	}
	return 1
}

// find sets the bit of every filter one of whose texts b holds.
func (s *scanner) find(b []byte, hit []uint64) {
	if s.starts != nil && len(b) > 0 {
		for _, w := range s.starts[lower[b[0]]] {
			w.compare(b, 0, hit)
		}
	}
	for _, p := range [...]*pass{s.narrow, s.wide} {
		if p == nil {
			continue
		}
		for i := p.next(b, 0, len(b)); i < len(b); i = p.next(b, i+p.stride, len(b)) {
			s.check(p, b, i, hit)
		}
	}
}

// check compares the texts that have the gram which stands in b at i.
func (s *scanner) check(p *pass, b []byte, i int, hit []uint64) {
	v := p.gramAt(b, i)
	h := gramHash(v)
	for next := p.heads[int(h)&(len(p.heads)-1)]; next != 0; {
		g := &p.grams[next-1]
		if next = g.next; g.value == v {
			s.wanted[g.text].compare(b, i-g.off, hit)
		}
	}
}

// compare sets the bits of the filters when the text stands in b at start.
func (w *wanted) compare(b []byte, start int, hit []uint64) {
	if start < 0 || len(b)-start < len(w.s) {
		return
	}
	if f := w.filters[0]; len(w.filters) == 1 && hit[f/64]>>(f%64)&1 != 0 {
		return
	}
	for i, c := range b[start : start+len(w.s)] {
		if lower[c] != w.s[i] {
			return
		}
	}
	for _, f := range w.filters {
		hit[f/64] |= 1 << (f % 64)
	}
}
