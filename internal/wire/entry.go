package wire

import (
	"encoding/binary"
	"fmt"
	"sync"

	"ftfuse/internal/record"
)

const entryVersion = 1

// headPool keeps heads for AppendEntry, which has no owner to keep one.
var headPool = sync.Pool{New: func() any { return new(heads) }}

// AppendEntry appends chunks as one queue entry: payload in Extents is referred to, payload in Data is copied.
// Chunks must pass Check, at most MaxChunks of them; otherwise DecodeEntry will refuse the entry.
func AppendEntry(dst []byte, chunks []record.Chunk) []byte {
	h := headPool.Get().(*heads)
	defer headPool.Put(h)
	dst = appendArray(dst, 4)
	dst = appendUint(dst, entryVersion)
	dst = append(dst, codeUint32, 0, 0, 0, 0, codeBin32, 0, 0, 0, 0)
	start := len(dst)
	dst = h.append(dst, chunks, true)
	binary.BigEndian.PutUint32(dst[start-9:], record.CRC(dst[start:]))
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	inline := 0
	for i := range chunks {
		if len(chunks[i].Extents) == 0 {
			inline += len(chunks[i].Data)
		}
	}
	dst = appendBinLen(dst, inline)
	for i := range chunks {
		if len(chunks[i].Extents) == 0 {
			dst = append(dst, chunks[i].Data...)
		}
	}
	return dst
}

// DecodeEntry reads what AppendEntry wrote. Inline Data lies in b; everything else is copied. The head's
// checksum is verified, the payload's is left to whoever reads the payload. Errors wrap record.ErrCorrupt.
func DecodeEntry(b []byte) ([]record.Chunk, error) {
	r := &reader{b: b}
	n := r.array("entry", 4, maxElements)
	if v := r.uint("version", entryVersion); v != entryVersion {
		r.fail("version: got %d, want %d", v, entryVersion)
	}
	crc := uint32(r.uint("checksum", maxUint32))
	body := r.bin("head", maxUint32)
	data := r.bin("data", maxUint32)
	r.skip(n - 4)
	r.end()
	if r.err == nil && record.CRC(body) != crc {
		r.fail("head: got checksum %08x, want %08x", record.CRC(body), crc)
	}
	if r.err != nil {
		return nil, fmt.Errorf("decode entry: %w", r.err)
	}
	h, err := readHead(body, headOptions{limit: MaxChunks, extents: true})
	if err == nil {
		err = h.attach(data)
	}
	if err != nil {
		return nil, fmt.Errorf("decode entry: %w", err)
	}
	return h.chunks, nil
}

// attach gives the chunks their pieces of data, in order.
func (h *head) attach(data []byte) error {
	if uint64(len(data)) != h.payload {
		return fmt.Errorf("payload: got %d bytes, want %d: %w", len(data), h.payload, record.ErrCorrupt)
	}
	for i := range h.chunks {
		if c := &h.chunks[i]; c.Len > 0 && len(c.Extents) == 0 {
			c.Data, data = data[:c.Len:c.Len], data[c.Len:]
		}
	}
	return nil
}
