package ledger

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/syndtr/goleveldb/leveldb"

	"ftfuse/internal/record"
)

// The roll says which outputs take part: all that takes part holds every stream up to the same chunk, or is behind
// because it fails. An output that comes later, or again, must begin where the others are: its marks, or their lack,
// would say that all before was lost, and its checksums would never again be those of the sender.

// Part is how an output stands to the roll.
type Part uint8

// The parts.
const (
	New  Part = iota // nothing is known of it
	In               // it takes part, or did when ledgers had no roll
	Left             // it took part once
)

func encodeRoll(in bool) []byte {
	if in {
		return []byte{version, 1}
	}
	return []byte{version, 0}
}

func decodeRoll(v []byte) (in bool, err error) {
	if len(v) != 2 || v[0] != version || v[1] > 1 {
		return false, fmt.Errorf("decode ledger roll: got %d bytes, want 2: %w", len(v), errValue)
	}
	return v[1] == 1, nil
}

// Part returns how the output stands to the roll.
func (b *Book) Part() (Part, error) {
	v, err := b.l.get(b.prefix(kindRoll))
	if err != nil {
		return New, err
	}
	if v != nil {
		in, err := decodeRoll(v)
		if in || err != nil {
			return In, err
		}
		return Left, nil
	}
	p := New
	err = b.Marks(func(record.Durable, time.Time) bool {
		p = In
		return false
	})
	return p, err
}

// Enrol makes the output take part, from marks on. It survives power loss: an output that is not on the roll and fails
// would be thought new, and given marks of what it has not.
func (b *Book) Enrol(marks []record.Durable) error {
	var batch leveldb.Batch
	now := time.Now().UnixNano()
	for _, m := range marks {
		batch.Put(b.markKey(m.Stream), encodeMark(m, now))
	}
	batch.Put(b.prefix(kindRoll), encodeRoll(true))
	return b.l.write(&batch, true)
}

// Retire notes that the output takes part no more. Its marks stay.
func (b *Book) Retire() error {
	var batch leveldb.Batch
	batch.Put(b.prefix(kindRoll), encodeRoll(false))
	return b.l.write(&batch, true)
}

// Enrolled returns the names on the roll.
func (l *Ledger) Enrolled() (names []string, err error) {
	err = l.each([]byte{kindRoll}, func(k, v []byte) (bool, error) {
		n, size := binary.Uvarint(k[1:])
		if size <= 0 || uint64(len(k)-1-size) != n {
			return false, fmt.Errorf("ledger roll: got a key of %d bytes: %w", len(k), errValue)
		}
		in, err := decodeRoll(v)
		if in {
			names = append(names, string(k[1+size:]))
		}
		return err == nil, err
	})
	return names, err
}

// Marks calls f for every stream that the output holds something of, with the time when that changed last, until f returns
// false. f must not use the ledger.
func (b *Book) Marks(f func(d record.Durable, touched time.Time) bool) error {
	prefix := b.prefix(kindMark)
	return b.l.each(prefix, func(k, v []byte) (bool, error) {
		var d record.Durable
		rest := k[len(prefix):]
		if len(rest) != len(d.Sender)+8 {
			return false, fmt.Errorf("ledger mark: got a key of %d bytes: %w", len(k), errValue)
		}
		copy(d.Sender[:], rest)
		d.Epoch = binary.BigEndian.Uint64(rest[len(d.Sender):])
		var at int64
		var err error
		d.Seq, d.Chain, at, err = decodeMark(v)
		return err == nil && f(d, time.Unix(0, at)), err
	})
}
