package record

// Chain is a running 64-bit checksum over a stream's chunks in order. Two ends that have the same chain at
// a sequence have seen the same chunks; a queue that was rolled back or cloned shows as a difference.
type Chain uint64

// Next returns the chain after a chunk with the given sequence, payload CRC and length
// (for a gap: CRC 0, length 0 and its own sequence). FNV-1a over the 16 bytes, seeded with the chain so far.
func (c Chain) Next(seq uint64, crc, length uint32) Chain {
	const prime = 1099511628211
	h := uint64(c)
	if h == 0 {
		h = 14695981039346656037
	}
	for i := range 8 {
		h = (h ^ (seq >> (8 * i) & 0xff)) * prime
	}
	for i := range 4 {
		h = (h ^ uint64(crc>>(8*i)&0xff)) * prime
	}
	for i := range 4 {
		h = (h ^ uint64(length>>(8*i)&0xff)) * prime
	}
	return Chain(h)
}
