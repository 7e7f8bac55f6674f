package wire

import (
	"math"

	"ftfuse/internal/record"
)

const (
	maxUint8  = math.MaxUint8
	maxUint32 = math.MaxUint32
	maxUint64 = math.MaxUint64

	// maxElements bounds the arrays whose length the format fixes, with what later versions may add.
	maxElements = 64

	rowElements = 12 // of a row without marks, gap, extents and span
)

// append writes the head of chunks: tables, then rows.
func (h *heads) append(b []byte, chunks []record.Chunk, extents bool) []byte {
	h.reset()
	for i := range chunks {
		c := &chunks[i]
		h.refs = append(h.refs, rowRefs{h.sources.ref(c.Source), h.files.ref(c.File), h.writers.ref(c.Writer)})
	}
	b = appendArray(b, 4)
	b = h.appendTables(b)
	b = appendArray(b, len(chunks))
	var seq uint64
	var time int64
	for i := range chunks {
		c := &chunks[i]
		b = appendRow(b, c, h.refs[i], seq, time, extents)
		seq, time = c.Seq, c.Time
	}
	h.reset()
	return b
}

func appendRow(b []byte, c *record.Chunk, refs rowRefs, seq uint64, time int64, extents bool) []byte {
	n := rowElements
	switch {
	case extents && c.Span > 0:
		n = rowElements + 4
	case extents && len(c.Extents) > 0:
		n = rowElements + 3
	case c.Gap != nil:
		n = rowElements + 2
	case len(c.Marks) > 0:
		n = rowElements + 1
	}
	b = appendArray(b, n)
	b = appendInt(b, int64(c.Seq-seq))
	b = appendUint(b, uint64(refs.source))
	b = appendUint(b, uint64(refs.file))
	b = appendUint(b, uint64(refs.writer))
	b = appendUint(b, c.Handle)
	b = appendUint(b, c.Offset)
	b = appendInt(b, c.Time-time)
	b = appendUint(b, uint64(c.Clock))
	b = appendUint(b, uint64(c.Flags))
	b = appendUint(b, uint64(c.Records))
	b = appendUint(b, uint64(c.CRC))
	b = appendUint(b, uint64(c.Len))
	if n > rowElements {
		b = appendMarks(b, c.Marks)
	}
	if n > rowElements+1 {
		b = appendGap(b, c.Gap)
	}
	if n > rowElements+2 {
		b = appendExtents(b, c.Extents)
	}
	if n > rowElements+3 {
		b = appendUint(b, uint64(c.Span))
	}
	return b
}

func appendMarks(b []byte, marks []record.Mark) []byte {
	if len(marks) == 0 {
		return appendNil(b)
	}
	b = appendArray(b, 2*len(marks))
	for i := range marks {
		b = appendUint(b, uint64(marks[i].Len))
		b = appendInt(b, marks[i].Delta)
	}
	return b
}

func appendGap(b []byte, g *record.Gap) []byte {
	if g == nil {
		return appendNil(b)
	}
	b = appendArray(b, 4)
	b = appendUint(b, g.First)
	b = appendUint(b, uint64(g.Reason))
	b = appendUint(b, g.Bytes)
	return appendUint(b, g.Records)
}

func appendExtents(b []byte, extents []record.Extent) []byte {
	if len(extents) == 0 {
		return appendNil(b)
	}
	b = appendArray(b, 3*len(extents))
	for _, e := range extents {
		b = appendUint(b, e.Spool)
		b = appendUint(b, uint64(e.Off))
		b = appendUint(b, uint64(e.Len))
	}
	return b
}

// head is what a decoded head holds. Chunks have no Data yet.
type head struct {
	chunks  []record.Chunk
	payload uint64 // bytes of Data that the chunks want
}

// headOptions say how to read a head.
type headOptions struct {
	limit   int            // chunks
	extents bool           // an entry: payload may be on this machine's disk
	known   *tables        // of the head before, if there is one; replaced
	dst     []record.Chunk // reused if large enough
}

// readHead decodes a whole head. Values are copied out of b.
func readHead(b []byte, o headOptions) (head, error) {
	r := &reader{b: b}
	n := r.array("head", 4, maxElements)
	if o.known == nil {
		o.known = new(tables)
	}
	o.known.read(r, o.limit)
	count := r.array("rows", 0, o.limit)
	if count > (len(r.b)-r.off)/(rowElements+1) {
		r.fail("rows: got %d, want at most %d in the bytes left", count, (len(r.b)-r.off)/(rowElements+1))
		return head{}, r.err
	}
	h := head{chunks: o.dst}
	if cap(h.chunks) < count {
		h.chunks = make([]record.Chunk, count)
	}
	h.chunks = h.chunks[:count]
	rows := rowReader{reader: r, tables: o.known, extents: o.extents, marksLeft: MaxMarks}
	for i := range h.chunks {
		c := &h.chunks[i]
		if rows.read(c); r.err != nil {
			return head{}, r.err
		}
		if len(c.Extents) == 0 {
			h.payload += uint64(c.Len)
		}
	}
	r.skip(n - 4)
	r.end()
	if r.err != nil {
		return head{}, r.err
	}
	return h, nil
}

// rowReader decodes rows; each refers to the row before.
type rowReader struct {
	*reader
	*tables
	extents   bool
	marksLeft int // of a batch
	seq       uint64
	time      int64
}

func (r *rowReader) read(c *record.Chunk) {
	n := r.array("row", rowElements, maxElements)
	*c = record.Chunk{}
	c.Seq = r.seq + uint64(r.int("sequence"))
	c.Source = pick(r.reader, "source", r.sources, true)
	c.File = pick(r.reader, "file", r.files, false)
	c.Writer = pick(r.reader, "writer", r.writers, false)
	c.Handle = r.uint("handle", maxUint64)
	c.Offset = r.uint("offset", maxUint64)
	c.Time = r.time + r.int("time")
	c.Clock = record.Clock(r.uint("clock", maxUint8))
	c.Flags = record.Flags(r.uint("flags", maxUint8))
	c.Records = uint32(r.uint("records", maxUint32))
	c.CRC = uint32(r.uint("crc", maxUint32))
	c.Len = uint32(r.uint("length", record.MaxChunk))
	r.seq, r.time = c.Seq, c.Time
	if n > rowElements && !r.nil() {
		r.marks(c)
	}
	if n > rowElements+1 && !r.nil() {
		r.gap(c)
	}
	if n > rowElements+2 && !r.nil() {
		r.spooled(c)
	}
	if n > rowElements+3 && r.extents {
		c.Span = uint32(r.uint("span", record.MaxChunk))
		n--
	}
	r.skip(n - rowElements - 3)
	if c.Gap == nil && (c.File == nil || c.Writer == nil) {
		r.fail("chunk %d: got no file or writer, want both", c.Seq)
	}
	if c.Gap != nil && (c.Len != 0 || c.CRC != 0) {
		r.fail("gap %d: got a payload of %d bytes, want none", c.Seq, c.Len)
	}
}

func (r *rowReader) marks(c *record.Chunk) {
	n := r.groups("marks", 2, MaxMarks)
	if r.marksLeft -= n; r.marksLeft < 0 && !r.extents {
		r.fail("marks: got %d more than %d in one batch", -r.marksLeft, MaxMarks)
		return
	}
	c.Marks = make([]record.Mark, n)
	for i := range c.Marks {
		c.Marks[i] = record.Mark{Len: uint32(r.uint("mark", record.MaxChunk)), Delta: r.int("mark's time")}
	}
	if sum := sumMarks(c.Marks); sum != uint64(c.Len) {
		r.fail("marks: got %d bytes, want %d", sum, c.Len)
	}
}

func (r *rowReader) gap(c *record.Chunk) {
	n := r.array("gap", 4, maxElements)
	c.Gap = &record.Gap{
		First:   r.uint("first", c.Seq),
		Reason:  record.Reason(r.uint("reason", maxUint8)),
		Bytes:   r.uint("bytes", maxUint64),
		Records: r.uint("records", maxUint64),
	}
	r.skip(n - 4)
}

func (r *rowReader) spooled(c *record.Chunk) {
	if !r.extents {
		r.fail("chunk %d: got extents, want none: they mean nothing on another machine", c.Seq)
		return
	}
	n := r.groups("extents", 3, MaxExtents)
	c.Extents = make([]record.Extent, n)
	for i := range c.Extents {
		c.Extents[i] = record.Extent{
			Spool: r.uint("spool", maxUint64),
			Off:   int64(r.uint("offset", math.MaxInt64)),
			Len:   uint32(r.uint("length", record.MaxChunk)),
		}
	}
	if sum := sumExtents(c.Extents); sum != uint64(c.Len) {
		r.fail("extents: got %d bytes, want %d", sum, c.Len)
	}
}

func (r *reader) sender(what string, id *record.SenderID) {
	p := r.bin(what, uint64(len(id)))
	if r.err == nil && len(p) != len(id) {
		r.fail("%s: got %d bytes, want %d", what, len(p), len(id))
	}
	copy(id[:], p)
}

// groups reads the length of an array whose elements belong together by size, 1 to limit groups of them.
func (r *reader) groups(what string, size, limit int) int {
	n := r.array(what, size, size*limit)
	if n%size != 0 {
		r.fail("%s: got %d elements, want a multiple of %d", what, n, size)
		return 0
	}
	return n / size
}
