package refine

import (
	"slices"

	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

// View shows one destination of a receiver what its rules leave of a chunk. The chunk itself stays as it came, so that
// its sequence and checksum go on to name it; what View returns is for rendering. One user at a time.
type View struct {
	Name string // the destination's
	// Decide returns the rule of a file and host; nil: all of it goes to every destination.
	Decide func(c *record.Chunk) *Rule

	k cutter
}

// Of returns what the destination gets of c: c itself if nothing is changed, a chunk with Data that holds until the next call,
// and with Cut for what it does not get, or nil if it gets nothing. Gaps go to every destination of their rule. The pieces of a record that is longer than a chunk are
// judged one by one, so that the same chunk always gives the same bytes.
func (v *View) Of(c *record.Chunk) *record.Chunk {
	rule := v.Decide(c)
	if rule == nil {
		return c
	}
	if c.Gap != nil || c.File == nil || rule.Filter.Trivial() {
		if !slices.Contains(rule.Targets, v.Name) {
			return nil
		}
		return c
	}
	chain := rule.Filter.For(c.Writer, c.File, c.Source.Host)
	me := bitOf(rule.Filter, v.Name)
	v.k.parts, v.k.texts = v.k.parts[:0], v.k.texts[:0]
	v.k.each(c, chain, true, func(rec []byte, off int, at int64) {
		p := part{from: off, to: off + len(rec), at: at, ends: 1}
		if p.to == len(c.Data) && c.Flags&record.Continued != 0 {
			p.ends = 0
		}
		p.verdict, _ = v.k.judge(chain, rec, c.Handle, c.Offset+uint64(off), &p)
		v.take(p, me)
	}, func(from, to int) { v.take(same(chain.Default(), c.Data, from, to), me) })
	return v.render(c)
}

// take adds a part as it is for the destination.
func (v *View) take(p part, me filter.Targets) {
	if p.targets&me == 0 {
		p.fate, p.text = cut, nil
	}
	p.targets = 0
	v.k.add(p)
}

// render joins the kept parts.
func (v *View) render(c *record.Chunk) *record.Chunk {
	if len(v.k.parts) == 1 && v.k.parts[0].text == nil {
		if v.k.parts[0].fate == cut {
			return nil
		}
		return c
	}
	n := *c
	n.Data, n.Marks, n.Extents, n.Records, n.Cut = nil, nil, nil, 0, record.Cut{}
	b := builder{c: c, data: c.Data}
	for i := range v.k.parts {
		p := &v.k.parts[i]
		if p.fate != kept {
			n.Cut.Bytes, n.Cut.Records = n.Cut.Bytes+uint32(p.to-p.from), n.Cut.Records+p.ends
			continue
		}
		text := p.text
		if text == nil {
			text = c.Data[p.from:p.to]
		}
		n.Data = append(n.Data, text...)
		n.Records += p.ends
		b.marks(&n, p, len(text))
		b.parts = append(b.parts, *p)
	}
	if len(n.Data) == 0 {
		return nil
	}
	b.from, b.to = v.k.parts[0].from, len(c.Data)
	n.Flags = b.flags()
	n.Len = uint32(len(n.Data))
	return &n
}

// bitOf returns the set of one destination, empty if no record ever goes there.
func bitOf(f *filter.Set, name string) filter.Targets {
	i := slices.Index(f.Targets(), name)
	if i < 0 {
		return 0
	}
	return 1 << i
}
