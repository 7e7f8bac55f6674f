package capture

import (
	"errors"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"
)

// usage is what the spools take. Written by the follower, read by anyone.
type usage struct {
	disk    atomic.Int64 // bytes on disk
	unseen  atomic.Int64 // bytes of open capture that are not registered
	resting atomic.Int64 // bytes of the log that count as pending, but whose room only waits to be given back
	unread  atomic.Int64 // bytes of the log of earlier processes, until it is read: how much is registered is not known before
	spools  atomic.Int64
	free    atomic.Int64 // bytes free on the file system
	damaged atomic.Int64
	open    atomic.Int64 // spools of open capture
	refused atomic.Int64 // opens that found too many of those
}

// measure adds up what the spools take.
func (c *Capture) measure(raws map[*raw]spans) {
	var disk, unseen int64
	c.pass.round++
	for r := range raws {
		size, err := c.measured(r)
		r.mu.Lock()
		if err == nil && !r.gone {
			disk += headerSize + size - r.punched.len()
			unseen += size - r.seen
		}
		grown := err == nil && size > r.seen
		r.mu.Unlock()
		if grown && c.pass.idle[r] != nil { // where there is no inotify, or it says nothing
			c.heat(r, time.Now())
		}
	}
	for _, s := range c.pass.segs {
		disk += s.allocated()
	}
	c.use.disk.Store(disk)
	c.use.unseen.Store(unseen)
	c.use.spools.Store(int64(len(raws) + len(c.pass.segs)))
}

// measured returns the size of a spool; of those that rest, the kernel is asked for some each time.
func (c *Capture) measured(r *raw) (int64, error) {
	if p := &c.pass; p.hot[r] == nil && (p.idle[r] == nil || p.watch != nil && (r.id+p.round)%16 != 0) {
		return r.seen, nil
	}
	return r.size()
}

// over returns how many bytes must go for the limits to hold.
func (c *Capture) over() int64 {
	var n int64
	if c.o.MaxSize > 0 {
		// What filters have rewritten and what plug-ins say lies in the queue itself, and takes no spool.
		n = max(c.use.disk.Load(), c.o.Held()+c.use.unseen.Load()) - c.o.MaxSize
	}
	if c.o.MinFree > 0 {
		var st unix.Statfs_t
		if err := unix.Statfs(c.o.Dir, &st); err == nil {
			free := int64(st.Bavail) * st.Bsize
			c.use.free.Store(free)
			n = max(n, c.o.MinFree-free)
		}
	}
	return n
}

// keepLimits lets the oldest data make room, after what is kept for readers has. Write capture with another policy
// is refused before it comes so far.
func (c *Capture) keepLimits(raws int) {
	n := c.over()
	before := c.pass.pressed
	if c.pass.pressed = n > 0 || raws >= c.o.MaxSpools || c.nearlyFull(); c.pass.pressed && !before {
		c.pressAll()
		c.pass.tidied = time.Time{} // at once: only what is over then must be dropped
		return
	}
	now := time.Now()
	if n <= 0 || c.o.DropOldest == nil || now.Before(c.pass.dropAt) {
		return
	}
	got, err := c.o.DropOldest(n)
	c.pass.dropAt = now.Add(100 * time.Millisecond) // what was dropped must be given back before it is counted again
	if got == 0 {
		c.pass.dropAt = now.Add(2 * time.Second) // looking through a queue that has nothing to drop costs time
	}
	if err != nil && !errors.Is(err, record.ErrClosed) {
		c.o.Logger.Error("queue is full and its oldest data cannot be dropped", notice.QueueStuck, "over", n, "error", err)
	}
	if c.pass.dropped += got; c.pass.dropped > 0 && now.Sub(c.pass.dropSaid) > 5*time.Second {
		c.o.Logger.Warn("queue is full: oldest data dropped", notice.DataDropped, "bytes", c.pass.dropped)
		c.pass.dropped, c.pass.dropSaid = 0, now
	}
}

// nearlyFull reports whether the spools' file system has less than a sixteenth of its space left. What is kept only
// for readers goes first, before data is dropped and before writers see ENOSPC.
func (c *Capture) nearlyFull() bool {
	var st unix.Statfs_t
	return unix.Statfs(c.o.Dir, &st) == nil && st.Bavail < st.Blocks/16
}

// pressAll has every view give up what has been delivered.
func (c *Capture) pressAll() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, f := range c.files {
		c.pass.untrimmed[f] = true
	}
}

// Usage is what status shows.
type Usage struct {
	Disk    int64 // bytes on disk
	Unseen  int64 // bytes not registered with the queue
	Spools  int64
	Damaged int64 // things in the spool folder that did not verify
	Refused int64 // opens that got no spool because there were MaxSpools
}

// Usage returns figures of the last housekeeping, at most 0.2 s old.
func (c *Capture) Usage() Usage {
	return Usage{c.use.disk.Load(), c.use.unseen.Load() + c.inLog(), c.use.spools.Load(), c.use.damaged.Load(), c.use.refused.Load()}
}

// inLog is how many bytes of the log are not registered; what only rests, to have its room given back, is.
func (c *Capture) inLog() int64 { return max(c.pending.Load()-c.use.resting.Load(), 0) }

// Unregistered returns how many of the bytes that are written are not in the queue yet: all that any write(2) had returned for when it
// was called count, partial records included. It asks the kernel for the size of every spool, up to some milliseconds for
// thousands.
func (c *Capture) Unregistered() (int64, error) {
	c.mu.RLock()
	raws, below := slices.Collect(maps.Values(c.raws)), slices.Collect(maps.Keys(c.follow))
	c.mu.RUnlock()
	n := c.use.unread.Load() // first: what is read pends before it goes
	n += c.inLog()
	var err error
	for _, r := range raws {
		c.regMu.Lock()
		in := int64(c.registered[r.id].Pos)
		c.regMu.Unlock()
		size, e := r.size()
		r.mu.Lock()
		if r.done { // the mark goes with the spool
			in = max(in, r.seen)
		}
		if r.gone {
			size, e = 0, nil
		}
		r.mu.Unlock()
		n, err = n+max(size-in, 0), errors.Join(err, e)
	}
	for _, f := range below {
		left, e := f.leftBelow()
		n, err = n+left, errors.Join(err, e)
	}
	return n, err
}

func (s *segment) allocated() int64 {
	var st unix.Stat_t
	var n int64
	for _, f := range []*os.File{s.data, s.idx} {
		if f != nil && unix.Fstat(int(f.Fd()), &st) == nil {
			n += st.Blocks * 512
		}
	}
	return n
}
