package queue

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"

	"ftfuse/internal/record"
)

// journalBlock is goleveldb's journal.blockSize: what begins in a new block does not depend on what lies before.
const journalBlock = 32 << 10

// oneJournal shows several journals as one, padded to whole blocks with zeros, which a journal reader skips.
// goleveldb's read-only open fails with EOF on the second of two journals (recoverJournalRO takes the end of the
// first, which Reset returns, for an error), and two is what a database has that was closed or killed while it
// flushed. Opening for writing instead would need room on the disk, and draining a full disk must not.
type oneJournal struct{ storage.Storage }

func (s oneJournal) List(t storage.FileType) ([]storage.FileDesc, error) {
	list, err := s.Storage.List(t)
	if t != storage.TypeJournal || len(list) < 2 {
		return list, err
	}
	sortJournals(list)
	return list[len(list)-1:], err
}

func sortJournals(list []storage.FileDesc) {
	slices.SortFunc(list, func(a, b storage.FileDesc) int { return cmp.Compare(a.Num, b.Num) })
}

func (s oneJournal) Open(fd storage.FileDesc) (storage.Reader, error) {
	if fd.Type != storage.TypeJournal {
		return s.Storage.Open(fd)
	}
	list, err := s.Storage.List(storage.TypeJournal)
	if err != nil {
		return nil, err
	}
	if len(list) < 2 {
		return s.Storage.Open(fd)
	}
	sortJournals(list)
	j := &joined{}
	for _, fd := range list {
		r, err := s.Storage.Open(fd)
		if err != nil {
			j.Close()
			return nil, err
		}
		j.Reader = r
		j.files = append(j.files, r)
		if err := j.add(r); err != nil {
			j.Close()
			return nil, err
		}
	}
	j.stream = io.MultiReader(j.parts...)
	return j, nil
}

// joined reads files one after the other. goleveldb only calls Read and Close on a journal.
type joined struct {
	storage.Reader // the last one, for the methods that are not called
	files          []storage.Reader
	parts          []io.Reader
	stream         io.Reader
}

func (j *joined) add(r storage.Reader) error {
	size, err := r.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = r.Seek(0, io.SeekStart)
	}
	j.parts = append(j.parts, r, bytes.NewReader(make([]byte, -size&(journalBlock-1))))
	return err
}

func (j *joined) Read(p []byte) (int, error) { return j.stream.Read(p) }

func (j *joined) Close() (err error) {
	for _, f := range j.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// checkJournals reads the journals of a database. goleveldb passes over what does not verify in them and removes
// them then, and nobody would have anything left to look into.
func checkJournals(stor storage.Storage, whole bool) error {
	list, err := stor.List(storage.TypeJournal)
	if err != nil {
		return err
	}
	for _, fd := range list {
		if err := checkJournal(stor, fd, whole); err != nil {
			return err
		}
	}
	return nil
}

// checkJournal finds damage before a record that verifies. What does not verify at the end is what a loss of power or a full disk
// leaves, and no damage unless the journal must be whole.
func checkJournal(stor storage.Storage, fd storage.FileDesc, whole bool) error {
	r, err := stor.Open(fd)
	if err != nil {
		return err
	}
	defer r.Close()
	block := make([]byte, journalBlock)
	bad := int64(-1)
	for at := int64(0); ; at += journalBlock {
		n, err := io.ReadFull(r, block)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		sound := checkBlock(block[:n], at, &bad)
		if bad >= 0 && (sound || whole) {
			return fmt.Errorf("journal %06d: got no sound record at byte %d: %w", fd.Num, bad, record.ErrCorrupt)
		}
		if n < journalBlock {
			return nil
		}
	}
}

// checkBlock sets bad, if it is -1, to where a block that begins at byte at of its journal is first damaged, and says
// whether anything sound follows bad. A piece of a record is 4 bytes of checksum, 2 of length, 1 of type, little
// endian, and the bytes (goleveldb's leveldb/journal); a block's last 6 bytes hold none.
func checkBlock(b []byte, at int64, bad *int64) (sound bool) {
	for off := 0; off+7 <= len(b); {
		end := off + 7 + int(binary.LittleEndian.Uint16(b[off+4:]))
		if kind := b[off+6]; kind < 1 || kind > 4 || end > len(b) {
			if *bad < 0 {
				*bad = at + int64(off)
			}
			return false
		}
		if util.NewCRC(b[off+6:end]).Value() == binary.LittleEndian.Uint32(b[off:]) {
			if *bad >= 0 {
				return true
			}
		} else if *bad < 0 {
			*bad = at + int64(off)
		}
		off = end
	}
	return false
}
