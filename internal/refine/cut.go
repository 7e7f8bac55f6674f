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
	by    int      // the filter that did, as filter.Verdict says it
	rule  *Rule    // that by and the set of targets belong to
	names []string // of the targets
}

// under is what was decided, with the targets as st's rule numbers them: rules may be exchanged within a record. Of other
// rules all filters change what follows.
func (b begun) under(st *fileState) begun {
	if b.rule == st.rule {
		return b
	}
	if b.rule, b.by = st.rule, filter.ByOtherwise; b.fate == kept {
		b.targets = st.bits(b.names)
	}
	return b
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
		b, known := s.begun(c.Handle, comes)
		switch {
		case !known:
			b = begun{rule: st.rule}
			if b.verdict, b.by = k.judge(chain, rec, c.Handle, c.Offset+uint64(off), &p); b.fate == kept && !limits.take(len(rec)) {
				b.fate, p.text = limited, nil
			}
		case b.fate == kept: // the record's first piece decides
			b = b.under(st)
			k.say(chain.Change(rec, b.by, &k.scratch), &p)
			limits.charge(len(rec))
		}
		p.verdict = b.verdict
		if goesOn {
			b.names = st.targets(b.targets)
			s.remember(c.Handle, b)
		} else if comes {
			delete(s.long, c.Handle)
		}
		k.add(p)
	}, func(from, to int) { k.add(same(chain.Default(), data, from, to)) })
	build(s, c, data, st, k)
}

// judge asks the filters, and returns which one decided.
func (k *cutter) judge(chain *filter.Chain, rec []byte, handle, offset uint64, p *part) (verdict, int) {
	v := chain.Apply(rec, filter.Key(handle, offset), &k.scratch)
	if !v.Keep {
		return verdict{fate: cut}, v.By
	}
	k.say(v.Text, p)
	return verdict{targets: v.Targets}, v.By
}

// say gives p another text, unless that is nil. It lies in k.texts.
func (k *cutter) say(text []byte, p *part) {
	if text == nil {
		return
	}
	if k.texts == nil { // of a text that is empty there must be something, too
		k.texts = make([]byte, 0, 64)
	}
	start := len(k.texts)
	k.texts = append(k.texts, text...)
	p.text = k.texts[start:len(k.texts):len(k.texts)]
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

// ends makes of c, the end of a record that has no bytes of its own, what was decided about the record.
func (s *Stage) ends(c *record.Chunk, b begun, st *fileState) {
	delete(s.long, c.Handle)
	switch b.fate {
	case kept:
		c.Targets = st.targets(b.targets)
	case cut:
		c.Cut.Records, c.Records = c.Records, 0
	case limited:
		c.Gap, c.Records, c.Flags = &record.Gap{Reason: record.Limited, Records: uint64(c.Records)}, 0, 0
	}
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
