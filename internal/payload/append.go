package payload

import (
	"fmt"

	"ftfuse/internal/record"
)

// Append puts the payload of all chunks behind dst, one after the other, checks it and lets their Data point there. On an
// error nothing of dst counts.
func Append(store record.Store, chunks []record.Chunk, dst []byte) ([]byte, error) {
	need := 0
	for i := range chunks {
		need += int(chunks[i].Len)
	}
	if cap(dst)-len(dst) < need {
		dst = append(make([]byte, 0, len(dst)+need), dst...)
	}
	for i := range chunks {
		c := &chunks[i]
		at := len(dst)
		if len(c.Extents) == 0 {
			dst = append(dst, c.Data...)
		}
		for _, e := range c.Extents {
			if len(dst)+int(e.Len) > cap(dst) {
				return dst, fmt.Errorf("read payload of chunk %d: got extents of more than %d bytes: %w", c.Seq, c.Len, record.ErrCorrupt)
			}
			p := dst[len(dst) : len(dst)+int(e.Len)]
			if err := store.ReadExtent(e, p); err != nil {
				return dst, fmt.Errorf("read payload of chunk %d: %w", c.Seq, err)
			}
			dst = dst[:len(dst)+int(e.Len)]
		}
		c.Data = dst[at:len(dst):len(dst)]
		if c.Gap != nil {
			continue
		}
		if len(c.Data) != int(c.Len) {
			return dst, fmt.Errorf("read payload of chunk %d: got %d bytes, want %d: %w", c.Seq, len(c.Data), c.Len, record.ErrCorrupt)
		}
		if sum := record.CRC(c.Data); sum != c.CRC {
			return dst, fmt.Errorf("read payload of chunk %d: got checksum %08x, want %08x: %w", c.Seq, sum, c.CRC, record.ErrCorrupt)
		}
	}
	return dst, nil
}
