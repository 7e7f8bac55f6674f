package capture

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"ftfuse/internal/record"
)

// A row of a log segment's index: 64 bytes, little-endian.
//
//	0 kind u8, flags u8, zero u16   4 length of the payload u32   8 its offset in the .log u32  12 writer number u32
//	16 handle u64   24 stream offset u64   32 time i64   40 FUSE unique u64   48 offset in the file i64
//	56 CRC-32C of the payload u32   60 check u32: CRC-32C of bytes 0..59, 1 if that is 0
//
// The check is stored last and atomically: a row without it does not exist. Version 1; never changes.
const rowSize = 64

const (
	rowOpen   = 1 // payload: the handle's meta
	rowWriter = 2 // payload: a writer, by its number within this segment
	rowWrite  = 3 // payload: what one write(2) wrote
	rowClose  = 4 // the handle is closed
)

type row struct {
	kind   uint8
	length uint32
	off    uint32
	writer uint32
	handle uint64
	stream uint64
	at     int64
	unique uint64
	voff   int64
	crc    uint32
}

// put stores r at b, the check last, so that a reader in this process or the next sees all of the row or none.
func (r *row) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(r.kind))
	le.PutUint32(b[4:], r.length)
	le.PutUint32(b[8:], r.off)
	le.PutUint32(b[12:], r.writer)
	le.PutUint64(b[16:], r.handle)
	le.PutUint64(b[24:], r.stream)
	le.PutUint64(b[32:], uint64(r.at))
	le.PutUint64(b[40:], r.unique)
	le.PutUint64(b[48:], uint64(r.voff))
	le.PutUint32(b[56:], r.crc)
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&b[60])), checkOf(b))
}

func checkOf(b []byte) uint32 { return max(record.CRC(b[:60]), 1) }

// get loads the row at b; ok is false when there is none yet, torn when there is something else.
func getRow(b []byte) (r row, ok, torn bool) {
	check := atomic.LoadUint32((*uint32)(unsafe.Pointer(&b[60])))
	if check == 0 {
		return row{}, false, false
	}
	if check != checkOf(b) {
		return row{}, false, true
	}
	le := binary.LittleEndian
	return row{
		kind: b[0], length: le.Uint32(b[4:]), off: le.Uint32(b[8:]), writer: le.Uint32(b[12:]),
		handle: le.Uint64(b[16:]), stream: le.Uint64(b[24:]), at: int64(le.Uint64(b[32:])),
		unique: le.Uint64(b[40:]), voff: int64(le.Uint64(b[48:])), crc: le.Uint32(b[56:]),
	}, true, false
}
