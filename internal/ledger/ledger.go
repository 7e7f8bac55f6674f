// Package ledger remembers, for every output of a receiver, how far each stream is durable and where the files stood then.
//
// It is one small goleveldb database. Keys are a kind, the output's name with its length in front, and the rest:
//
//	m NAME sender(16) epoch(8, big-endian)  mark: how far the output holds that stream
//	f NAME path                             position: identity and committed size of a file
//	i NAME                                  intent: the append that is under way, at most one for an output
//	r NAME                                  move: the renaming that is under way, at most one for an output
//	c NAME path NUL name                    closed: a rotated file that compression and retention look after
//	o NAME                                  roll: whether the output is one of the receiver's now, or was
//
// Values begin with a version byte (1) and are strict: a value that does not decode is dropped and reported as
// damage. What a ledger loses makes the next delivery at-least-once instead of exactly-once; it never loses data.
package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"
)

// Options say where a ledger lives.
type Options struct {
	Dir    string        // made with mode 0700 when missing
	Forget time.Duration // marks and positions not touched for so long are dropped at Open; 0: 90 days
	Logger *slog.Logger  // nil: silent
	// Storage opens the files of the database; nil: the directory itself. Tests put faults here.
	Storage func(dir string) (storage.Storage, error)
	// WriteBuffer is the size of the memory table in bytes; 0: 1 MiB.
	WriteBuffer int
}

// Report says what an opening found.
type Report struct {
	Salvaged   int    // entries brought over from a damaged database
	Damage     string // what was wrong; "" when nothing was
	Quarantine string // where the damaged files are now
	Forgotten  int    // marks and positions that were too old
}

// Ledger is one open database, shared by the outputs of a receiver. Its methods may be called concurrently.
type Ledger struct {
	opts Options

	mu       sync.Mutex // held for every use of what follows, reopening included
	db       *leveldb.DB
	stor     storage.Storage
	closed   bool
	salvages int
}

// Open opens the ledger in o.Dir or makes one. A damaged one is salvaged: what still reads is brought over, the
// damaged files are kept beside it, and the report says so. Only a directory that cannot be used is an error.
func Open(o Options) (*Ledger, Report, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Storage == nil {
		o.Storage = func(dir string) (storage.Storage, error) { return storage.OpenFile(dir, false) }
	}
	if o.Forget == 0 {
		o.Forget = 90 * 24 * time.Hour
	}
	if o.WriteBuffer == 0 {
		o.WriteBuffer = opt.MiB
	}
	l := &Ledger{opts: o}
	l.mu.Lock()
	defer l.mu.Unlock()
	rep, err := l.open()
	if err != nil {
		return nil, rep, err
	}
	if rep.Forgotten, err = l.forget(time.Now().Add(-o.Forget)); err != nil {
		l.drop()
		return nil, rep, err
	}
	return l, rep, nil
}

// Salvages counts the openings that found damage, those after a write error included.
func (l *Ledger) Salvages() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.salvages
}

// Close closes the database; every later call fails with ErrClosed.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.drop()
}

// options are strict about everything that could otherwise go missing silently: goleveldb by default skips a
// damaged journal record, and opens a damaged manifest without the tables it no longer names.
func (l *Ledger) options(strict opt.Strict) *opt.Options {
	return &opt.Options{
		Strict:                 strict,
		WriteBuffer:            l.opts.WriteBuffer,
		BlockCacheCapacity:     opt.MiB,
		OpenFilesCacheCapacity: 32,
		Compression:            opt.NoCompression,
	}
}

const wholly = opt.DefaultStrict | opt.StrictManifest | opt.StrictJournal

// write commits b. The first failed write ends the life of the handle: goleveldb leaves the failed record in its
// journal and gives its sequence to the next write, which a later recovery then drops. So the database is closed
// here, whatever the error was, and the next call opens it again.
func (l *Ledger) write(b *leveldb.Batch, sync bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(); err != nil {
		return err
	}
	if err := l.db.Write(b, &opt.WriteOptions{Sync: sync}); err != nil {
		l.drop()
		return fmt.Errorf("write ledger %s: %w", l.opts.Dir, err)
	}
	return nil
}

// get returns nil without an error when there is no such key.
func (l *Ledger) get(key []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(); err != nil {
		return nil, err
	}
	v, err := l.db.Get(key, nil)
	switch err {
	case nil:
		return v, nil
	case leveldb.ErrNotFound:
		return nil, nil
	}
	l.drop()
	return nil, fmt.Errorf("read ledger %s: %w", l.opts.Dir, err)
}

// ready reopens after an error. The caller holds mu.
func (l *Ledger) ready() error {
	if l.closed {
		return fmt.Errorf("ledger %s: %w", l.opts.Dir, record.ErrClosed)
	}
	if l.db != nil {
		return nil
	}
	_, err := l.open()
	return err
}

// open brings db to life, salvaging where needed. The caller holds mu.
func (l *Ledger) open() (Report, error) {
	if err := os.MkdirAll(l.opts.Dir, 0o700); err != nil {
		return Report{}, fmt.Errorf("open ledger: %w", err)
	}
	if err := l.finishSalvage(); err != nil {
		return Report{}, err
	}
	err := noPanic(func() error {
		if err := l.attach(l.path(current)); err != nil {
			return err
		}
		return l.verify()
	})
	if err == nil {
		return Report{}, nil
	}
	l.drop()
	if !damaged(err) {
		return Report{}, fmt.Errorf("open ledger %s: %w", l.opts.Dir, err)
	}
	rep, serr := l.salvage(err)
	if serr != nil {
		l.drop()
		return rep, fmt.Errorf("salvage ledger %s (damage: %v): %w", l.opts.Dir, err, serr)
	}
	l.salvages++
	l.opts.Logger.LogAttrs(context.Background(), slog.LevelWarn, "ledger was damaged; deliveries in doubt may come twice", notice.LedgerDamaged,
		slog.String("damage", rep.Damage), slog.Int("salvaged", rep.Salvaged), slog.String("quarantine", rep.Quarantine))
	return rep, nil
}

func (l *Ledger) attach(dir string) error {
	stor, err := l.opts.Storage(dir)
	if err != nil {
		return err
	}
	db, err := leveldb.Open(stor, l.options(wholly))
	if err != nil {
		stor.Close()
		return err
	}
	l.db, l.stor = db, stor
	return nil
}

// drop closes the database without hope. The caller holds mu.
func (l *Ledger) drop() error {
	if l.db == nil {
		return nil
	}
	err := l.db.Close()
	if serr := l.stor.Close(); err == nil {
		err = serr
	}
	l.db, l.stor = nil, nil
	return err
}
