package filter

import "bytes"

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
	for from := 0; from < len(b); from += skipWindow {
		to := min(from+skipWindow, len(b))
		if n := c.until(s.scan.wide, b, from, c.until(s.scan.narrow, b, from, to, sc), sc); n < to {
			return n
		}
	}
	return len(b)
}

// skipWindow is how far one pass looks before the other does: what it has found out beyond the other's hit is lost. The
// windows begin where a pass would look anyway or earlier, so that no text is missed between them.
const skipWindow = 1 << 10

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
//
// until returns it, or to if there is none before.
func (c *Chain) until(p *pass, b []byte, from, to int, sc *Scratch) int {
	if p == nil {
		return to
	}
	for i := p.next(b, from, to); i < to; i = p.next(b, i+p.stride, to) {
		if c.set.scan.check(p, b, i, sc.hit); c.anyLive(sc.hit) {
			return i
		}
	}
	return to
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
