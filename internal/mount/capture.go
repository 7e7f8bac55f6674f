// Package mount serves a FUSE tree over a directory and hands what is written to captured files to the capture stage.
package mount

import (
	"os"

	"ftfuse/internal/record"
)

// Capture is the next stage: it takes what is written to captured files.
type Capture interface {
	// File returns the captured side of the file below the mount with that key; the same key gives the same File
	// while it is in use. below opens the file below the mount anew.
	File(key record.FileKey, path string, below func(flags int) (*os.File, error)) (File, error)
}

// File is the content of one captured file as readers of the mount see it.
type File interface {
	Size() int64                             // bytes, never shrinking but by Truncate
	ModTime() int64                          // ns of the last captured write, 0 if none since the file below was last changed
	ReadAt(p []byte, off int64) (int, error) // io.EOF at the end; record.ErrGone (EIO) before the readback window
	Truncate(size int64) error               // metadata only: nothing captured is lost
	OpenSpool(d record.Decision, path string, w *record.Writer) (Spool, error)
	OpenLog(d record.Decision, path string, w *record.Writer) (Log, error)
	// AdoptSpool and AdoptLog go on with the capture of that number, which a process before this one has begun.
	AdoptSpool(id uint64) (Spool, error)
	AdoptLog(id uint64, d record.Decision, path string, w *record.Writer) (Log, error)
	Sync() error // all captured bytes of the file are on disk
	Renamed(path string)
	Removed() // the last name is gone; content may go when the last handle closes
	Close()   // the mount's reference ends
}

// Spool is one open-capture handle.
type Spool interface {
	ID() uint64
	Fd() int // O_RDONLY descriptor to register as backing file
	Sync() error
	Release() // RELEASE seen: no writer is left
	Leave()   // the connection is gone: nobody will see RELEASE, and writers may be left
}

// Log is one write-capture handle. Write returns len(p) or an error that wraps a record.Err* or an errno.
// p belongs to the caller again when Write returns.
type Log interface {
	ID() uint64
	Write(p []byte, off int64, app, sync bool, w *record.Writer, unique uint64) (int, error)
	// Written returns what a write with that unique returned to a process before this one, if it was done.
	Written(unique uint64) (n int, ok bool)
	Answered(unique uint64) // the kernel has the answer: Written need not know of it any more
	Sync() error
	Release()
	Leave() // the connection is gone, or the next process': a Write that waits for room fails
}

// Decider says what the rules make of a path, which is relative to the mount.
type Decider interface {
	Decide(mount, path string) record.Decision
}

// Identifier reads who calls, while the caller waits. The result is shared and never changed.
type Identifier interface {
	Identify(kind record.WriterKind, tid, uid, gid uint32) *record.Writer
}
