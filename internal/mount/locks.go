package mount

import (
	"slices"
	"sync"
	"time"

	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
)

// maxLocks bounds the ranges locked in one file; one more is ENOLCK.
const maxLocks = 10000

// lock is one held lock, or one asked for.
type lock struct {
	flock      bool // flock(2), else fcntl(2)
	unlock     bool
	write      bool
	start, end uint64 // both included
	owner      uint64 // as the kernel names it: a process' file table; for flock and OFD locks an open file
	pid        uint32
	born       uint64 // start time of process pid when its end ends the lock, else 0
	fh         uint64
}

func (l *lock) conflicts(o *lock) bool {
	return l.flock == o.flock && l.owner != o.owner && (l.write || o.write) && l.overlaps(o)
}

func (l *lock) overlaps(o *lock) bool { return l.start <= o.end && o.start <= l.end }

func (l *lock) same(o *lock) bool { return l.flock == o.flock && l.owner == o.owner }

// fileLocks are the locks of one file. Under locks.mu.
type fileLocks struct {
	held    []lock
	waiting int
	freed   chan struct{} // closed, and replaced, whenever a lock goes
}

// locks serves flock(2) and fcntl(2) locks per file: each open has an inode of its own, so the kernel's own locks
// would not exclude anybody.
type locks struct {
	mu      sync.Mutex
	files   map[record.FileKey]*fileLocks // with locks or waiters
	waitFor map[uint64]uint64             // owner that waits for a fcntl lock -> owner it waits for
	joined  func()                        // called when somebody begins to wait; for tests
	keep    *keeper
}

func newLocks() *locks {
	return &locks{files: map[record.FileKey]*fileLocks{}, waitFor: map[uint64]uint64{}, joined: func() {}}
}

// with runs do on the file's locks.
func (t *locks) with(key record.FileKey, do func(*fileLocks)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.files[key]
	if f == nil {
		f = &fileLocks{freed: make(chan struct{})}
		t.files[key] = f
	}
	do(f)
	if len(f.held) == 0 && f.waiting == 0 {
		delete(t.files, key)
	}
}

func (t *locks) known(key record.FileKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.files[key] != nil
}

// test returns the lock that l would conflict with, nil for none.
func (t *locks) test(key record.FileKey, l *lock) (c *lock) {
	t.with(key, func(f *fileLocks) { c = f.conflict(l) })
	return c
}

// set takes or gives back a lock without waiting: EAGAIN when another holds it, ENOLCK at the bound.
func (t *locks) set(key record.FileKey, l *lock) (err error) {
	t.with(key, func(f *fileLocks) { _, err = t.take(f, key, l) })
	return err
}

// take sets a lock and notes it; with EAGAIN it returns the one in its way. Called with t.mu held.
func (t *locks) take(f *fileLocks, key record.FileKey, l *lock) (c *lock, err error) {
	before := len(f.held)
	c, err = f.set(l)
	if err == nil {
		t.keep.lock(key, l)
	} else if l.flock && len(f.held) < before { // a failed change of its kind has given it up
		gone := *l
		gone.unlock = true
		t.keep.lock(key, &gone)
	}
	return c, err
}

// release drops every lock taken through a handle: its RELEASE is the last close of an open file.
func (t *locks) release(key record.FileKey, fh uint64) {
	if !t.known(key) {
		return
	}
	t.with(key, func(f *fileLocks) { f.drop(func(o *lock) bool { return o.fh == fh }) })
}

// flush drops the fcntl locks of an owner.
func (t *locks) flush(key record.FileKey, owner uint64) {
	t.with(key, func(f *fileLocks) { f.drop(func(o *lock) bool { return !o.flock && o.owner == owner }) })
}

// try is set once more, for a lock that may be about to be given back. Who tries does not wait: nobody else is in a circle with him.
func (t *locks) try(key record.FileKey, l *lock) (err error) {
	for range lockTries {
		time.Sleep(lockRest)
		if err = t.set(key, l); err != unix.EAGAIN {
			break
		}
	}
	return err
}

// wait takes a lock, waiting for it; EINTR when cancel closes, EDEADLK when the holder waits for this owner.
func (t *locks) wait(key record.FileKey, l *lock, cancel <-chan struct{}) error {
	tick := time.NewTicker(endedPoll)
	defer tick.Stop()
	for first := true; ; first = false {
		freed, err := t.await(key, l, !first)
		if err != unix.EAGAIN {
			return err
		}
		if first {
			t.joined()
		}
		select {
		case <-freed:
		case <-tick.C:
		case <-cancel:
			t.with(key, func(f *fileLocks) { t.leave(f, l) })
			return unix.EINTR
		}
	}
}

// await takes the lock or, with EAGAIN, joins those who wait and returns what they wait on. Who waits already is never
// missing among them in between: whoever closes a circle must see that it does.
func (t *locks) await(key record.FileKey, l *lock, waits bool) (freed <-chan struct{}, err error) {
	t.with(key, func(f *fileLocks) {
		if waits {
			t.leave(f, l)
		}
		var c *lock // not asked for again: its process may have ended since
		if c, err = t.take(f, key, l); err != unix.EAGAIN {
			return
		}
		if !l.flock && !t.mayWait(l.owner, c.owner) {
			err = unix.EDEADLK
			return
		}
		f.waiting++
		freed = f.freed
	})
	return freed, err
}

// leave ends a wait. Called with t.mu held.
func (t *locks) leave(f *fileLocks, l *lock) {
	f.waiting--
	delete(t.waitFor, l.owner)
}

// mayWait notes that owner waits for other, unless other waits for owner already. Called with t.mu held.
func (t *locks) mayWait(owner, other uint64) bool {
	const chain = 32 // bounds the look; a longer circle of waiters hangs, as it does over two file systems
	for o, i := other, 0; i < chain; i++ {
		if o == owner {
			return false
		}
		next, waits := t.waitFor[o]
		if !waits {
			break
		}
		o = next
	}
	t.waitFor[owner] = other
	return true
}

// set sets a lock; with EAGAIN it returns the one in its way.
func (f *fileLocks) set(l *lock) (*lock, error) {
	if l.unlock {
		f.apply(l)
		f.wake()
		return nil, nil
	}
	if l.flock {
		// flock(2) changes a lock's kind by giving it up first: who fails to upgrade has lost it.
		f.drop(func(o *lock) bool { return o.same(l) && o.write != l.write })
	}
	if c := f.conflict(l); c != nil {
		return c, unix.EAGAIN
	}
	if len(f.held)+2 > maxLocks {
		return nil, unix.ENOLCK
	}
	f.apply(l)
	f.wake() // a write lock may have become a read lock
	return nil, nil
}

// conflict returns a lock that keeps l from being taken. It drops the fcntl locks of processes that have ended, which the
// kernel does not tell: with FOPEN_NOFLUSH there is no FLUSH, and while others share the open file no RELEASE.
func (f *fileLocks) conflict(l *lock) *lock {
	for i := 0; i < len(f.held); i++ {
		if !f.held[i].conflicts(l) {
			continue
		}
		c := f.held[i]
		if !c.ended() {
			return &c
		}
		f.drop(func(o *lock) bool { return o.same(&c) })
		i = -1
	}
	return nil
}

// apply makes l's range l's owner's, or free, whatever the owner held there before.
func (f *fileLocks) apply(l *lock) {
	mine := func(o lock) bool { return o.same(l) && o.overlaps(l) }
	if !l.unlock && !slices.ContainsFunc(f.held, mine) {
		f.held = append(f.held, *l)
		return
	}
	held := make([]lock, 0, len(f.held)+2)
	for _, o := range f.held {
		if !mine(o) {
			held = append(held, o)
			continue
		}
		if o.start < l.start {
			left := o
			left.end = l.start - 1
			held = append(held, left)
		}
		if o.end > l.end {
			right := o
			right.start = l.end + 1
			held = append(held, right)
		}
	}
	if !l.unlock {
		held = append(held, *l)
	}
	f.held = held
}

func (f *fileLocks) drop(gone func(*lock) bool) {
	keep := make([]lock, 0, len(f.held))
	for i := range f.held {
		if !gone(&f.held[i]) {
			keep = append(keep, f.held[i])
		}
	}
	if len(keep) < len(f.held) {
		f.held = keep
		f.wake()
	}
}

func (f *fileLocks) wake() {
	if f.waiting > 0 {
		close(f.freed)
		f.freed = make(chan struct{})
	}
}
