package format

import (
	"encoding/binary"

	"ftfuse/internal/record"
)

// msgpackFormat writes one map of MessagePack for each record, with nothing between the maps, and the keys of json
// (github.com/msgpack/msgpack, spec.md): always map 16, keys are fixstr, numbers unsigned in their shortest form, time
// is the timestamp extension (type -1; 64 bits, or 96 before 1970), data is bin. Other text is str, or bin where it is
// not valid UTF-8. Line ends, pieces and gaps are as in json; a gap's value is a fixmap.
type msgpackFormat struct {
	who  who
	tail []byte // the attributes
	keys int    // how many those are

	// What is the same for all records of the chunk.
	middle []byte // from seq to the key of the offset
	rest   []byte // what follows the offset, tail included
	shared int    // how many keys both have, offset included
}

func (m *msgpackFormat) Gaps() bool { return true }

func (m *msgpackFormat) Overhead(c *record.Chunk) int {
	m.attributes(c)
	return 100 + len(m.tail)
}

func (m *msgpackFormat) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	if m.attributes(c); c.Gap != nil {
		return m.gap(dst, c)
	}
	m.prepare(c)
	EachRecord(c, func(rec []byte, off int, at int64) {
		dst = spill(dst)
		e, n := endingOf(c, rec, off), m.shared+2
		head := len(dst)
		dst = append(dst, 0xde, 0, 0)
		dst = appendTime(appendKey(dst, "time"), at)
		dst = appendBin(appendKey(dst, "data"), e.text)
		for _, flag := range [...]struct {
			key string
			set bool
		}{{"no_lf", e.none}, {"continues", e.continues}, {"continued", e.continued}} {
			if flag.set {
				n++
				dst = append(appendKey(dst, flag.key), 0xc3)
			}
		}
		if e.end != nil {
			n++
			dst = appendStr(appendKey(dst, "end"), e.end)
		}
		binary.BigEndian.PutUint16(dst[head+1:], uint16(n))
		dst = append(dst, m.middle...)
		dst = appendUint(dst, c.Offset+uint64(off))
		dst = append(dst, m.rest...)
	})
	return dst
}

// prepare renders what is the same for all records of c.
func (m *msgpackFormat) prepare(c *record.Chunk) {
	m.shared = m.keys + 4
	b := appendUint(appendKey(m.middle[:0], "seq"), c.Seq)
	b = appendUint(appendKey(b, "handle"), c.Handle)
	m.middle = appendKey(b, "offset")
	r := appendStr(appendKey(m.rest[:0], "clock"), c.Clock.String())
	if c.Flags&record.Below != 0 {
		m.shared++
		r = append(appendKey(r, "below"), 0xc3)
	}
	m.rest = append(r, m.tail...)
}

func (m *msgpackFormat) gap(dst []byte, c *record.Chunk) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, 0xde), uint16(m.keys+2))
	dst = appendTime(appendKey(dst, "time"), c.Time)
	dst = append(appendKey(dst, "gap"), 0x85)
	dst = appendUint(appendKey(dst, "first"), c.Gap.First)
	dst = appendUint(appendKey(dst, "last"), c.Seq)
	dst = appendStr(appendKey(dst, "reason"), c.Gap.Reason.String())
	dst = appendUint(appendKey(dst, "bytes"), c.Gap.Bytes)
	dst = appendUint(appendKey(dst, "records"), c.Gap.Records)
	return append(dst, m.tail...)
}

func (m *msgpackFormat) attributes(c *record.Chunk) {
	if !m.who.same(c) {
		m.keys = 0
		m.tail = m.who.attributes(m, m.tail[:0], c)
	}
}

func (m *msgpackFormat) number(dst []byte, key string, v uint64) []byte {
	m.keys++
	return appendUint(appendKey(dst, key), v)
}

func (m *msgpackFormat) text(dst []byte, key, v string) []byte {
	m.keys++
	return appendStr(appendKey(dst, key), v)
}

// appendKey appends a key of at most 31 bytes.
func appendKey(dst []byte, key string) []byte {
	return append(append(dst, 0xa0|byte(len(key))), key...)
}

func appendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 1<<7:
		return append(dst, byte(v))
	case v < 1<<8:
		return append(dst, 0xcc, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), v)
}

// appendStr appends text as str, or as bin where it is not UTF-8.
func appendStr[T string | []byte](dst []byte, v T) []byte {
	n := len(v)
	switch {
	case !valid(v):
		return appendBin(dst, v)
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n < 1<<8:
		dst = append(dst, 0xd9, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, v...)
}

func appendBin[T string | []byte](dst []byte, v T) []byte {
	switch n := len(v); {
	case n < 1<<8:
		dst = append(dst, 0xc4, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xc5), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xc6), uint32(n))
	}
	return append(dst, v...)
}

// appendTime appends ns since 1970 as the timestamp extension.
func appendTime(dst []byte, at int64) []byte {
	sec, ns := at/1e9, at%1e9
	if ns < 0 {
		sec, ns = sec-1, ns+1e9
	}
	if sec>>34 == 0 {
		return binary.BigEndian.AppendUint64(append(dst, 0xd7, 0xff), uint64(ns)<<34|uint64(sec))
	}
	dst = binary.BigEndian.AppendUint32(append(dst, 0xc7, 12, 0xff), uint32(ns))
	return binary.BigEndian.AppendUint64(dst, uint64(sec))
}
