package carry

import (
	"bytes"
	"fmt"
	"io"

	"ftfuse/internal/record"
)

// cutter reads a file chunk by chunk. The same bytes behind the same cut make the same chunks.
type cutter struct {
	s    *source
	unit record.Unit
	off  int64 // where the next chunk begins
	open bool  // inside a line
	buf  []byte
}

// seek turns to a cut.
func (c *cutter) seek(off int64) error {
	c.off, c.open = off, false
	if off == 0 || c.unit != record.Line {
		return nil
	}
	var last [1]byte
	if _, err := c.s.f.ReadAt(last[:], off-1); err != nil {
		return fmt.Errorf("read at %d: %w", off-1, err)
	}
	c.open = last[0] != '\n'
	return nil
}

// next reads a chunk that ends at end at most; final says that the file ends there. Its Data is valid until the next call.
func (c *cutter) next(end int64, final bool) (record.Chunk, error) {
	n := int(min(end-c.off, record.MaxChunk))
	if cap(c.buf) < n {
		c.buf = make([]byte, n)
	}
	p := c.buf[:n]
	if got, err := c.s.f.ReadAt(p, c.off); got < n {
		if err == io.EOF {
			err = fmt.Errorf("it ends at byte %d and had %d when it was begun: %w", c.off+int64(got), end, ErrChanged)
		}
		return record.Chunk{}, fmt.Errorf("read at %d: %w", c.off, err)
	}
	last := c.off+int64(n) == end
	if i := bytes.LastIndexByte(p, '\n'); c.unit == record.Line && !last && i >= 0 {
		p = p[:i+1]
	}
	ch := record.Chunk{Offset: uint64(c.off)}
	c.open = fill(&ch, p, c.unit, c.open, last && final)
	c.off += int64(len(p))
	ch.Seq = uint64(c.off)
	return ch, nil
}

// fill makes p the payload of ch, and returns whether that ends within a line. open: it begins within one. final: nothing
// follows, so that a line without LF is whole.
func fill(ch *record.Chunk, p []byte, unit record.Unit, open, final bool) bool {
	ch.Data, ch.Len, ch.CRC = p, uint32(len(p)), record.CRC(p)
	if unit != record.Line {
		ch.Records = 1
		return false
	}
	if open {
		ch.Flags |= record.Continues
	}
	ch.Records = uint32(bytes.Count(p, []byte{'\n'}))
	if p[len(p)-1] == '\n' {
		return false
	}
	if final {
		ch.Records++
	} else {
		ch.Flags |= record.Continued
	}
	return true
}
