package mount

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ftfuse/internal/handover"
	"ftfuse/internal/pulse"
	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Options say what to mount where, and who takes what is written.
type Options struct {
	Name string // in the configuration; Decide's first argument, and the source that mount(8) shows
	Dir  string // the directory to mount on

	Umask, UID, GID *uint32 // shown instead of the files' own; nil: the files' own

	Capture    Capture
	Decider    Decider
	Identifier Identifier

	Given   *Given  // nil: Serve mounts, and unmounts in the end
	Backing Backing // nil: this process registers backing files itself

	OwnerOnly     bool          // nobody but our own user sees the mount
	NoPassthrough bool          // write capture for all
	Readers       int           // goroutines that read requests; 0: two, or one on one processor
	MaxWaiting    int64         // bytes of writes that may wait (when_full: block, O_SYNC), more is ENOSPC; 0: 64 MiB
	UnmountWait   time.Duration // how long Serve's end waits for open files to close; 0: 5 s
	Ready         func()        // called once, when the mount is served and visible
	Pulses        *pulse.Group  // each reader has one, and is at work while it serves a request
	Logger        *slog.Logger  // nil: discarded
}

// Mount is one directory to be served.
type Mount struct {
	o     Options
	log   *slog.Logger
	dir   string
	below int // the directory below, opened before mounting

	// ns is held for reading while a path is made from names and used, for writing while names move.
	ns      sync.RWMutex
	tree    *tree
	files   files
	handles handles
	locks   *locks
	pass    passthrough
	keeper  keeper
	init    [2][]byte // the first request of the connection and its answer, where they are kept
	srv     *server   // of a given connection

	opens    opens
	counters counters

	mu      sync.Mutex
	serving bool
	closed  bool
	left    bool // to the next process: readers may be at work still
}

// server is a Mount with a connection to the kernel.
type server struct {
	fuse.RawFileSystem
	*Mount
	fd    int
	proto *fuse.ProtocolServer
	waits waits
	async asides // goroutines of waiting requests
	turns turns

	group   *errgroup.Group // the readers
	rmu     sync.Mutex
	reading []*reader // under rmu
}

func (s *server) String() string { return "ftfuse" }

// Open opens the directory that is to be mounted on, also beneath a dead mount of ours. It does not mount. A given
// connection that is new is greeted, one that a predecessor has served is brought back to where that was. The caller
// calls Close in the end.
func Open(o Options) (*Mount, error) {
	dir, below, err := o.directory()
	if err != nil {
		return nil, err
	}
	st, err := statFd(below)
	if err != nil {
		_ = unix.Close(below)
		return nil, fmt.Errorf("stat %s: %w", dir, err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Readers == 0 {
		o.Readers = defaultReaders()
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = 64 << 20
	}
	if o.UnmountWait == 0 {
		o.UnmountWait = 5 * time.Second
	}
	m := &Mount{o: o, log: o.Logger.With("mount", o.Name, "dir", dir), dir: dir, below: below}
	m.tree, m.locks = newTree(KeyOf(&st)), newLocks()
	m.keeper.log = m.log
	m.pass.backing = o.Backing
	if o.Backing == nil {
		m.pass.backing = handover.Kernel{}
	}
	m.tree.keep, m.locks.keep, m.handles.keep = &m.keeper, &m.keeper, &m.keeper
	m.files.m = map[record.FileKey]*file{}
	m.opens.n = map[[2]string]uint64{}
	if o.Given == nil {
		return m, nil
	}
	if err := m.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s on %s: %w", o.Name, dir, err), m.Close())
	}
	return m, nil
}

// Below returns a descriptor of the directory below the mount, for picking up what is written there. It is valid
// until Close.
func (m *Mount) Below() int { return m.below }

// Dir returns the path that is mounted on, without symbolic links.
func (m *Mount) Dir() string { return m.dir }

// Passthrough returns nil when open capture is possible, else why not. It is known once Ready was called.
func (m *Mount) Passthrough() error { return m.pass.off() }

// Close gives the directory below free. Serve must have returned. Of a mount that is left to the next process nothing is
// given free before this one ends: requests may be at work, and must not find that a descriptor is another file's.
func (m *Mount) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.serving {
		return fmt.Errorf("close mount %s: it is still served", m.dir)
	}
	if m.closed {
		return nil
	}
	m.closed = true
	if m.left {
		return nil
	}
	err := unix.Close(m.below)
	m.below = -1
	if m.keeper.memo != nil {
		m.keeper.alive.Store(false)
		err = errors.Join(err, m.keeper.memo.Close())
	}
	return err
}

// Stats is a look at a mount's work.
type Stats struct {
	Requests, Writes, Written, Panics uint64 // Written: bytes by write capture
	Handles, Nodes, Files             int    // open files and directories, inodes the kernel knows, captured files in use
	Taken                             uint64 // how often another process has gone on with the mount
	Opens                             []OpenCount
}

// Stats returns the counters.
func (m *Mount) Stats() Stats {
	c := &m.counters
	return Stats{c.requests.Load(), c.writes.Load(), c.written.Load(), c.panics.Load(),
		int(m.handles.n.Load()), m.tree.count(), m.files.count(), m.keeper.takeOvers(), m.opens.list()}
}
