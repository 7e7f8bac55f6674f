package wire

import (
	"fmt"
	"runtime"
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

// zstdReader is one for all connections: the few that decompress at a time take turns with its states (0.2 MiB each,
// 2 GB/s), and ten thousand idle ones hold none. With a single state two busy connections have half the speed.
var zstdReader = sync.OnceValue(func() *zstd.Decoder {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(min(4, runtime.GOMAXPROCS(0))), zstd.WithDecoderMaxMemory(MaxBody),
		zstd.WithDecoderMaxWindow(MaxBody), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // constant options
	}
	return r
})

// zstdWriters has one encoder for each of the library's levels, made when first used: 1.7 MiB for zstd's levels 1 and 2,
// 2.8 up to 5, 5.5 up to 9, 35 MiB from 10 on. Connections share it and take turns, for that memory's sake. Bodies are
// small and independent: a window of their size is enough.
var zstdWriters = func() (w [zstd.SpeedBestCompression + 1]func() *zstd.Encoder) {
	for level := range w {
		w[level] = sync.OnceValue(func() *zstd.Encoder {
			w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevel(level)), zstd.WithWindowSize(1<<20),
				zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
			if err != nil {
				panic(err) // constant options
			}
			return w
		})
	}
	return w
}()

// compress appends body to dst[:0] in compressed form. level is zstd's; others have none.
func (c Codec) compress(dst, body []byte, level int) []byte {
	if c == S2 {
		if need := s2.MaxEncodedLen(len(body)); cap(dst) < need {
			dst = make([]byte, need)
		}
		return s2.Encode(dst[:cap(dst)], body)
	}
	return zstdWriters[zstd.EncoderLevelFromZstd(level)]().EncodeAll(body, dst[:0])
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
