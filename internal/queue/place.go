package queue

import (
	"math"
	"slices"
)

// gapOver returns the gap that covers pos.
func (c *cursorRec) gapOver(pos uint64) (*gapRec, bool) {
	i, ok := slices.BinarySearchFunc(c.Gaps, pos, func(g gapRec, p uint64) int {
		switch {
		case g.Last < p:
			return -1
		case g.First > p:
			return 1
		}
		return 0
	})
	if !ok {
		return nil, false
	}
	return &c.Gaps[i], true
}

// passed says whether the cursor needs nothing of pos any more.
func (c *cursorRec) passed(pos uint64) bool {
	if pos <= c.Acked || c.Branch.passed(pos) {
		return true
	}
	_, ok := c.gapOver(pos)
	return ok
}

// passed says whether pos is of the run that the branch has passed. b may be nil.
func (b *branchRec) passed(pos uint64) bool { return b != nil && b.From <= pos && pos <= b.Acked }

// passedTo returns the last position of a run from pos on of which the cursor needs nothing any more, pos-1 if it needs pos.
func (c *cursorRec) passedTo(pos uint64) uint64 {
	for {
		g, ok := c.gapOver(pos)
		switch {
		case pos <= c.Acked:
			pos = c.Acked + 1
		case c.Branch.passed(pos):
			pos = c.Branch.Acked + 1
		case ok:
			pos = g.Last + 1
		default:
			return pos - 1
		}
	}
}

// neededTo returns the last position of a run from pos on of which the cursor needs all, pos-1 if it does not need pos.
func (c *cursorRec) neededTo(pos uint64) uint64 {
	if c.passed(pos) {
		return pos - 1
	}
	end := uint64(math.MaxUint64)
	for i := range c.Gaps {
		if f := c.Gaps[i].First; f > pos {
			end = f - 1
			break
		}
	}
	if b := c.Branch; b != nil && b.From > pos && b.passed(b.From) {
		end = min(end, b.From-1)
	}
	return end
}

// passedThrough says whether the cursor needs nothing of from..to.
func (c *cursorRec) passedThrough(from, to uint64) bool { return from > to || c.passedTo(from) >= to }

// reach returns the last position and own sequence that the record knows of.
func (c *cursorRec) reach() (pos, seq uint64) {
	pos, seq = c.Acked, c.Mark.Seq
	if b := c.Branch; b != nil {
		pos, seq = max(pos, b.Acked), max(seq, b.Seq, b.Mark.Seq)
	}
	return pos, seq
}
