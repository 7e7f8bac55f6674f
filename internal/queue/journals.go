package queue

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/syndtr/goleveldb/leveldb/storage"
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
