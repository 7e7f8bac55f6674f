package capture

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// raw is one raw spool. Guarded by mu unless said otherwise.
type raw struct {
	id   uint64
	path string
	meta *meta
	file *File

	adopted atomic.Bool // nobody will see its RELEASE: left by an earlier process, or by a connection that broke

	released atomic.Bool // the mount has seen RELEASE
	synced   atomic.Bool // the directory entry is on disk

	mu      sync.Mutex // never held while blocks are given back
	rd      *os.File   // read-only: registered with the kernel, leased, read; nil while nothing happens to the spool
	freed   spans      // what the queue has released: in any order, because it drops around what is in flight
	punched spans      // blocks given back
	needs   spans      // what the file's view refers to
	seen    int64      // data offset up to which the follower has read; it alone writes this
	done    bool       // closed by all writers and registered to the end
	gone    bool       // the file is deleted, or about to be

	mapped int64 // data offset up to which the file's view knows the bytes; under File.mu
}

// size returns the bytes of data in the spool.
func (r *raw) size() (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var st unix.Stat_t
	var err error
	if r.rd != nil {
		err = unix.Fstat(int(r.rd.Fd()), &st)
	} else {
		err = unix.Stat(r.path, &st)
	}
	if err != nil {
		return 0, fmt.Errorf("stat spool %s: %w", r.path, err)
	}
	return max(st.Size-headerSize, 0), nil
}

// firstData returns the data offset before which all blocks have been given back, 0 if that cannot be known.
func (r *raw) firstData() (first int64) {
	err := r.with(func(f *os.File) error {
		off, err := unix.Seek(int(f.Fd()), headerSize, unix.SEEK_DATA)
		first = max(off-headerSize, 0)
		return err
	})
	if errors.Is(err, unix.ENXIO) { // nothing but a hole
		first, err = r.size()
	}
	if err != nil {
		return 0
	}
	return first
}

// with calls f with a descriptor of the spool, which may be closed meanwhile: then f is called again with one of its
// own.
func (r *raw) with(f func(*os.File) error) error {
	r.mu.Lock()
	rd := r.rd
	r.mu.Unlock()
	if rd != nil {
		if err := f(rd); !errors.Is(err, os.ErrClosed) {
			return err
		}
	}
	own, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer own.Close() // read-only: nothing to lose
	return f(own)
}

// warm opens the descriptor that rest has closed.
func (r *raw) warm() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rd != nil || r.gone {
		return nil
	}
	var err error
	r.rd, err = os.Open(r.path)
	return err
}

// rest closes the descriptor: nothing is written, and a reader opens one of its own. Before the first byte it stays,
// because the mount may not have registered it yet.
func (r *raw) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rd != nil && (r.seen > 0 || r.adopted.Load() || r.released.Load()) {
		r.rd.Close() // read-only: nothing to lose
		r.rd = nil
	}
}

func (r *raw) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rd == nil {
		return nil
	}
	err := r.rd.Close()
	r.rd = nil
	return err
}

// readAt reads data, not header.
func (r *raw) readAt(p []byte, off int64) error {
	n := 0
	err := r.with(func(f *os.File) (err error) {
		n, err = f.ReadAt(p, off+headerSize)
		return err
	})
	if n == len(p) {
		return nil
	}
	return fmt.Errorf("read spool %s at %d: got %d of %d bytes: %w: %v", r.path, off, n, len(p), record.ErrGone, err)
}

// held reports whether any process still holds the spool open for writing, through the mount or not. The kernel
// knows best: a read lease is refused with EAGAIN while a writer exists (fcntl(2), F_SETLEASE), also when the
// connection that the writer opened the file through is dead.
func (r *raw) held() (held bool, err error) {
	err = r.with(func(f *os.File) error {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		if held = err != nil; held {
			return err
		}
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		return err
	})
	if errors.Is(err, unix.EAGAIN) {
		return true, nil
	}
	if err != nil {
		return true, fmt.Errorf("lease spool %s: %w", r.path, err)
	}
	return false, nil
}

// sync brings data and name to disk. What is delivered and deleted needs no disk.
func (r *raw) sync() error {
	err := r.with(func(f *os.File) error { return f.Sync() })
	if err != nil {
		r.mu.Lock()
		gone := r.gone
		r.mu.Unlock()
		if gone {
			return nil
		}
		return fmt.Errorf("sync spool %s: %w", r.path, err)
	}
	if r.synced.Load() {
		return nil
	}
	if err := syncDir(filepath.Dir(r.path)); err != nil {
		return err
	}
	r.synced.Store(true)
	return nil
}

// Free stretches of a living spool are punched in steps, smaller ones when room is short.
const (
	punchStep = 1 << 20
	block     = 4096
)

// free notes that the queue needs a stretch no more.
func (r *raw) free(from, to int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freed = r.freed.add(from, to)
}

// reclaim gives back what neither the queue nor a reader needs: blocks while the spool lives, then the file. freed
// is what the queue had released when the file's view was asked what it needs. It reports whether the file has been
// deleted. Only the follower calls it, who alone makes that more is needed, so what it has found stays true when it gives
// back without the lock, for which opens, writes and the queue would wait as long as the disk takes.
func (r *raw) reclaim(freed spans, step int64) (bool, error) {
	r.mu.Lock()
	gone, over := r.gone, r.done && freed.prefix() >= r.seen && len(r.needs) == 0
	var todo spans
	if !gone && !over {
		todo = r.reclaimable(freed, step)
	}
	r.mu.Unlock()
	switch {
	case gone:
		return true, nil
	case over:
		return r.remove()
	case len(todo) > 0:
		return false, r.punch(todo)
	}
	return false, nil
}

// reclaimable lists the blocks that can be given back, in stretches of at least step. Called with mu held.
func (r *raw) reclaimable(freed spans, step int64) (todo spans) {
	for _, s := range freed {
		for _, n := range r.needs.without(s.from, s.to) {
			for _, t := range r.punched.without((n.from+block-1)&^(block-1), n.to&^(block-1)) {
				if t.to-t.from >= step {
					todo = append(todo, t)
				}
			}
		}
	}
	return todo
}

// remove deletes the file, and closes it: its blocks are free by the later of the two. Called with no lock held.
func (r *raw) remove() (bool, error) {
	r.mu.Lock()
	rd := r.rd
	r.gone, r.rd = true, nil // before: who finds no file must find that it is gone
	r.mu.Unlock()
	err := os.Remove(r.path)
	if rd != nil {
		rd.Close() // read-only: nothing to lose
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	r.mu.Lock()
	r.gone = false
	r.mu.Unlock()
	return false, fmt.Errorf("delete spool: %w", err)
}

// punch gives blocks back. Called with no lock held.
func (r *raw) punch(todo spans) error {
	w, err := os.OpenFile(r.path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("punch spool: %w", err)
	}
	defer w.Close() // it wrote nothing
	for _, s := range todo {
		const mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
		if err := unix.Fallocate(int(w.Fd()), mode, headerSize+s.from, s.to-s.from); err != nil {
			return fmt.Errorf("punch spool %s: %w", r.path, err)
		}
		r.mu.Lock()
		r.punched = r.punched.add(s.from, s.to)
		r.mu.Unlock()
	}
	return nil
}
