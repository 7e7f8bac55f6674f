package wire

import (
	"fmt"
	"strings"
	"sync"

	"ftfuse/internal/record"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Codec says how a batch's body is compressed.
type Codec uint8

// The codecs. The numbers are on the wire.
const (
	None Codec = 0
	S2   Codec = 1 // one S2 block (not the stream format)
	Zstd Codec = 2 // one zstd frame, no dictionary

	codecsEnd Codec = 3
)

// AllCodecs is what this package decodes, as in Limits.Codecs.
const AllCodecs = 1<<codecsEnd - 1

func (c Codec) String() string {
	return [...]string{"none", "s2", "zstd", "unknown"}[min(c, codecsEnd)]
}

// ParseCodec reads what String prints.
func ParseCodec(s string) (Codec, error) {
	for c := range codecsEnd {
		if c.String() == strings.ToLower(s) {
			return c, nil
		}
	}
	return None, fmt.Errorf("codec %q: want none, s2 or zstd", s)
}

// Bodies are small and independent: a window of their size is enough, and concurrency would only hold memory.
var (
	zstdWriter = sync.OnceValue(func() *zstd.Encoder {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20),
			zstd.WithEncoderConcurrency(2), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // constant options
		}
		return w
	})
	zstdReader = sync.OnceValue(func() *zstd.Decoder {
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(MaxBody),
			zstd.WithDecoderMaxWindow(MaxBody), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err) // constant options
		}
		return r
	})
)

// compress appends body to dst[:0] in compressed form.
func (c Codec) compress(dst, body []byte) []byte {
	if c == S2 {
		if need := s2.MaxEncodedLen(len(body)); cap(dst) < need {
			dst = make([]byte, need)
		}
		return s2.Encode(dst[:cap(dst)], body)
	}
	return zstdWriter().EncodeAll(body, dst[:0])
}

// decompress returns exactly size bytes, in dst if they fit there. No more than size bytes are ever made.
func (c Codec) decompress(dst, packed []byte, size int) (body []byte, err error) {
	if cap(dst) < size {
		dst = make([]byte, size)
	}
	dst = dst[:size:size]
	got := 0
	switch c {
	case S2:
		if got, err = s2.DecodedLen(packed); err == nil && got == size {
			body, err = s2.Decode(dst, packed)
		}
	case Zstd:
		body, err = zstdReader().DecodeAll(packed, dst[:0])
		got = len(body)
	default:
		return nil, fmt.Errorf("codec: got %d, want less than %d: %w", c, codecsEnd, record.ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %v: %w", c, err, record.ErrCorrupt)
	}
	if got != size {
		return nil, fmt.Errorf("%v: got %d bytes, want %d: %w", c, got, size, record.ErrCorrupt)
	}
	return body, nil
}
