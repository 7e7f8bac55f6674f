package refine

import (
	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

// fate is what becomes of a record.
type fate uint8

const (
	kept fate = iota
	cut
	limited
)

// verdict is what was decided of a record.
type verdict struct {
	fate    fate
	targets filter.Targets
}

// begun is what was decided of a record by its first piece.
type begun struct {
	verdict
	rule  *Rule    // that the set of targets belongs to
	names []string // of the targets
}

// under is the verdict with the targets as st's rule numbers them: rules may be exchanged within a record.
func (b begun) under(st *fileState) verdict {
	v := b.verdict
	if b.rule != st.rule && v.fate == kept {
		v.targets = st.bits(b.names)
	}
	return v
}

// part is a run of a chunk's records that have the same fate, or one record whose text is changed.
type part struct {
	verdict
	from, to int    // in the chunk's payload
	text     []byte // not nil: instead of the payload
	at       int64  // time of the text's record, ns since 1970
	ends     uint32 // records that end in it
}

// cutter divides a chunk. It is reused.
type cutter struct {
	scratch filter.Scratch
	ask     asker
	parts   []part
	kept    []part // the builder's
	texts   []byte // backs the parts' text
}

// do divides c, whose payload is data, and appends what becomes of it to the stage's output.
func (k *cutter) do(s *Stage, c *record.Chunk, data []byte, st *fileState, chain *filter.Chain) {
	k.parts, k.texts = k.parts[:0], k.texts[:0]
	whole := *c
	whole.Data = data
	limits := bucketsOf(st.rule.Limits, c.Writer, s.o.Now())
	k.each(&whole, chain, len(limits.list) == 0, func(rec []byte, off int, at int64) {
		p := part{from: off, to: off + len(rec), at: at, ends: 1}
		goesOn := off+len(rec) == len(data) && c.Flags&record.Continued != 0
		comes := off == 0 && c.Flags&record.Continues != 0
		if goesOn {
			p.ends = 0
		}
		p.verdict = k.judge(chain, rec, c.Handle, c.Offset+uint64(off), &p)
		if b, known := s.begun(c.Handle, comes); known {
			p.verdict = b.under(st) // the record's first piece decides
			if p.fate == kept {
				limits.charge(len(rec))
			}
		} else if p.fate == kept && !limits.take(len(rec)) {
			p.fate = limited
		}
		if p.fate != kept {
			p.text = nil
		}
		if goesOn {
			s.remember(c.Handle, begun{p.verdict, st.rule, st.targets(p.targets)})
		} else if comes {
			delete(s.long, c.Handle)
		}
		k.add(p)
	}, func(from, to int) { k.add(same(chain.Default(), data, from, to)) })
	build(s, c, data, st, k)
}

// judge asks the filters. A changed text lies in k.texts.
func (k *cutter) judge(chain *filter.Chain, rec []byte, handle, offset uint64, p *part) verdict {
	v := chain.Apply(rec, filter.Key(handle, offset), &k.scratch)
	if !v.Keep {
		return verdict{fate: cut}
	}
	if v.Text != nil {
		if k.texts == nil { // of a text that is empty there must be something, too
			k.texts = make([]byte, 0, 64)
		}
		start := len(k.texts)
		k.texts = append(k.texts, v.Text...)
		p.text = k.texts[start:len(k.texts):len(k.texts)]
	}
	return verdict{targets: v.Targets}
}

// add joins p to the part before, if they are of one kind. A piece that is taken out and goes on stays alone: see builder.add.
func (k *cutter) add(p part) {
	if n := len(k.parts); n > 0 && p.text == nil && (p.ends > 0 || p.fate == kept) {
		if l := &k.parts[n-1]; l.text == nil && l.verdict == p.verdict {
			l.to = p.to
			l.ends += p.ends
			return
		}
	}
	k.parts = append(k.parts, p)
}

// maxLong bounds what is remembered of long records; one whose first piece is forgotten is judged by each piece.
const maxLong = 1 << 16

// begun returns what was decided of the record that a chunk goes on with.
func (s *Stage) begun(handle uint64, comes bool) (b begun, known bool) {
	if comes {
		b, known = s.long[handle]
	}
	return b, known
}

func (s *Stage) remember(handle uint64, b begun) {
	if len(s.long) >= maxLong {
		clear(s.long)
	}
	s.long[handle] = b
}
