package wire

import (
	"encoding/binary"
	"fmt"
	"math"

	"ftfuse/internal/record"
)

// reader walks one msgpack value in b. The first error stays; after it every method returns zero values,
// so that decoders check once. Nothing is allocated from a length before that many bytes are known to be there.
type reader struct {
	b   []byte
	off int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %s: %w", r.off, fmt.Sprintf(format, args...), record.ErrCorrupt)
	}
	r.off = len(r.b)
}

// take returns the next n bytes, or nil.
func (r *reader) take(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.b)-r.off) {
		r.fail("got %d bytes, want %d", len(r.b)-r.off, n)
		return nil
	}
	p := r.b[r.off : r.off+int(n) : r.off+int(n)]
	r.off += int(n)
	return p
}

func (r *reader) byte() byte {
	if r.off >= len(r.b) {
		r.fail("got the end, want a value")
		return codeNil
	}
	c := r.b[r.off]
	r.off++
	return c
}

// be reads a big-endian number of n bytes.
func (r *reader) be(n uint64) uint64 {
	p := r.take(n)
	switch len(p) {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(p))
	case 4:
		return uint64(binary.BigEndian.Uint32(p))
	case 8:
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// uint reads a number of at most limit.
func (r *reader) uint(what string, limit uint64) uint64 {
	if r.off < len(r.b) && r.b[r.off] <= posFixMax { // most numbers of a row
		v := uint64(r.b[r.off])
		r.off++
		if v > limit {
			r.fail("%s: got %d, want at most %d", what, v, limit)
			return 0
		}
		return v
	}
	v, neg := r.number(what)
	if neg || v > limit {
		r.fail("%s: got %d, want 0 to %d", what, int64(v), limit)
		return 0
	}
	return v
}

// int reads a signed number.
func (r *reader) int(what string) int64 {
	v, neg := r.number(what)
	if !neg && v > math.MaxInt64 {
		r.fail("%s: got %d, want at most %d", what, v, int64(math.MaxInt64))
		return 0
	}
	return int64(v)
}

// number reads any msgpack integer; negative ones come as two's complement with neg set.
func (r *reader) number(what string) (v uint64, neg bool) {
	c := r.byte()
	switch {
	case r.err != nil:
		return 0, false
	case c <= posFixMax:
		return uint64(c), false
	case c >= negFixMin:
		return uint64(int64(int8(c))), true
	}
	switch c {
	case codeUint8, codeUint16, codeUint32, codeUint64:
		return r.be(1 << (c - codeUint8)), false
	case codeInt8:
		v = uint64(int64(int8(r.be(1))))
	case codeInt16:
		v = uint64(int64(int16(r.be(2))))
	case codeInt32:
		v = uint64(int64(int32(r.be(4))))
	case codeInt64:
		v = r.be(8)
	default:
		r.fail("%s: got code 0x%02x, want a number", what, c)
		return 0, false
	}
	return v, int64(v) < 0
}

// bin reads bin or str of at most limit bytes; the result lies in r.b.
func (r *reader) bin(what string, limit uint64) []byte {
	c := r.byte()
	var n uint64
	switch {
	case r.err != nil:
		return nil
	case c&0xe0 == fixStr:
		n = uint64(c & 0x1f)
	case c == codeBin8 || c == codeStr8:
		n = r.be(1)
	case c == codeBin16 || c == codeStr16:
		n = r.be(2)
	case c == codeBin32 || c == codeStr32:
		n = r.be(4)
	default:
		r.fail("%s: got code 0x%02x, want bytes", what, c)
		return nil
	}
	if n > limit {
		r.fail("%s: got %d bytes, want at most %d", what, n, limit)
		return nil
	}
	return r.take(n)
}

func (r *reader) text(what string, limit uint64) string { return string(r.bin(what, limit)) }

// array reads an array's length: at least low (older formats never had fewer), at most limit, and never
// more than the bytes that are left.
func (r *reader) array(what string, low, limit int) int {
	c := r.byte()
	var n uint64
	switch {
	case r.err != nil:
		return 0
	case c&0xf0 == fixArray:
		n = uint64(c & 0x0f)
	case c == codeArray16:
		n = r.be(2)
	case c == codeArray32:
		n = r.be(4)
	default:
		r.fail("%s: got code 0x%02x, want an array", what, c)
		return 0
	}
	if r.err == nil && (n < uint64(low) || n > uint64(limit) || n > uint64(len(r.b)-r.off)) {
		r.fail("%s: got %d elements, want %d to %d", what, n, low, min(limit, len(r.b)-r.off))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// nil reads a nil if one is next.
func (r *reader) nil() bool {
	if r.err != nil || r.off >= len(r.b) || r.b[r.off] != codeNil {
		return false
	}
	r.off++
	return true
}

// skip passes over n values of any kind. It counts instead of recursing: depth costs nothing.
func (r *reader) skip(n int) {
	for left := uint64(max(n, 0)); left > 0 && r.err == nil; left-- {
		left += r.skipOne()
		if left > uint64(len(r.b)-r.off)+1 {
			r.fail("got %d more values announced than bytes", left)
		}
	}
}

// skipOne passes over one value without its elements and returns how many those are.
func (r *reader) skipOne() uint64 {
	c := r.byte()
	switch {
	case r.err != nil || c <= posFixMax || c >= negFixMin:
		return 0
	case c&0xf0 == fixMap:
		return 2 * uint64(c&0x0f)
	case c&0xf0 == fixArray:
		return uint64(c & 0x0f)
	case c&0xe0 == fixStr:
		r.take(uint64(c & 0x1f))
		return 0
	}
	switch c {
	case codeNil, codeFalse, codeTrue:
	case codeUint8, codeUint16, codeUint32, codeUint64:
		r.take(1 << (c - codeUint8))
	case codeInt8, codeInt16, codeInt32, codeInt64:
		r.take(1 << (c - codeInt8))
	case codeFloat:
		r.take(4)
	case codeDouble:
		r.take(8)
	case codeStr8, codeBin8:
		r.take(r.be(1))
	case codeStr16, codeBin16:
		r.take(r.be(2))
	case codeStr32, codeBin32:
		r.take(r.be(4))
	case codeFixExt1, codeFixExt2, codeFixExt4, codeFixExt8, codeFixExt16:
		r.take(1 + 1<<(c-codeFixExt1))
	case codeExt8, codeExt16, codeExt32:
		r.take(1 + r.be(1<<(c-codeExt8)))
	case codeArray16:
		return r.be(2)
	case codeArray32:
		return r.be(4)
	case codeMap16:
		return 2 * r.be(2)
	case codeMap32:
		return 2 * r.be(4)
	default:
		r.fail("got code 0x%02x, want a msgpack value", c)
	}
	return 0
}

// end demands that nothing is left.
func (r *reader) end() {
	if r.err == nil && r.off != len(r.b) {
		r.fail("got %d bytes behind the end", len(r.b)-r.off)
	}
}
