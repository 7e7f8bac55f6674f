package tap

import (
	"bytes"
	"math"

	"ftfuse/internal/record"
)

// step is how much of a payload on disk is read at once where only its first records are wanted.
const step = 64 << 10

// all stands for every record of a chunk, and what follows the last one.
const all = math.MaxInt

// count returns how many records a chunk counts as: a piece without an end is one, and so is a gap.
func count(c *record.Chunk) int { return max(1, int(c.Records)) }

// prefix returns how many bytes of the payload the first n records take, as far as that can be told without reading
// what is on disk.
func prefix(c *record.Chunk, n int) int {
	switch {
	case n == all || c.File == nil:
		return int(c.Len)
	case marked(c):
		size := 0
		for _, m := range c.Marks[:min(n, len(c.Marks))] {
			size += int(m.Len)
		}
		return min(size, int(c.Len))
	case c.File.Unit == record.Line && c.Data != nil:
		return lines(c.Data, n)
	}
	return int(c.Len)
}

// marked reports whether the chunk's marks are its records.
func marked(c *record.Chunk) bool {
	return c.File != nil && len(c.Marks) > 0 && (c.File.Unit == record.Write || c.File.Unit == record.Framed)
}

// lines returns how many bytes the first n lines of p take; what follows the last LF is a line.
func lines(p []byte, n int) int {
	size := 0
	for ; n > 0 && size < len(p); n-- {
		i := bytes.IndexByte(p[size:], '\n')
		if i < 0 {
			return len(p)
		}
		size += i + 1
	}
	return size
}

// reader turns chunks into records. One goroutine uses it.
type reader struct {
	store record.Store
	buf   []byte
}

// each calls f with the first n records of c, or all of it. gone is how many could not be read.
func (r *reader) each(c *record.Chunk, n int, f func(Record) error) (gone int, err error) {
	if c.Gap != nil {
		return 0, f(Record{Chunk: c, Offset: c.Offset, Time: c.Time})
	}
	data := c.Data
	if data == nil && c.Len > 0 {
		var ok bool
		if data, ok = r.load(c, n); !ok {
			return min(n, count(c)), nil
		}
	}
	return 0, split(c, data, n, f)
}

// load reads the beginning of a payload that is on disk: at least the first n records.
func (r *reader) load(c *record.Chunk, n int) ([]byte, bool) {
	want := prefix(c, n)
	if cap(r.buf) < want {
		r.buf = make([]byte, want)
	}
	p, scanned := r.buf[:0], 0
	piecemeal := n != all && c.File != nil && c.File.Unit == record.Line // only reading tells where the records end
	for _, x := range c.Extents {
		for x.Len > 0 && len(p) < want {
			e := x
			e.Len = min(x.Len, uint32(want-len(p)))
			if piecemeal {
				e.Len = min(e.Len, step)
			}
			at := len(p)
			p = p[:at+int(e.Len)]
			if r.store == nil || r.store.ReadExtent(e, p[at:]) != nil {
				return nil, false
			}
			if scanned += bytes.Count(p[at:], []byte{'\n'}); piecemeal && scanned >= n {
				return p, true
			}
			x.Off, x.Len = x.Off+int64(e.Len), x.Len-e.Len
		}
	}
	return p, len(p) == want
}

// split cuts data, the beginning of c's payload, into at most n records. A line has the time of the write(2) that ended
// it, where that is known.
func split(c *record.Chunk, data []byte, n int, f func(Record) error) error {
	mark, end, at := 0, 0, c.Time // end: where the marks passed so far end
	for off := 0; off < len(data) && n > 0; n-- {
		size := len(data) - off
		switch {
		case c.File == nil:
		case marked(c):
			if mark < len(c.Marks)-1 { // the last one takes what is left
				size = min(size, int(c.Marks[mark].Len))
			}
			if mark < len(c.Marks) {
				at = c.Time + c.Marks[mark].Delta
			}
			mark++
		case c.File.Unit == record.Line:
			size = lines(data[off:], 1)
			for ; mark < len(c.Marks) && end < off+size; mark++ {
				at = c.Time + c.Marks[mark].Delta
				end += int(c.Marks[mark].Len)
			}
		}
		rec := Record{Chunk: c, Data: data[off : off+size], Offset: c.Offset + uint64(off), Time: at}
		rec.Continues = off == 0 && c.Flags&record.Continues != 0
		off += size
		rec.Continued = off == int(c.Len) && c.Flags&record.Continued != 0
		if err := f(rec); err != nil {
			return err
		}
	}
	return nil
}
