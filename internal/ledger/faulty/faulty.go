// Package faulty is a goleveldb storage whose n-th operation fails, for the tests of those who keep state in a ledger.
package faulty

import (
	"errors"
	"sync"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// ErrInjected is what the chosen operation returns.
var ErrInjected = errors.New("injected fault")

// Disk counts the operations of every storage it opens and fails one of them.
type Disk struct {
	mu    sync.Mutex
	count int
	fail  int // the operation to fail, counted from 1; 0: none
	last  string
}

// New returns a disk whose operation number fail returns ErrInjected, once. A failed write has written half.
func New(fail int) *Disk { return &Disk{fail: fail} }

// Count returns how many operations there were.
func (d *Disk) Count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// Failed names the operation that failed, or is empty.
func (d *Disk) Failed() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

func (d *Disk) step(op string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	if d.count != d.fail {
		return nil
	}
	d.last = op
	return ErrInjected
}

// Open opens the files of dir through the disk.
func (d *Disk) Open(dir string) (storage.Storage, error) {
	if err := d.step("open " + dir); err != nil {
		return nil, err
	}
	s, err := storage.OpenFile(dir, false)
	if err != nil {
		return nil, err
	}
	return &faultyStorage{s, d}, nil
}

type faultyStorage struct {
	storage.Storage
	d *Disk
}

func (s *faultyStorage) SetMeta(fd storage.FileDesc) error {
	if err := s.d.step("setmeta " + fd.String()); err != nil {
		return err
	}
	return s.Storage.SetMeta(fd)
}

func (s *faultyStorage) GetMeta() (storage.FileDesc, error) {
	if err := s.d.step("getmeta"); err != nil {
		return storage.FileDesc{}, err
	}
	return s.Storage.GetMeta()
}

func (s *faultyStorage) List(ft storage.FileType) ([]storage.FileDesc, error) {
	if err := s.d.step("list"); err != nil {
		return nil, err
	}
	return s.Storage.List(ft)
}

func (s *faultyStorage) Open(fd storage.FileDesc) (storage.Reader, error) {
	if err := s.d.step("open " + fd.String()); err != nil {
		return nil, err
	}
	return s.Storage.Open(fd)
}

func (s *faultyStorage) Create(fd storage.FileDesc) (storage.Writer, error) {
	if err := s.d.step("create " + fd.String()); err != nil {
		return nil, err
	}
	w, err := s.Storage.Create(fd)
	if err != nil {
		return nil, err
	}
	return &faultyWriter{w, s.d, fd.String()}, nil
}

func (s *faultyStorage) Remove(fd storage.FileDesc) error {
	if err := s.d.step("remove " + fd.String()); err != nil {
		return err
	}
	return s.Storage.Remove(fd)
}

func (s *faultyStorage) Rename(from, to storage.FileDesc) error {
	if err := s.d.step("rename " + from.String()); err != nil {
		return err
	}
	return s.Storage.Rename(from, to)
}

type faultyWriter struct {
	storage.Writer
	d    *Disk
	name string
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if err := w.d.step("write " + w.name); err != nil {
		n, _ := w.Writer.Write(p[:len(p)/2])
		return n, err
	}
	return w.Writer.Write(p)
}

func (w *faultyWriter) Sync() error {
	if err := w.d.step("sync " + w.name); err != nil {
		return err
	}
	return w.Writer.Sync()
}
