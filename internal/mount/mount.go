package mount

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
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

	NoPassthrough bool          // write capture for all
	Readers       int           // goroutines that read requests; 0: two, or one on one processor
	MaxWaiting    int64         // bytes of writes that may wait (when_full: block, O_SYNC), more is ENOSPC; 0: 64 MiB
	UnmountWait   time.Duration // how long Serve's end waits for open files to close; 0: 5 s
	Ready         func()        // called once, when the mount is served and visible
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

	opens    opens
	counters counters

	mu      sync.Mutex
	serving bool
}

// server is a Mount with a connection to the kernel.
type server struct {
	fuse.RawFileSystem
	*Mount
	fd    int
	proto *fuse.ProtocolServer
	waits waits
	async sync.WaitGroup // goroutines of waiting requests
}

func (s *server) String() string { return "ftfuse" }

// Open opens the directory that is to be mounted on, after taking away dead mounts of ours that hide it. It does not
// mount. The caller calls Close in the end.
func Open(o Options) (*Mount, error) {
	dir, err := clearPath(o.Dir)
	if err != nil {
		return nil, err
	}
	below, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
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
	m.tree, m.locks = newTree(keyOf(&st)), newLocks()
	m.files.m = map[record.FileKey]*file{}
	m.opens.n = map[[2]string]uint64{}
	return m, nil
}

// Below returns a descriptor of the directory below the mount, for picking up what is written there. It is valid
// until Close.
func (m *Mount) Below() int { return m.below }

// Dir returns the path that is mounted on, without symbolic links.
func (m *Mount) Dir() string { return m.dir }

// Passthrough returns nil when open capture is possible, else why not. It is known once Ready was called.
func (m *Mount) Passthrough() error { return m.pass.off() }

// Close gives the directory below free. Serve must have returned.
func (m *Mount) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.serving {
		return fmt.Errorf("close mount %s: it is still served", m.dir)
	}
	if m.below < 0 {
		return nil
	}
	err := unix.Close(m.below)
	m.below = -1
	return err
}

// Stats is a look at a mount's work.
type Stats struct {
	Requests, Writes, Written, Panics uint64 // Written: bytes by write capture
	Handles, Nodes, Files             int    // open files and directories, inodes the kernel knows, captured files in use
	Opens                             []OpenCount
}

// Stats returns the counters.
func (m *Mount) Stats() Stats {
	c := &m.counters
	return Stats{c.requests.Load(), c.writes.Load(), c.written.Load(), c.panics.Load(),
		int(m.handles.n.Load()), m.tree.count(), m.files.count(), m.opens.list()}
}

// Serve mounts, serves until the mount is gone or ctx ends, and unmounts. When files are still open after
// UnmountWait it ends the connection under them: their writers see ENOTCONN, those of open capture nothing. Serve is
// called once.
func (m *Mount) Serve(ctx context.Context) (err error) {
	m.mu.Lock()
	if m.serving || m.below < 0 {
		m.mu.Unlock()
		return fmt.Errorf("serve %s: %w", m.dir, record.ErrClosed)
	}
	m.serving = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.serving = false
		m.mu.Unlock()
	}()

	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/fuse: %w", err)
	}
	defer unix.Close(fd)
	s := m.newServer(fd)
	mnt, err := newSuperblock(fd, m.o.Name)
	if err != nil {
		return fmt.Errorf("mount on %s: %w", m.dir, err)
	}
	err = s.greet()
	if err != nil {
		_ = unix.Close(mnt)
		return fmt.Errorf("mount on %s: %w", m.dir, err)
	}
	return s.serve(ctx, mnt)
}

func (m *Mount) newServer(fd int) *server {
	s := &server{RawFileSystem: fuse.NewDefaultRawFileSystem(), Mount: m, fd: fd}
	s.waits.limit, s.waits.locks = m.o.MaxWaiting, map[uint64]chan struct{}{}
	m.pass.fd = fd
	s.proto = fuse.NewProtocolServer(s, &fuse.MountOptions{
		MaxWrite:           maxWrite,
		MaxBackground:      64,
		DisableXAttrs:      true, // else every write asks for security.capability first
		EnableLocks:        true,
		DisableReadDirPlus: true, // with timeout 0 the kernel would look every name up again
		ExtraCapabilities:  fuse.CAP_HAS_RESEND,
		Logger:             slog.NewLogLogger(m.log.Handler(), slog.LevelWarn),
		PanicHandler: func(v any) fuse.Status {
			panic(v) // recovered counts, logs and answers
		},
	})
	return s
}

// greet answers INIT, which waits in a new connection, and finds out about passthrough.
func (s *server) greet() error {
	in := make([]byte, inSize)
	n, err := unix.Read(s.fd, in)
	if err != nil {
		return fmt.Errorf("read INIT: %w", err)
	}
	out := make([]byte, 4096)
	size, code := s.proto.HandleRequest([][]byte{in[:n]}, [][]byte{out})
	if code != fuse.OK || size == 0 {
		return fmt.Errorf("answer INIT: %w", unix.Errno(code))
	}
	if _, err := unix.Write(s.fd, out[:size]); err != nil {
		return fmt.Errorf("answer INIT: %w", err)
	}
	s.pass.probe(initIn(in[:n]), !s.o.NoPassthrough)
	if why := s.pass.off(); why != nil {
		s.log.Info("no open capture", "why", why)
	}
	return nil
}

// serve starts the readers, attaches the mount, and ends all in reverse. It takes over mnt.
func (s *server) serve(ctx context.Context, mnt int) error {
	var errs [2]error
	ended := make(chan struct{})
	var readers sync.WaitGroup
	var first sync.Once
	for range s.o.Readers {
		r, err := newReader(s)
		if err != nil {
			_ = unix.Close(mnt) // the last reference: the connection ends, and the readers with it
			readers.Wait()
			return err
		}
		readers.Add(1)
		go func() {
			defer readers.Done()
			defer r.free()
			if err := r.run(); err != nil {
				first.Do(func() { errs[0] = err })
			}
		}()
	}
	go func() { readers.Wait(); close(ended) }()

	at, err := attach(mnt, s.dir)
	_ = unix.Close(mnt)
	if err != nil {
		<-ended
		return err
	}
	if s.o.Ready != nil {
		s.o.Ready()
	}
	clean := false // after a forced umount by somebody else, writers of open capture may be left
	select {
	case <-ended:
	case <-ctx.Done():
		clean, errs[1] = at.detach(s.o.UnmountWait)
		if clean {
			clean = s.lastUsers(at, ended)
		}
		<-ended
	}
	s.close(clean)
	return errors.Join(errs[:]...)
}

// lastUsers waits a moment for the connection of an unmounted file system to end: a copy of the mount in another
// namespace keeps it. It reports whether there was none.
func (s *server) lastUsers(at *attached, ended <-chan struct{}) bool {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-ended:
		return true
	case <-t.C:
	}
	if err := at.abort(); err != nil {
		s.log.Error("end the connection", "error", err)
	}
	return false
}

// close ends what the kernel has not: it drops RELEASE and FORGET requests that are unread when a mount goes. clean says
// that no writer is left; else spools that may be held are left to their lease.
func (s *server) close(clean bool) {
	s.waits.close()
	s.async.Wait()
	for _, h := range s.handles.all() {
		if h = s.handles.take(h.fh); h == nil {
			continue
		}
		if h.node.kind == kindDir {
			_ = unix.Close(h.fd)
			continue
		}
		if !clean {
			h.spool = nil
		}
		s.release(h)
	}
	for _, n := range s.tree.clear() {
		if n.file != nil {
			s.files.unref(n.file)
		}
	}
	s.files.clear()
}
