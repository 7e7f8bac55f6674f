package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "github.com/ncruces/go-sqlite3/driver" // registers "sqlite3"; pure Go, and the quickest to build of those that are

	"ftfuse/receiver"
)

// schema: sequences, epochs and chains are 64 bits without sign; SQLite's integers have a sign, and the same bits.
const schema = `
CREATE TABLE IF NOT EXISTS lines (
	id INTEGER PRIMARY KEY, -- in the order of arrival, which within a handle is the order of writing
	sender BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, handle INTEGER NOT NULL, "offset" INTEGER NOT NULL,
	time INTEGER NOT NULL, -- nanoseconds since 1970 UTC
	clock TEXT NOT NULL,
	host TEXT NOT NULL, mount TEXT NOT NULL, path TEXT NOT NULL, rule TEXT NOT NULL,
	uid INTEGER NOT NULL, gid INTEGER NOT NULL, pid INTEGER NOT NULL, tid INTEGER NOT NULL,
	comm TEXT NOT NULL, exe TEXT NOT NULL, unit TEXT NOT NULL, container TEXT NOT NULL,
	continues INTEGER NOT NULL, continued INTEGER NOT NULL, -- 1: a piece of a line longer than 1 MiB
	data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS gaps (
	sender BLOB NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, time INTEGER NOT NULL,
	host TEXT NOT NULL, path TEXT, reason TEXT NOT NULL, bytes INTEGER NOT NULL, records INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS marks (
	sender BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, chain INTEGER NOT NULL,
	PRIMARY KEY (sender, epoch)
) WITHOUT ROWID;`

const (
	insertLine = `INSERT INTO lines (sender, epoch, seq, handle, "offset", time, clock, host, mount, path, rule, uid, gid, pid, tid, comm, exe, unit,
		container, continues, continued, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertGap = `INSERT INTO gaps (sender, epoch, first, last, time, host, path, reason, bytes, records) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	// No row is changed when the mark is not where the batch begins: another receiver has the same database.
	moveMark = `INSERT INTO marks (sender, epoch, seq, chain) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (sender, epoch) DO UPDATE SET seq = ?3, chain = ?4 WHERE seq = ?5 AND chain = ?6`
	readMark = `SELECT seq, chain FROM marks WHERE sender = ? AND epoch = ?`
)

// store is a receiver.Store. The database is safe against kill -9 and power loss: a write-ahead log, synced at each commit.
type store struct {
	db                         *sql.DB
	line, gap, moving, reading *sql.Stmt
}

func openStore(ctx context.Context, file string) (_ *store, err error) {
	name := "file:" + (&url.URL{Path: file}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_txlock=immediate"
	s := &store{}
	if s.db, err = sql.Open("sqlite3", name); err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open %s: %w", file, err), s.db.Close())
		}
	}()
	s.db.SetMaxOpenConns(1) // SQLite has one writer at a time; waiting here is cheaper than in its lock
	if _, err := s.db.ExecContext(ctx, schema); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		to   **sql.Stmt
		text string
	}{{&s.line, insertLine}, {&s.gap, insertGap}, {&s.moving, moveMark}, {&s.reading, readMark}} {
		if *p.to, err = s.db.PrepareContext(ctx, p.text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *store) Close() error { return s.db.Close() }

// Mark implements receiver.Store.
func (s *store) Mark(ctx context.Context, of receiver.Stream) (receiver.Mark, error) {
	var seq, chain int64
	err := s.reading.QueryRowContext(ctx, of.Sender[:], int64(of.Epoch)).Scan(&seq, &chain)
	if errors.Is(err, sql.ErrNoRows) {
		return receiver.Mark{}, nil
	}
	if err != nil {
		return receiver.Mark{}, fmt.Errorf("read mark: %w", err)
	}
	return receiver.Mark{Seq: uint64(seq), Chain: uint64(chain)}, nil
}

// Put implements receiver.Store.
func (s *store) Put(ctx context.Context, b *receiver.Batch) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing behind a commit
	for i := range b.Chunks {
		if err := s.chunk(ctx, tx, &b.Chunks[i]); err != nil {
			return err
		}
	}
	if err := s.advance(ctx, tx, b.Advances); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (s *store) chunk(ctx context.Context, tx *sql.Tx, c *receiver.Chunk) error {
	of, host := c.Source.Stream, c.Source.Host
	if g := c.Gap; g != nil {
		var path sql.NullString
		if c.File != nil {
			path = sql.NullString{String: c.File.Path, Valid: true}
		}
		_, err := tx.StmtContext(ctx, s.gap).ExecContext(ctx, of.Sender[:], int64(of.Epoch), int64(g.First), int64(c.Seq), c.Time.UnixNano(), host, path,
			g.Reason.String(), int64(g.Bytes), int64(g.Records))
		if err != nil {
			return fmt.Errorf("insert gap: %w", err)
		}
		return nil
	}
	insert := tx.StmtContext(ctx, s.line)
	f, w := c.File, c.Writer
	for r := range c.Records() {
		_, err := insert.ExecContext(ctx, of.Sender[:], int64(of.Epoch), int64(c.Seq), int64(c.Handle), int64(r.Offset), r.Time.UnixNano(), c.Clock.String(), host, f.Mount, f.Path, f.Rule,
			w.UID, w.GID, w.PID, w.TID, w.Comm, w.Exe, w.Unit, w.Container, r.Continues, r.Continued, r.Data)
		if err != nil {
			return fmt.Errorf("insert line: %w", err)
		}
	}
	return nil
}

func (s *store) advance(ctx context.Context, tx *sql.Tx, advances []receiver.Advance) error {
	for _, a := range advances {
		done, err := tx.StmtContext(ctx, s.moving).ExecContext(ctx, a.Sender[:], int64(a.Epoch), int64(a.To.Seq), int64(a.To.Chain), int64(a.From.Seq), int64(a.From.Chain))
		if err != nil {
			return fmt.Errorf("move mark: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("move mark of sender %v, epoch %d: got %d rows, want one with sequence %d (%w)", a.Sender, a.Epoch, n, a.From.Seq, errors.Join(err, errMoved))
		}
	}
	return nil
}

var errMoved = errors.New("somebody else stores into this database")
