package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// Options are what capture needs to know.
type Options struct {
	Dir    string         // the spool folder; one process at a time
	Source *record.Source // this machine
	Sink   record.Sink    // the next stage
	// Refine makes of chunks what is handed to Sink, in their place and order: filters take out, rewrite and route. Of each
	// handle it must cover the same bytes (see record.Chunk.Span). Nil: nothing is changed. Only the follower calls it.
	Refine  func([]record.Chunk) []record.Chunk
	Refresh func(*record.Writer) *record.Writer
	Logger  *slog.Logger
	Pulses  *pulse.Group // the follower has one, and is at work while it has its turn

	MaxSize     int64 // bytes of spools on disk, and bytes that are not delivered, wherever they lie; 0 no limit
	MaxSpools   int   // spools of open capture; beyond, opens are refused one, and write capture takes them. Default: see maxSpools
	MinFree     int64 // bytes to leave free on the spools' file system
	SegmentSize int   // bytes of payload per log segment, default 16 MiB

	Bury time.Duration // how often deletions are synced to disk, default 5 s
	Stop time.Duration // how long the last registration may take when Run ends, default 10 s

	// Disk brings spools to disk before they are registered, for a queue whose durability is disk.
	Disk bool
	// Held returns the payload bytes in the queue that some destination has not acknowledged. Nil: not counted.
	Held func() int64
	// DropOldest asks the queue to give up at least n bytes of its oldest data. It returns how many it gave up.
	DropOldest func(n int64) (int64, error)
}

// Capture keeps the spools of one sender, for all its mounts.
type Capture struct {
	o    Options
	lock *os.File // keeps other processes out
	log  *wal
	run  uint64 // number of this process's life, upper half of all ids it gives
	seq  atomic.Uint64

	mu     sync.RWMutex // guards the maps; taken after File.mu and wal.mu, before raw.mu and segment.mu
	raws   map[uint64]*raw
	segs   map[uint64]*segment
	files  map[record.FileKey]*File
	dirty  []*File         // views changed since the last housekeeping
	events []*raw          // raw spools that are new or released
	lost   []record.Chunk  // gaps to register
	lostAt map[lostKey]int // where in lost; one for each file and reason
	tail   []*logHandle    // handles whose closing row found no room
	follow map[*File]bool  // files below the mount that may still grow

	regMu      sync.Mutex
	registered map[uint64]mark // by handle: how far the queue has it; by segment: all of it

	runMu   sync.Mutex
	running map[uint64]*running // write captures whose handles are older than this process

	wake    chan struct{}
	pending atomic.Int64 // bytes of the log that are not registered
	use     usage
	views   viewLog
	pass    pass // the follower's own
}

// mark is how far a handle is registered.
type mark struct {
	Pos       uint64 `json:"pos"`
	Continues bool   `json:"cont,omitempty"`
	Begun     uint64 `json:"begun,omitempty"` // bytes before Pos of the record that goes on there
}

// New opens the spool folder. Recover must be called before anything else.
func New(o Options) (*Capture, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = 16 << 20
	}
	if o.MaxSpools == 0 {
		o.MaxSpools = maxSpools()
	}
	if o.Bury == 0 {
		o.Bury = 5 * time.Second
	}
	if o.Stop == 0 {
		o.Stop = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Held == nil {
		o.Held = func() int64 { return 0 }
	}
	if o.Refine == nil {
		o.Refine = func(chunks []record.Chunk) []record.Chunk { return chunks }
	}
	if o.Refresh == nil {
		o.Refresh = func(w *record.Writer) *record.Writer { return w }
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool folder: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	run, err := nextRun(filepath.Join(o.Dir, "run"))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	c := &Capture{o: o, lock: lock, run: run, raws: map[uint64]*raw{}, segs: map[uint64]*segment{}, files: map[record.FileKey]*File{},
		registered: map[uint64]mark{}, lostAt: map[lostKey]int{}, follow: map[*File]bool{}, running: map[uint64]*running{}, wake: make(chan struct{}, 1)}
	c.log = &wal{dir: o.Dir, size: o.SegmentSize, newID: c.newID, added: c.addSegment, total: &c.pending}
	c.views.dir = o.Dir
	c.pass.init()
	return c, nil
}

// lockDir keeps a second process out of the spool folder: its follower would register everything again.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spool folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool folder %s: another process uses it: %w", dir, err), f.Close())
	}
	return f, nil
}

// nextRun counts this start of the process, before any id of it is used.
func nextRun(path string) (uint64, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read run number: %w", err)
	}
	last, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 31)
	if err != nil {
		// Damaged: take one that cannot have been used. Runs grow by one, times in seconds faster. Recover checks.
		last = 0
		if b != nil {
			last = uint64(time.Now().Unix() & 0x7fffffff)
		}
	}
	return last + 1, writeRun(path, last+1)
}

func writeRun(path string, run uint64) error {
	if err := writeAtomically(path, []byte(strconv.FormatUint(run, 10)+"\n")); err != nil {
		return fmt.Errorf("write run number: %w", err)
	}
	return nil
}

// claimRun makes sure that no id of this run has been used, should the file with the number have been lost.
func (c *Capture) claimRun(used uint64) error {
	if used>>32 < c.run {
		return nil
	}
	c.run = used>>32 + 1
	return writeRun(filepath.Join(c.o.Dir, "run"), c.run)
}

// newID gives a number that no handle or spool of this sender has had.
func (c *Capture) newID() uint64 { return c.run<<32 | c.seq.Add(1)&0xffffffff }

// NewHandle gives a handle's number to a stream that does not come from a file: no capture ever has it.
func (c *Capture) NewHandle() uint64 { return c.newID() }

// wakeUp makes the follower look soon. Cheap when it has been called already.
func (c *Capture) wakeUp() {
	if len(c.wake) == 0 {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// File returns the captured side of a file below a mount.
func (c *Capture) File(key record.FileKey, path string, below func(flags int) (*os.File, error)) (*File, error) {
	f := c.lockFile(key)
	f.path, f.below = path, below
	f.removed = false
	return f.refer()
}

// FileBelow is File for who has found a file by its name. A mount that has it in use follows renames, and finds what has no
// name any more: then path and below are the mount's.
func (c *Capture) FileBelow(key record.FileKey, path string, below func(flags int) (*os.File, error)) (*File, error) {
	f := c.lockFile(key)
	if f.refs <= 0 {
		f.path, f.below = path, below
		f.removed = false
	}
	return f.refer()
}

// refer counts one user of f, whose mu is held, and gives mu back. After an error there is none.
func (f *File) refer() (*File, error) {
	f.refs++
	err := f.lookBelow()
	f.mu.Unlock()
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lockFile returns the file of a key, made if need be, with its mu held.
func (c *Capture) lockFile(key record.FileKey) *File {
	for {
		c.mu.Lock()
		f := c.files[key]
		if f == nil {
			f = &File{c: c, key: key}
			c.files[key] = f
		}
		c.mu.Unlock()
		f.mu.Lock()
		if !f.forgotten {
			return f
		}
		f.mu.Unlock()
	}
}

// Holds reports whether the content of a file is here and not, or not only, in the file below the mount.
func (c *Capture) Holds(key record.FileKey) bool {
	c.mu.RLock()
	f := c.files[key]
	c.mu.RUnlock()
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return f.view.size > 0 && (f.view.base > 0 || len(f.view.needs()) > 0)
}

// drop forgets a file that nobody will read again.
func (c *Capture) drop(f *File) {
	f.mu.Lock()
	end := f.refs <= 0 && f.removed
	if end {
		f.view = view{}
		f.touch()
	} else if f.blank() && !f.touched {
		c.forget(f) // it was only looked up
	}
	f.mu.Unlock()
	if end {
		c.noteNeeds(f)
	}
}

func (c *Capture) noteDirty(f *File) {
	c.mu.Lock()
	c.dirty = append(c.dirty, f)
	c.mu.Unlock()
}

// maxSpools returns how many spools there may be by default: a quarter of the descriptors that the process may have,
// since a busy one holds one here and the mount holds one of the file below, at most 8192.
func maxSpools() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 256
	}
	return int(min(max(l.Cur/4, 16), 8192))
}

// errSpools is constant text: opens are counted by it.
var errSpools = fmt.Errorf("too many spools: %w", record.ErrFull)

// reserveSpool counts a spool that is about to be made.
func (c *Capture) reserveSpool() error {
	if n := c.use.open.Add(1); n > int64(c.o.MaxSpools) {
		c.use.open.Add(-1)
		c.use.refused.Add(1)
		return errSpools
	}
	return nil
}

func (c *Capture) addRaw(r *raw) {
	c.mu.Lock()
	c.raws[r.id] = r
	c.events = append(c.events, r)
	c.mu.Unlock()
	c.wakeUp()
}

func (c *Capture) addSegment(s *segment) {
	c.mu.Lock()
	c.segs[s.id] = s
	c.mu.Unlock()
}

func (c *Capture) later(h *logHandle) {
	c.mu.Lock()
	c.tail = append(c.tail, h)
	c.mu.Unlock()
}

// ReadExtent implements record.Store.
func (c *Capture) ReadExtent(e record.Extent, p []byte) error { return c.readSpool(e.Spool, e.Off, p) }

func (c *Capture) readSpool(id uint64, off int64, p []byte) error {
	c.mu.RLock()
	r, s := c.raws[id], c.segs[id]
	c.mu.RUnlock()
	switch {
	case r != nil:
		return r.readAt(p, off)
	case s != nil:
		return s.readAt(p, off)
	}
	return fmt.Errorf("read spool %016x: %w", id, record.ErrGone)
}

// snapshot is what the queue keeps at the head of every database, so that older ones can go.
type snapshot struct {
	Handles map[uint64]mark `json:"handles"`
}

// Snapshot implements the queue's callback.
func (c *Capture) Snapshot() []byte {
	c.regMu.Lock()
	defer c.regMu.Unlock()
	b, err := json.Marshal(snapshot{c.registered})
	if err != nil { // a map of numbers always encodes
		panic(err)
	}
	return b
}

// writeAtomically replaces a file by rename, on disk when it returns.
func writeAtomically(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Close closes the spools. The follower must have ended and the mounts be gone. Of a mount that goes on in the next
// process, requests may be at work still: they find everything closed.
func (c *Capture) Close() error {
	c.log.seal(true)
	c.mu.Lock()
	err := errors.Join(c.views.end(), c.lock.Close())
	for _, r := range c.raws {
		err = errors.Join(err, r.close())
	}
	for _, s := range c.segs {
		err = errors.Join(err, s.close())
	}
	files := slices.Collect(maps.Values(c.files))
	c.mu.Unlock() // it is taken after File.mu
	for _, f := range files {
		err = errors.Join(err, f.closeBelow())
	}
	return err
}

func (f *File) closeBelow() (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.belowRd != nil {
		err = f.belowRd.Close()
		f.belowRd = nil
	}
	if f.hold != nil {
		err = errors.Join(err, f.hold.Close())
		f.hold = nil
	}
	return err
}
