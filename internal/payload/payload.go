// Package payload brings what chunks refer to back from spools, and verifies it.
package payload

import (
	"errors"
	"fmt"
	"syscall"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// Loader brings payload from spools into one buffer, reused from batch to batch, and verifies it.
type Loader struct {
	Store record.Store
	buf   []byte
}

// Bad says which chunk cannot be had, and why; Judge says what follows.
type Bad struct {
	Chunk *record.Chunk
	Err   error
}

func (b *Bad) Error() string {
	return fmt.Sprintf("read payload of chunk %d: %v", b.Chunk.Seq, b.Err)
}
func (b *Bad) Unwrap() error { return b.Err }

// Load gives every chunk its Data and checks it against CRC. Data is valid until the next Load. An error about one chunk is a *Bad.
func (l *Loader) Load(chunks []record.Chunk) error {
	need := 0
	for i := range chunks {
		if len(chunks[i].Extents) > 0 {
			need += int(chunks[i].Len)
		}
		if err := wire.Check(&chunks[i]); err != nil {
			return &Bad{&chunks[i], err}
		}
	}
	if cap(l.buf) < need || cap(l.buf) > 2*(need+1<<20) {
		l.buf = make([]byte, need+need/8) // a little more: the next batch may be a little larger
	}
	if err := l.readMerged(chunks, l.buf[:need]); err != nil {
		if err := l.readEach(chunks, l.buf[:need]); err != nil {
			return err
		}
	}
	for i := range chunks {
		c := &chunks[i]
		if sum := record.CRC(c.Data); sum != c.CRC {
			return &Bad{c, fmt.Errorf("got checksum %08x, want %08x: %w", sum, c.CRC, record.ErrCorrupt)}
		}
	}
	return nil
}

// readMerged reads extents that lie side by side, also of several chunks, by one call, and places Data. On an error
// nobody knows which chunk it meant.
func (l *Loader) readMerged(chunks []record.Chunk, p []byte) error {
	var run record.Extent
	start, end := 0, 0
	for i := range chunks {
		c := &chunks[i]
		if len(c.Extents) == 0 {
			continue
		}
		c.Data = p[end : end+int(c.Len)]
		for _, e := range c.Extents {
			if end > start && e.Spool == run.Spool && e.Off == run.Off+int64(run.Len) && uint64(run.Len)+uint64(e.Len) <= record.MaxChunk {
				run.Len += e.Len
			} else {
				if err := l.read(run, p[start:end]); err != nil {
					return err
				}
				run, start = e, end
			}
			end += int(e.Len)
		}
	}
	return l.read(run, p[start:end])
}

// readEach reads extent by extent, to find the chunk that fails.
func (l *Loader) readEach(chunks []record.Chunk, p []byte) error {
	for i := range chunks {
		c := &chunks[i]
		for _, e := range c.Extents {
			if err := l.read(e, p[:e.Len]); err != nil {
				return &Bad{c, err}
			}
			p = p[e.Len:]
		}
	}
	return nil
}

func (l *Loader) read(e record.Extent, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return l.Store.ReadExtent(e, p)
}

// Verdict is what a failed read says of its chunk.
type Verdict uint8

const (
	Passing  Verdict = iota // nothing: the machine is short of something
	Doubtful                // another attempt may help, not many
	Final
)

// Judge says whether err makes its chunk undeliverable, and why.
func Judge(err error) (record.Reason, Verdict) {
	for _, short := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.ENOSPC, syscall.EDQUOT, syscall.EAGAIN, syscall.EINTR} {
		if errors.Is(err, short) {
			return record.Damaged, Passing
		}
	}
	switch {
	case errors.Is(err, record.ErrGone):
		return record.SpoolLost, Final
	case errors.Is(err, record.ErrCorrupt):
		return record.Damaged, Final
	case errors.Is(err, record.ErrRefused):
		return record.Refused, Final
	}
	return record.Damaged, Doubtful
}
