package mount

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
)

// file is one captured file, whatever its names. It lives as long as a node or a handle refers to it.
type file struct {
	File
	m    *Mount
	key  record.FileKey
	refs int                   // under files.mu
	at   atomic.Pointer[entry] // the name it was last looked up by

	mu  sync.Mutex
	pin pinned // under mu: the file below while a handle is open

	// hide is the ModTime at the last utimens: a time set by hand shows until something is written.
	hide atomic.Int64
}

// files knows the captured files that are in use, and the last that were: with a new inode for each lookup, the last
// reference often goes just before the next comes.
type files struct {
	mu   sync.Mutex // also held over Capture.File and File.Close: a key is closed before it is opened again
	m    map[record.FileKey]*file
	idle []*file // refs is 0, oldest first
}

// maxIdle bounds the files that are kept without being in use.
const maxIdle = 64

// holds reports whether the captured file is in use.
func (fs *files) holds(key record.FileKey) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.m[key] != nil
}

func (fs *files) count() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.m)
}

// acquire returns the captured file that e names with one more reference.
func (fs *files) acquire(m *Mount, e *entry, path string) (*file, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.m[e.key]; f != nil {
		if f.refs == 0 {
			fs.wake(f)
		}
		f.refs++
		f.at.Store(e)
		return f, nil
	}
	f := &file{m: m, key: e.key, refs: 1, pin: pinned{fd: -1}}
	f.at.Store(e)
	var err error
	if f.File, err = m.o.Capture.File(e.key, path, f.below); err != nil {
		return nil, fmt.Errorf("capture %q: %w", path, err)
	}
	fs.m[e.key] = f
	return f, nil
}

// wake takes f from the idle ones. Called with fs.mu held.
func (fs *files) wake(f *file) {
	i := slices.Index(fs.idle, f)
	fs.idle = slices.Delete(fs.idle, i, i+1)
}

func (fs *files) unref(f *file) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.refs--; f.refs > 0 {
		return
	}
	if fs.m[f.key] != f { // removed
		f.File.Close()
		return
	}
	if len(fs.idle) == maxIdle {
		fs.close(fs.idle[0])
	}
	fs.idle = append(fs.idle, f)
}

// close ends an idle file. Called with fs.mu held.
func (fs *files) close(f *file) {
	fs.wake(f)
	delete(fs.m, f.key)
	f.File.Close()
}

// clear closes the idle files.
func (fs *files) clear() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for len(fs.idle) > 0 {
		fs.close(fs.idle[0])
	}
}

// removed says that the last name of key is gone. Its number may come back for another file, so it leaves the table.
func (fs *files) removed(key record.FileKey) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.m[key]
	if f == nil {
		return
	}
	delete(fs.m, key)
	f.Removed()
	if f.refs == 0 {
		fs.wake(f)
		f.File.Close()
	}
}

func (fs *files) renamed(all []moved) {
	for _, mv := range all {
		fs.mu.Lock()
		f := fs.m[mv.key]
		fs.mu.Unlock()
		if f != nil {
			f.Renamed(mv.path)
		}
	}
}

// below opens the file below the mount anew, by its descriptor if it is open, else by its name.
func (f *file) below(flags int) (*os.File, error) {
	flags &^= unix.O_CREAT | unix.O_EXCL
	f.mu.Lock()
	fd, err := f.pin.dup()
	f.mu.Unlock()
	if err == nil {
		defer unix.Close(fd)
		return os.OpenFile(procFd(fd), flags|unix.O_CLOEXEC, 0)
	}
	if fd, err = f.m.openEntry(f.at.Load(), flags); err != nil {
		return nil, fmt.Errorf("open below %v: %w", f.key, err)
	}
	return os.NewFile(uintptr(fd), "below"), nil
}

// hold keeps the file below open for one handle.
func (f *file) hold() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pin.hold(func() (int, error) { return f.m.openEntry(f.at.Load(), unix.O_RDONLY) })
}

func (f *file) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pin.drop()
}

// dup returns a descriptor of the file below for the caller to close; ENOENT when no handle is open.
func (f *file) dup() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pin.dup()
}
