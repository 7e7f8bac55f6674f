package wire

import (
	"fmt"

	"ftfuse/internal/record"
)

// The limits of version 1. The package comment gives their reasons.
const (
	MaxControl = 64 << 10 // bytes of a frame other than BATCH
	MaxBody    = 8 << 20  // bytes of a batch's body, decompressed; a receiver may advertise less
	MinBody    = 3 << 20  // no receiver may advertise less: any single chunk fits
	MaxFrame   = MaxBody + MaxBody/64 + 4<<10
	MaxChunks  = 1 << 16 // chunks of a batch or entry; a receiver may advertise less
	MaxMarks   = 1 << 16 // marks of one chunk, and of all chunks of a batch
	MaxExtents = 1 << 16 // extents of one chunk
	MaxPath    = 64 << 10
	MaxName    = 4 << 10 // bytes of every other name
	MaxStreams = 1024    // streams of a HELLO, marks of a WELCOME
)

// Check says whether c can be written: its parts agree and are within the limits. AppendEntry and Encoder
// rely on it, so whoever makes chunks from what programs do calls it once. The error wraps record.ErrRefused.
func Check(c *record.Chunk) error {
	switch {
	case c.Source == nil:
		return refuse(c, "source", "none", "one")
	case c.Gap == nil && (c.File == nil || c.Writer == nil):
		return refuse(c, "file or writer", "none", "both")
	case c.Gap != nil && (c.Len != 0 || c.CRC != 0):
		return refuse(c, "gap's payload", fmt.Sprint(c.Len, " bytes"), "none")
	case c.Len > record.MaxChunk:
		return refuse(c, "payload", fmt.Sprint(c.Len, " bytes"), fmt.Sprint("at most ", record.MaxChunk))
	case len(c.Extents) > MaxExtents:
		return refuse(c, "extents", fmt.Sprint(len(c.Extents)), fmt.Sprint("at most ", MaxExtents))
	case len(c.Marks) > MaxMarks:
		return refuse(c, "marks", fmt.Sprint(len(c.Marks)), fmt.Sprint("at most ", MaxMarks))
	case c.Marks != nil && sumMarks(c.Marks) != uint64(c.Len):
		return refuse(c, "marks", fmt.Sprint(sumMarks(c.Marks), " bytes"), fmt.Sprint(c.Len))
	case len(c.Extents) > 0 && sumExtents(c.Extents) != uint64(c.Len):
		return refuse(c, "extents", fmt.Sprint(sumExtents(c.Extents), " bytes"), fmt.Sprint(c.Len))
	case len(c.Extents) == 0 && len(c.Data) != int(c.Len):
		return refuse(c, "data", fmt.Sprint(len(c.Data), " bytes"), fmt.Sprint(c.Len))
	}
	return checkNames(c)
}

func checkNames(c *record.Chunk) error {
	longest := max(len(c.Source.Host), len(c.Source.BootID))
	if w := c.Writer; w != nil {
		longest = max(longest, len(w.Comm), len(w.Exe), len(w.Unit), len(w.Container))
	}
	if h := len(c.Source.Hops); h%record.HopLen != 0 || h > record.HopLen*record.MaxHops {
		return refuse(c, "hops", fmt.Sprint(h, " bytes"), fmt.Sprintf("a multiple of %d, at most %d", record.HopLen, record.HopLen*record.MaxHops))
	}
	if f := c.File; f != nil {
		longest = max(longest, len(f.Mount), len(f.Rule))
		if len(f.Path) > MaxPath {
			return refuse(c, "path", fmt.Sprint(len(f.Path), " bytes"), fmt.Sprint("at most ", MaxPath))
		}
	}
	if longest > MaxName {
		return refuse(c, "name", fmt.Sprint(longest, " bytes"), fmt.Sprint("at most ", MaxName))
	}
	return nil
}

func refuse(c *record.Chunk, subject, got, want string) error {
	return fmt.Errorf("check chunk %d: %s: got %s, want %s: %w", c.Seq, subject, got, want, record.ErrRefused)
}

func sumMarks(marks []record.Mark) (n uint64) {
	for i := range marks {
		n += uint64(marks[i].Len)
	}
	return n
}

func sumExtents(extents []record.Extent) (n uint64) {
	for i := range extents {
		n += uint64(extents[i].Len)
	}
	return n
}
