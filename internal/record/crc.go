package record

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC returns the CRC-32C of p, as in Chunk.CRC.
func CRC(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// AddCRC continues crc over p.
func AddCRC(crc uint32, p []byte) uint32 { return crc32.Update(crc, castagnoli, p) }

// JoinCRC returns the CRC-32C of two runs of bytes, one after the other, from the CRC of each and the
// length of the second: the first is shifted by that many zero bytes, that is multiplied by x^(8n) modulo
// the polynomial (the method of zlib's crc32_combine).
func JoinCRC(first, second uint32, secondLen int64) uint32 {
	shift := uint32(1 << 31) // x^0
	for n, k := uint64(secondLen)<<3, 0; n > 0; n, k = n>>1, k+1 {
		if n&1 != 0 {
			shift = mulMod(xPow2[k%31], shift)
		}
	}
	return mulMod(shift, first) ^ second
}

// xPow2[k] is x^(2^k) modulo the polynomial, bit-reflected. CRC-32C's polynomial is (x+1) times a primitive
// one of degree 31, so x has order 2^31-1 and the powers repeat every 31.
var xPow2 = func() (t [31]uint32) {
	p := uint32(1 << 30) // x^1
	for k := range t {
		t[k] = p
		p = mulMod(p, p)
	}
	return t
}()

// mulMod multiplies two bit-reflected polynomials modulo CRC-32C's.
func mulMod(a, b uint32) uint32 {
	var p uint32
	for m := uint32(1 << 31); a != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
			a &^= m
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return p
}
