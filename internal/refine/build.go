package refine

import (
	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

// fragment is how long runs of kept payload are on average, in bytes, from which on a chunk refers to them in the spool. Of
// shorter ones it gets a copy: a reference costs about 16 bytes in the queue and a read of its own.
const fragment = 1024

// stretch is how many bytes of unchanged payload are worth a chunk of their own, beside one for changed lines: a chunk
// costs some microseconds, and payload that is copied is written to disk twice more.
const stretch = 8 << 10

// builder makes the chunks of one chunk's parts.
type builder struct {
	s    *Stage
	c    *record.Chunk // with the file as it is to be seen
	data []byte
	st   *fileState

	open       bool // there is a chunk in the making
	from       int  // where its input begins in data
	to         int  // and where it ends so far
	targets    filter.Targets
	size       int // of its payload
	ends       uint32
	cutBytes   uint32
	cutRecords uint32
	parts      []part // kept ones
	changed    bool   // one of them has a text of its own
}

func build(s *Stage, c *record.Chunk, data []byte, st *fileState, k *cutter) {
	b := &builder{s: s, c: c, data: data, st: st, parts: k.kept[:0]}
	if len(k.parts) == 1 && k.parts[0].fate == kept && k.parts[0].text == nil {
		whole := *c
		whole.Targets = st.targets(k.parts[0].targets)
		s.out = append(s.out, whole)
		return
	}
	for i := range k.parts {
		b.add(&k.parts[i])
	}
	b.flush()
	k.kept = b.parts
}

func (b *builder) add(p *part) {
	n := p.to - p.from
	if p.text != nil {
		n = len(p.text)
	}
	if p.fate == limited {
		b.flush()
		b.gap(p)
		return
	}
	// A piece that is cut and goes on is a chunk of its own, so that its flag is on record.
	if p.fate == cut && p.ends == 0 || p.fate == kept && len(b.parts) > 0 && (p.targets != b.targets || b.size+n > record.MaxChunk) {
		b.flush()
	}
	if p.fate == kept && len(b.parts) > 0 && b.c.Extents != nil && b.apart(p, n) {
		b.flush()
	}
	if !b.open {
		b.open, b.from = true, p.from
	}
	b.to = p.to
	if p.fate == cut {
		b.cutBytes += uint32(p.to - p.from)
		b.cutRecords += p.ends
		return
	}
	b.parts = append(b.parts, *p)
	b.targets, b.size, b.ends = p.targets, b.size+n, b.ends+p.ends
	b.changed = b.changed || p.text != nil
}

// apart says whether a kept part of n bytes is better off in another chunk than the one in the making: a long stretch is
// referred to, what is changed is copied.
func (b *builder) apart(p *part, n int) bool {
	if p.text != nil {
		return !b.changed && b.size >= stretch
	}
	return b.changed && n >= stretch
}

// flush emits the chunk in the making.
func (b *builder) flush() {
	if !b.open {
		return
	}
	c := *b.c
	c.Offset += uint64(b.from)
	c.Span = uint32(b.to - b.from)
	c.Cut = record.Cut{Bytes: b.cutBytes, Records: b.cutRecords}
	c.Records, c.Targets = b.ends, b.st.rule.Targets
	if len(b.parts) > 0 {
		c.Targets = b.st.targets(b.targets)
	}
	c.Flags = b.flags()
	c.Len = uint32(b.size)
	b.payload(&c)
	b.s.out = append(b.s.out, c)
	*b = builder{s: b.s, c: b.c, data: b.data, st: b.st, parts: b.parts[:0]}
}

// flags of the chunk in the making: those of a record's pieces are kept where the piece is.
func (b *builder) flags() record.Flags {
	f := b.c.Flags &^ (record.Continues | record.Continued | record.Last)
	atEnd := b.to == len(b.data)
	if atEnd {
		f |= b.c.Flags & record.Last
	}
	first, last := b.from, b.to
	if len(b.parts) > 0 {
		first, last = b.parts[0].from, b.parts[len(b.parts)-1].to
	}
	if first == 0 {
		f |= b.c.Flags & record.Continues
	}
	if last == len(b.data) {
		f |= b.c.Flags & record.Continued
	}
	return f
}

// payload gives c what is kept of the input, by reference where that is cheap.
func (b *builder) payload(c *record.Chunk) {
	c.Extents, c.Data, c.Marks, c.Spent = nil, nil, nil, nil
	refers := b.c.Extents != nil && b.size >= fragment*(len(b.parts)-1)
	for i := range b.parts {
		refers = refers && b.parts[i].text == nil
	}
	crc, at := uint32(0), b.from
	if !refers && b.size > 0 {
		c.Data = make([]byte, 0, b.size)
	}
	for i := range b.parts {
		p := &b.parts[i]
		text := p.text
		if text == nil {
			text = b.data[p.from:p.to]
		}
		b.marks(c, p, len(text))
		if refers {
			crc = record.AddCRC(crc, text)
			c.Spent = appendRange(c.Spent, b.c.Extents, at, p.from)
			c.Extents = appendRange(c.Extents, b.c.Extents, p.from, p.to)
			at = p.to
		} else {
			c.Data = append(c.Data, text...)
		}
	}
	c.Spent = appendRange(c.Spent, b.c.Extents, at, b.to)
	if c.CRC = crc; !refers {
		c.CRC = record.CRC(c.Data) // at once: many short pieces take longer
	}
}

// marks appends the marks of a part whose text has n bytes.
func (b *builder) marks(c *record.Chunk, p *part, n int) {
	if b.c.Marks == nil || n == 0 {
		return
	}
	if p.text != nil {
		c.Marks = append(c.Marks, record.Mark{Len: uint32(n), Delta: p.at - b.c.Time})
		return
	}
	off := 0
	for _, m := range b.c.Marks {
		from, to := max(off, p.from), min(off+int(m.Len), p.to)
		if from < to {
			c.Marks = append(c.Marks, record.Mark{Len: uint32(to - from), Delta: m.Delta})
		}
		if off += int(m.Len); off >= p.to {
			break
		}
	}
}

// gap emits what is beyond a limit.
func (b *builder) gap(p *part) {
	c := *b.c
	c.Offset += uint64(p.from)
	c.Targets = b.st.rule.Targets
	c.Flags = 0
	if p.ends == 0 { // the record goes on, and what comes of it is a piece
		c.Flags = b.c.Flags & (record.Continues | record.Continued)
	}
	c.Records, c.Marks, c.CRC, c.Len, c.Data, c.Extents = 0, nil, 0, 0, nil, nil
	c.Gap = &record.Gap{Reason: record.Limited, Bytes: uint64(p.to - p.from), Records: uint64(p.ends)}
	c.Spent = appendRange(nil, b.c.Extents, p.from, p.to)
	b.s.out = append(b.s.out, c)
}

// appendRange appends the extents of the bytes from..to of what ext holds.
func appendRange(dst, ext []record.Extent, from, to int) []record.Extent {
	off := 0
	for _, e := range ext {
		a, z := max(off, from), min(off+int(e.Len), to)
		if a < z {
			dst = append(dst, record.Extent{Spool: e.Spool, Off: e.Off + int64(a-off), Len: uint32(z - a)})
		}
		if off += int(e.Len); off >= to {
			break
		}
	}
	return dst
}
