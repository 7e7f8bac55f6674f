package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/syndtr/goleveldb/leveldb"
	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"ftfuse/internal/record"
)

// database is one open goleveldb.
type database struct {
	db   *leveldb.DB
	stor storage.Storage
}

type openMode uint8

const (
	openCreate   openMode = iota // made if missing
	openExisting                 // must be there
	openReading                  // must be there, changes nothing
	openRescue                   // ignores the MANIFEST, drops what does not verify
)

// openDatabase opens strictly: with goleveldb's defaults a flipped byte in a MANIFEST silently loses whole tables.
func openDatabase(o *Options, path string, mode openMode) (d *database, err error) {
	stor, err := o.Storage(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if (mode == openExisting || mode == openReading) && !o.inspects {
		if err := checkJournals(stor, o.whole); err != nil {
			stor.Close()
			return nil, fmt.Errorf("open database %s: %w", path, err)
		}
	}
	if mode == openReading {
		stor = oneJournal{stor}
	}
	opts := &opt.Options{
		Strict:                       opt.DefaultStrict | opt.StrictManifest,
		WriteBuffer:                  o.WriteBuffer,
		NoSync:                       o.Durability == Memory,
		Compression:                  opt.NoCompression,
		BlockCacheCapacity:           1 << 20,
		OpenFilesCacheCapacity:       32,
		DisableSeeksCompaction:       true,
		DisableLargeBatchTransaction: true, // an entry larger than the buffer still goes through the journal
		ErrorIfMissing:               mode == openExisting || mode == openReading,
		ReadOnly:                     mode == openReading,
	}
	var db *leveldb.DB
	err = guard(func() (err error) {
		if mode == openRescue {
			db, err = leveldb.Recover(stor, opts)
		} else {
			db, err = leveldb.Open(stor, opts)
		}
		return err
	})
	if err != nil {
		stor.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return &database{db, stor}, nil
}

// createDatabase makes a database that holds b. It appears at path when it is whole: one that was cut short while it
// was made looks like damage.
func createDatabase(o *Options, path string, b *leveldb.Batch) error {
	making := path + ".new"
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	d, err := openDatabase(o, making, openCreate)
	if err != nil {
		return errors.Join(err, os.RemoveAll(making))
	}
	if b.Len() > 0 {
		err = guard(func() error { return d.db.Write(b, &opt.WriteOptions{Sync: true}) })
	}
	if cerr := d.close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(making, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("create database %s: %w", path, err), os.RemoveAll(making))
	}
	return syncDir(filepath.Dir(path))
}

// close ends the handle; its error says nothing about what was acknowledged, so it is only for the log.
func (d *database) close() error {
	return errors.Join(guard(d.db.Close), d.stor.Close())
}

// guard turns a panic on damaged content into an error: goleveldb trusts lengths that it has read.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("goleveldb panicked: %v: %w", p, record.ErrCorrupt)
		}
	}()
	return f()
}

// damaged tells broken content from a disk that cannot be used just now: only the first is salvaged.
// A bad sector (EIO) is as final as a flipped bit; openers try again once before they believe it.
func damaged(err error) bool {
	return lerrors.IsCorrupted(errorsRoot(err)) || errors.Is(err, record.ErrCorrupt) ||
		errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) // a MANIFEST that was cut
}

// errorsRoot unwraps to the innermost error, because IsCorrupted looks at the type itself.
func errorsRoot(err error) error {
	for {
		if lerrors.IsCorrupted(err) {
			return err
		}
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// full translates a full disk into the house's kind.
func full(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: %w", record.ErrFull, err)
	}
	return err
}

// syncDir makes renames and new names in a folder durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// isFull knows a full disk. goleveldb prints the cause of a MANIFEST that cannot be written into its error instead of
// wrapping it (session_util.go, newManifest).
func isFull(err error) bool {
	for _, no := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, no) || err != nil && strings.Contains(err.Error(), no.Error()) {
			return true
		}
	}
	return false
}
