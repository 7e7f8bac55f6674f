package receiver

import (
	"bytes"
	"iter"
	"time"
)

// Record is a line, one write(2), or whatever the file's unit says; or a piece of one.
type Record struct {
	Data   []byte    // with its line end, if it has one; valid until Put returns
	Offset uint64    // of its first byte, as Chunk.Offset
	Time   time.Time // of the write that ended it, as exactly as it is known

	Continues bool // a piece: the record began in an earlier chunk of the handle
	Continued bool // a piece: the record goes on in a later chunk of the handle
}

// Records cuts the chunk by its file's unit. A gap has none.
func (c *Chunk) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		if len(c.Data) == 0 || c.File == nil {
			return
		}
		switch u := c.File.Unit; {
		case u == Lines:
			c.lines(yield)
		case (u == Writes || u == Framed) && len(c.marks) > 0:
			c.marked(yield)
		default:
			yield(c.record(0, len(c.Data), 0))
		}
	}
}

// record is the bytes from start to end, delta nanoseconds after the chunk's time.
func (c *Chunk) record(start, end int, delta int64) Record {
	return Record{
		Data: c.Data[start:end:end], Offset: c.Offset + uint64(start), Time: c.Time.Add(time.Duration(delta)),
		Continues: start == 0 && c.Continues, Continued: end == len(c.Data) && c.Continued,
	}
}

// marked yields one record for each mark. Their lengths add up to the data's: whoever decoded them has seen to it.
func (c *Chunk) marked(yield func(Record) bool) {
	start := 0
	for i := range c.marks {
		end := start + int(c.marks[i].Len)
		if !yield(c.record(start, end, c.marks[i].Delta)) {
			return
		}
		start = end
	}
}

// lines cuts behind each LF. A mark is one write: a line has the time of the one that it ends in.
func (c *Chunk) lines(yield func(Record) bool) {
	var delta int64
	mark, marked := 0, 0 // marked: where the mark that delta comes from ends
	for start := 0; start < len(c.Data); {
		end := len(c.Data)
		if i := bytes.IndexByte(c.Data[start:], '\n'); i >= 0 {
			end = start + i + 1
		}
		for mark < len(c.marks) && marked < end {
			delta = c.marks[mark].Delta
			marked += int(c.marks[mark].Len)
			mark++
		}
		if !yield(c.record(start, end, delta)) {
			return
		}
		start = end
	}
}
