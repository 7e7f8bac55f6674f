package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

// The folders below Options.Dir. A salvage renames current to damagedNow, builds fresh from what it can read,
// renames fresh to current, and last damagedNow to damagedOld plus a time. A crash leaves one of these states,
// and finishSalvage takes it up from there.
const (
	current    = "db"
	fresh      = "db.fresh"
	damagedNow = "db.damaged"
	damagedOld = "db.damaged-"

	keepDamaged  = 3       // quarantined databases kept; older ones are removed
	maxSalvaged  = 1 << 21 // entries; a ledger has a few thousand
	maxBatchSize = 1 << 20 // bytes of one batch of salvaged entries
)

func (l *Ledger) path(name string) string { return filepath.Join(l.opts.Dir, name) }

// damaged tells broken content from a disk that could not be read just now: only the first is salvaged.
func damaged(err error) bool {
	return lerrors.IsCorrupted(err) || errors.Is(err, errValue) || errors.Is(err, errPanic)
}

// verify reads everything once, which checks every block's checksum. The caller holds mu.
func (l *Ledger) verify() error {
	it := l.db.NewIterator(nil, nil)
	defer it.Release()
	for it.Next() {
		if err := checkEntry(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Error()
}

// finishSalvage takes up what a crash in the middle of a salvage left.
func (l *Ledger) finishSalvage() error {
	if err := os.RemoveAll(l.path(fresh)); err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	if !exists(l.path(damagedNow)) {
		return nil
	}
	if !exists(l.path(current)) {
		return os.Rename(l.path(damagedNow), l.path(current)) // found damaged again, and salvaged again
	}
	_, err := l.quarantine()
	return err
}

// salvage moves the damaged database aside and makes a new one of what still reads. The caller holds mu.
func (l *Ledger) salvage(cause error) (Report, error) {
	rep := Report{Damage: cause.Error()}
	if err := os.Rename(l.path(current), l.path(damagedNow)); err != nil {
		return rep, err
	}
	entries := l.readable(l.path(damagedNow))
	rep.Salvaged = entries.count
	if err := l.attach(l.path(fresh)); err != nil {
		return rep, err
	}
	for _, b := range entries.batches {
		if err := l.db.Write(b, &opt.WriteOptions{Sync: true}); err != nil {
			return rep, err
		}
	}
	if err := l.drop(); err != nil {
		return rep, err
	}
	if err := os.Rename(l.path(fresh), l.path(current)); err != nil {
		return rep, err
	}
	var err error
	if rep.Quarantine, err = l.quarantine(); err != nil {
		return rep, err
	}
	if err := syncDir(l.opts.Dir); err != nil {
		return rep, err
	}
	return rep, l.attach(l.path(current))
}

func (l *Ledger) quarantine() (string, error) {
	to := l.path(damagedOld + time.Now().UTC().Format("20060102T150405.000000000"))
	if err := os.Rename(l.path(damagedNow), to); err != nil {
		return "", err
	}
	old, _ := filepath.Glob(l.path(damagedOld + "*"))
	slices.Sort(old)
	for len(old) > keepDamaged {
		if err := os.RemoveAll(old[0]); err != nil {
			return to, err
		}
		old = old[1:]
	}
	return to, nil
}

type salvaged struct {
	batches []*leveldb.Batch
	count   int
}

func (s *salvaged) add(key, value []byte) {
	if len(s.batches) == 0 || len(s.batches[len(s.batches)-1].Dump()) > maxBatchSize {
		s.batches = append(s.batches, new(leveldb.Batch))
	}
	s.batches[len(s.batches)-1].Put(key, value)
	s.count++
}

// readable collects the entries that can be read, first leniently in place (this loses a damaged journal record
// only), and when that fails from a database rebuilt out of its tables.
func (l *Ledger) readable(dir string) (s salvaged) {
	for _, open := range []func() error{
		func() error { return l.openLenient(dir) },
		func() error { return l.rebuild(dir) },
	} {
		err := noPanic(open)
		if err != nil {
			l.drop()
			continue
		}
		s = salvaged{}
		err = noPanic(func() error { return l.collect(&s) })
		l.drop()
		if err == nil {
			return s
		}
	}
	return s // what the last attempt read before it hit the damage
}

func (l *Ledger) collect(s *salvaged) error {
	it := l.db.NewIterator(nil, nil)
	defer it.Release()
	for s.count < maxSalvaged && it.Next() {
		if checkEntry(it.Key(), it.Value()) == nil {
			s.add(it.Key(), it.Value())
		}
	}
	return it.Error()
}

func (l *Ledger) openLenient(dir string) error {
	stor, err := l.opts.Storage(dir)
	if err != nil {
		return err
	}
	db, err := leveldb.Open(stor, l.options(opt.DefaultStrict|opt.StrictManifest))
	if err != nil {
		stor.Close()
		return err
	}
	l.db, l.stor = db, stor
	return nil
}

func (l *Ledger) rebuild(dir string) error {
	stor, err := l.opts.Storage(dir)
	if err != nil {
		return err
	}
	db, err := leveldb.Recover(stor, l.options(opt.StrictJournalChecksum|opt.StrictBlockChecksum))
	if err != nil {
		stor.Close()
		return err
	}
	l.db, l.stor = db, stor
	return nil
}

var errPanic = errors.New("goleveldb panicked")

// noPanic turns a panic into an error: on files that are arbitrary garbage goleveldb does not always return one.
func noPanic(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return f()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
