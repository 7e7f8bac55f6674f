package filter

import "encoding/binary"

// next returns the first position from i on at which b may hold a gram of the pass, to or more if there is none before to. It
// looks at i and at every stride-th position behind it, four at a time as long as it can: none of the looks waits for another,
// and one branch asks for all four.
func (p *pass) next(b []byte, i, to int) int {
	if p.width == 2 {
		i = p.nextNarrow(b, i, min(to, len(b)))
	} else {
		i = p.nextWide(b, i, min(to, len(b)))
	}
	for ; i < to; i += p.stride {
		if i+p.width > len(b) {
			return to
		}
		if p.has(p.gramAt(b, i)) != 0 {
			return i
		}
	}
	return i
}

// nextNarrow returns a position behind which there is one of interest among four, or are less than four. The stride of a
// narrow pass is 1 or 2, so that eight bytes hold four grams.
func (p *pass) nextNarrow(b []byte, i, to int) int {
	const folds = uint64(gramFold)<<32 | gramFold
	for step := 8 * p.stride; i+8 <= to; i += 4 * p.stride {
		w := binary.LittleEndian.Uint64(b[i:]) | folds
		if p.has(uint32(w&0xffff))|p.has(uint32(w>>step&0xffff))|p.has(uint32(w>>(2*step)&0xffff))|p.has(uint32(w>>(3*step)&0xffff)) != 0 {
			break
		}
	}
	return i
}

func (p *pass) nextWide(b []byte, i, to int) int {
	for s := p.stride; i+3*s+4 <= to; i += 4 * s {
		q := b[i : i+3*s+4]
		if p.has(wideAt(q, 0))|p.has(wideAt(q, s))|p.has(wideAt(q, 2*s))|p.has(wideAt(q, 3*s)) != 0 {
			break
		}
	}
	return i
}

// has is not 0 if v is the hash of some gram of the pass, or shares one's.
func (p *pass) has(v uint32) uint64 {
	h := gramHash(v)
	return p.set[h/64%(gramBits/64)] >> (h % 64) & 1
}

func (p *pass) gramAt(b []byte, i int) uint32 {
	if p.width == 2 {
		return uint32(binary.LittleEndian.Uint16(b[i:])) | gramFold&0xffff
	}
	return wideAt(b, i)
}

func wideAt(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) | gramFold }
