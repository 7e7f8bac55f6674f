package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"ftfuse/internal/record"
)

// The kinds of key.
const (
	kindMark     = 'm'
	kindPosition = 'f'
	kindIntent   = 'i'
	kindMove     = 'r'
	kindClosed   = 'c'
	kindRoll     = 'o'
)

// Book is one output's part of the ledger. Methods that take sync make the entry survive power loss before they
// return; the others make it survive a kill of the process. When a method fails the entry may or may not be
// there: read it again (Intent, Mark, Move) before going on.
type Book struct {
	l    *Ledger
	name string
}

// Book returns the part of the output called name.
func (l *Ledger) Book(name string) *Book { return &Book{l, name} }

func (b *Book) prefix(kind byte) []byte {
	return append(binary.AppendUvarint([]byte{kind}, uint64(len(b.name))), b.name...)
}

func (b *Book) key(kind byte, rest string) []byte { return append(b.prefix(kind), rest...) }

func (b *Book) markKey(s record.Stream) []byte {
	return binary.BigEndian.AppendUint64(append(b.prefix(kindMark), s.Sender[:]...), s.Epoch)
}

// Mark returns how far the output holds stream s; Seq is 0 when nothing is known.
func (b *Book) Mark(s record.Stream) (record.Durable, error) {
	d := record.Durable{Stream: s}
	v, err := b.l.get(b.markKey(s))
	if err != nil || v == nil {
		return d, err
	}
	d.Seq, d.Chain, _, err = decodeMark(v)
	return d, err
}

// Position returns where path stood, and false when the ledger does not know it.
func (b *Book) Position(path string) (Position, bool, error) {
	v, err := b.l.get(b.key(kindPosition, path))
	if err != nil || v == nil {
		return Position{}, false, err
	}
	p, err := decodePosition(v)
	return p, err == nil, err
}

// Begin records an append before its first byte is written.
func (b *Book) Begin(in *Intent, sync bool) error {
	var batch leveldb.Batch
	batch.Put(b.prefix(kindIntent), encodeIntent(in))
	return b.l.write(&batch, sync)
}

// Commit ends an append: the files stand at the positions, the streams at the marks, and the intent is gone.
func (b *Book) Commit(files []Position, marks []record.Durable, sync bool) error {
	var batch leveldb.Batch
	now := time.Now().UnixNano()
	for i := range files {
		batch.Put(b.key(kindPosition, files[i].Path), encodePosition(&files[i]))
	}
	for _, m := range marks {
		batch.Put(b.markKey(m.Stream), encodeMark(m, now))
	}
	batch.Delete(b.prefix(kindIntent))
	return b.l.write(&batch, sync)
}

// Intent returns the append that was begun and not ended, or nil.
func (b *Book) Intent() (*Intent, error) {
	v, err := b.l.get(b.prefix(kindIntent))
	if err != nil || v == nil {
		return nil, err
	}
	return decodeIntent(v)
}

// BeginMove records that a file is about to be renamed.
func (b *Book) BeginMove(m *Move, sync bool) error {
	var batch leveldb.Batch
	batch.Put(b.prefix(kindMove), encodeMove(m))
	return b.l.write(&batch, sync)
}

// EndMove ends a renaming. When it was done the position of the old name goes and the file counts as closed.
func (b *Book) EndMove(m *Move, done, sync bool) error {
	var batch leveldb.Batch
	if done {
		batch.Delete(b.key(kindPosition, m.Path))
		c := Closed{Path: m.Path, Name: m.To, Key: m.Key, At: m.At}
		batch.Put(b.closedKey(&c), encodeClosed(&c))
	}
	batch.Delete(b.prefix(kindMove))
	return b.l.write(&batch, sync)
}

// Move returns the renaming that was begun and not ended, or nil.
func (b *Book) Move() (*Move, error) {
	v, err := b.l.get(b.prefix(kindMove))
	if err != nil || v == nil {
		return nil, err
	}
	return decodeMove(v)
}

func (b *Book) closedKey(c *Closed) []byte { return b.key(kindClosed, c.Path+"\x00"+c.Name) }

// HasClosed says whether name is that of a rotated file of path, compressed or not.
func (b *Book) HasClosed(path, name string) (bool, error) {
	v, err := b.l.get(b.closedKey(&Closed{Path: path, Name: name}))
	return v != nil, err
}

// PutClosed changes what is known of a closed file.
func (b *Book) PutClosed(c *Closed, sync bool) error {
	var batch leveldb.Batch
	batch.Put(b.closedKey(c), encodeClosed(c))
	return b.l.write(&batch, sync)
}

// DropClosed forgets a closed file.
func (b *Book) DropClosed(c *Closed) error {
	var batch leveldb.Batch
	batch.Delete(b.closedKey(c))
	return b.l.write(&batch, false)
}

// Closed calls f for every closed file, those of one path together, until f returns false. f must not use the ledger.
func (b *Book) Closed(f func(Closed) bool) error {
	return b.l.each(b.prefix(kindClosed), func(_, v []byte) (bool, error) {
		c, err := decodeClosed(v)
		return err == nil && f(c), err
	})
}

// Positions calls f for every file that the output has written to and not rotated, until f returns false. f must not use the ledger.
func (b *Book) Positions(f func(Position) bool) error {
	return b.l.each(b.prefix(kindPosition), func(_, v []byte) (bool, error) {
		p, err := decodePosition(v)
		return err == nil && f(p), err
	})
}

// Trim forgets the positions that were written longest ago when there are more than most, so that three quarters of most
// stay, and returns how many those are. A file whose position is forgotten is known anew when it is written again, by
// its size then; what marks cover is not written twice all the same.
func (b *Book) Trim(most int) (int, error) {
	var written []int64
	if err := b.Positions(func(p Position) bool { written = append(written, p.Written); return true }); err != nil || len(written) <= most {
		return len(written), err
	}
	slices.Sort(written)
	cut := written[len(written)-1-most*3/4] // what was written then or before goes
	left := len(written)
	var old []string
	err := b.Positions(func(p Position) bool {
		if p.Written <= cut {
			old = append(old, p.Path)
		}
		return true
	})
	for some := range slices.Chunk(old, 1000) {
		var batch leveldb.Batch
		for _, path := range some {
			batch.Delete(b.key(kindPosition, path))
		}
		if err == nil {
			err = b.l.write(&batch, false)
		}
		if err == nil {
			left -= len(some)
		}
	}
	return left, err
}

func (l *Ledger) each(prefix []byte, f func(k, v []byte) (bool, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(); err != nil {
		return err
	}
	it := l.db.NewIterator(util.BytesPrefix(prefix), nil)
	defer it.Release()
	for it.Next() {
		if more, err := f(it.Key(), it.Value()); !more || err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read ledger %s: %w", l.opts.Dir, err)
	}
	return nil
}

// checkEntry decodes an entry of any kind.
func checkEntry(key, value []byte) (err error) {
	if len(key) == 0 {
		return fmt.Errorf("ledger key is empty: %w", errValue)
	}
	switch key[0] {
	case kindMark:
		_, _, _, err = decodeMark(value)
	case kindPosition:
		_, err = decodePosition(value)
	case kindIntent:
		_, err = decodeIntent(value)
	case kindMove:
		_, err = decodeMove(value)
	case kindClosed:
		_, err = decodeClosed(value)
	case kindRoll:
		_, err = decodeRoll(value)
	default:
		err = fmt.Errorf("ledger key of kind %q: %w", key[0], errValue)
	}
	return err
}

// forget drops marks of epochs that ended long ago and positions of files not written for as long, so that the
// ledger stays small. A sender's newest epoch is kept whatever its age. The caller holds mu.
func (l *Ledger) forget(before time.Time) (int, error) {
	var batch leveldb.Batch
	var held []byte // the mark before this one, if it is too old: it goes when the same sender has a newer one
	it := l.db.NewIterator(nil, nil)
	defer it.Release()
	for it.Next() {
		k, v := it.Key(), it.Value()
		switch k[0] {
		case kindMark:
			if held != nil && len(held) == len(k) && bytes.Equal(held[:len(k)-8], k[:len(k)-8]) {
				batch.Delete(held)
			}
			held = nil
			if _, _, at, err := decodeMark(v); err == nil && at < before.UnixNano() && len(k) > 8 {
				held = bytes.Clone(k)
			}
		case kindPosition:
			if p, err := decodePosition(v); err == nil && p.Written < before.UnixNano() {
				batch.Delete(k)
			}
		}
	}
	if err := it.Error(); err != nil {
		return 0, err
	}
	if batch.Len() == 0 {
		return 0, nil
	}
	return batch.Len(), l.db.Write(&batch, nil)
}
