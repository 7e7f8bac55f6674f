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
	Sync() error // all captured bytes of the file are on disk
	Renamed(path string)
	Removed() // the last name is gone; content may go when the last handle closes
	Close()   // the mount's reference ends
}

// Spool is one open-capture handle.
type Spool interface {
	Fd() int // O_RDONLY descriptor to register as backing file
	Sync() error
	Release() // RELEASE seen: no writer is left
}

// Log is one write-capture handle. Write returns len(p) or an error that wraps a record.Err* or an errno.
// p belongs to the caller again when Write returns.
type Log interface {
	Write(p []byte, off int64, app, sync bool, w *record.Writer, unique uint64) (int, error)
	Sync() error
	Release()
}

// Decider says what the rules make of a path, which is relative to the mount.
type Decider interface {
	Decide(mount, path string) record.Decision
}

// Identifier reads who calls, while the caller waits. The result is shared and never changed.
type Identifier interface {
	Identify(kind record.WriterKind, tid, uid, gid uint32) *record.Writer
}
