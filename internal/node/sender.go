package node

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/capture"
	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/identify"
	"ftfuse/internal/ledger"
	"ftfuse/internal/metrics"
	"ftfuse/internal/mount"
	"ftfuse/internal/notice"
	"ftfuse/internal/pulse"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
	"ftfuse/internal/refine"
	"ftfuse/internal/tap"
)

// sender is a running sender: what is written goes from mounts to capture to queue to uplinks.
type sender struct {
	cfg     *config.Sender
	log     *slog.Logger
	process Process
	since   time.Time

	lock    *os.File
	source  *record.Source
	load    Load[config.Sender]
	ident   *identify.Reader
	capture *capture.Capture
	queue   *queue.Queue
	backing mount.Backing
	rates   rates
	tap     tap.Hub // hears what has been queued

	ruling       atomic.Pointer[ruling]
	refine       *refine.Stage
	instance     [16]byte // of this process, for receivers
	destinations *destinations
	tunnels      tunnels
	lines        lines
	reloading    sync.Mutex // one reload at a time
	epochBegun   bool       // by this process; guarded by reloading once it runs

	pulses pulse.Group

	served chan struct{} // one for each mount that has been served once

	adopting []*stored // mounts that live on, until they are opened

	mu     sync.Mutex        // guards the rest
	mounts []*mounted        // that are served
	state  map[string]string // of each mount by name
	ledger *ledger.Ledger    // of outputs of this machine; nil: there was none yet
}

// RunSender runs a sender until ctx ends, then stops it in order. It is ready when every mount is served that it makes
// itself or takes over. load is for reloads.
func RunSender(ctx context.Context, cfg *config.Sender, load Load[config.Sender], p Process) (err error) {
	s := &sender{cfg: cfg, load: load, log: p.Log, process: p, since: time.Now(), state: map[string]string{}, served: make(chan struct{}, len(cfg.Mounts)),
		destinations: newDestinations()}
	defer func() { err = errors.Join(err, s.close()) }()
	given := s.given()
	ready, err := s.open()
	if err != nil {
		return err
	}
	parts := newStages()
	parts.start("watchdog", func(ctx context.Context) error { return watchdog(ctx, s.log, &s.pulses) })
	parts.start("queue", s.queue.Run)
	for name, d := range ready {
		s.destinations.start(name, d)
	}
	parts.start("destinations", s.destinations.Run)
	parts.start("capture", s.capture.Run)
	s.startMounts(parts)
	sock, err := s.process.Inherited.controlSocket(cfg.Control, s.log)
	if err != nil {
		return errors.Join(err, parts.stop())
	}
	parts.start("control", func(ctx context.Context) error { return control.Serve(ctx, sock, s.handlers(), s.log) })
	serveMetrics(parts, s.process.Inherited.metricsSockets(cfg.Metrics.Listen, cfg.Control, s.log), metrics.Sender, s.status, s.log)
	parts.start("reloading", func(ctx context.Context) error { return onHup(ctx, s.process, told(s.process, s.reload)) })
	parts.start("live status", func(ctx context.Context) error { return live(ctx, s.log, s.status) })
	parts.start("quotas", s.keepQuotas)
	parts.start("certificates", func(ctx context.Context) error { return watchCertificates(ctx, s.log, s.certificates) })
	parts.start("readiness", func(ctx context.Context) error {
		if !given {
			for range s.cfg.Mounts {
				select {
				case <-s.served:
				case <-ctx.Done():
					return nil
				}
			}
		}
		s.log.Info("serving", "mounts", s.paths())
		s.process.Ready()
		return nil
	})
	parts.wait(ctx)
	return parts.stop()
}

// open opens everything in the order of need, and returns what is to take data from the queue. What it opens is closed
// by close, also when it fails half-way.
func (s *sender) open() (map[string]destination, error) {
	cfg := s.cfg
	var err error
	if s.lock, err = lockState(cfg.StateDir); err != nil {
		return nil, err
	}
	id, err := senderID(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	if s.source, err = thisMachine(id, cfg.Host); err != nil {
		return nil, err
	}
	rand.Read(s.instance[:]) // never fails (crypto/rand)
	ruling, err := newRuling(cfg, nil)
	if err != nil {
		return nil, err
	}
	s.ruling.Store(ruling)
	if err := s.restoreQuotas(); err != nil {
		return nil, err
	}
	s.ident = identify.New(identify.Options{})
	if s.backing = backingFor(); s.given() {
		s.adopting = s.readStored()
	}
	if err := s.openCustody(); err != nil {
		return nil, err
	}
	ready, err := s.openDestinations(cfg)
	return ready, errors.Join(err, s.openMounts())
}

// openCustody opens spools and queue, each with what the other knows of the past.
func (s *sender) openCustody() error {
	cfg := s.cfg
	var err error
	s.refine = refine.New(refine.Options{Read: func(e record.Extent, p []byte) error { return s.capture.ReadExtent(e, p) },
		Logger: s.log.With("part", "rules")}, s.ruling.Load().table)
	s.capture, err = capture.New(capture.Options{
		Dir: cfg.SpoolDir, Source: s.source, Sink: tapped{queueSink{s}, &s.tap}, Refine: s.refine.Refine, Refresh: s.ident.Refresh,
		Logger: s.log.With("part", "capture"), Pulses: &s.pulses, MaxSize: int64(cfg.Queue.MaxSize), MinFree: int64(cfg.Queue.MinFree),
		DropOldest: s.dropOldest, Held: func() int64 { return s.queue.Held() }, Disk: cfg.Queue.Durability == "disk",
		SegmentSize: int(min(cfg.Queue.SegmentSize/4, 16<<20)),
	})
	if err != nil {
		return err
	}
	s.tap.Store = s.capture
	q, past, err := queue.Open(queue.Options{
		Dir: cfg.Queue.Dir, Source: s.source, Durability: durability(cfg.Queue.Durability),
		SegmentBytes: int64(cfg.Queue.SegmentSize), Snapshot: s.capture.Snapshot, Release: s.capture.Release,
		Expire:    func(rule string) time.Duration { return s.ruling.Load().expire[rule] },
		Droppable: func(rule string) bool { return !s.ruling.Load().keep[rule] },
		Bound:     func(cursor string) int64 { return s.ruling.Load().bound[cursor] },
		Logger:    s.log.With("part", "queue"), Pulses: &s.pulses,
	})
	if err != nil {
		return err
	}
	s.queue = q
	if past.Quarantined != "" {
		s.log.Error("queue was damaged", notice.QueueDamaged, "lost_positions", past.Lost, "moved_to", past.Quarantined)
	}
	s.log.Info("queue opened", "clean", past.Clean, "epoch", past.Epoch, "took", past.Took)
	if err := s.keepClasses(); err != nil {
		return err
	}
	if err := settleSuccessions(cfg.Targets, s.ruling.Load().classes, q, s.log); err != nil {
		return err
	}
	for _, name := range cursorNames(cfg, s.ruling.Load().classes...) { // before anything is appended, so that each gets all that is for it
		if _, err := q.Cursor(name); err != nil {
			return err
		}
	}
	if err := s.beginEpoch(cfg); err != nil {
		return err
	}
	var running []uint64
	for _, st := range s.adopting {
		running = append(running, st.kept.Captured()...)
	}
	return s.capture.Recover(capture.Recovery{Snapshot: past.Snapshot, Replay: past.Replay, Extents: past.Extents, Running: running})
}

// pickUp takes what lies below a mount.
func (s *sender) pickUp(ctx context.Context, m *mounted) error {
	if err := s.pickUpBelow(ctx, m); err != nil && ctx.Err() == nil {
		s.log.Error("what lies below the mount could not all be picked up", notice.PickUpFailed, "mount", m.name, "error", err)
	}
	return nil
}

// serveMount serves one directory. A connection that breaks is replaced; an operator's umount is respected.
func (s *sender) serveMount(ctx context.Context, m *mounted) error {
	for {
		err := m.m.Serve(ctx)
		if ctx.Err() != nil {
			s.setState(m.name, "stopped")
			return err
		}
		if s.stateOf(m.name) == "starting" {
			return err // it cannot be mounted: whoever starts us must know
		}
		if err == nil {
			s.setState(m.name, "unmounted by an operator")
			s.log.Warn("unmounted by an operator; restart the sender to mount again", notice.MountUnmounted, "mount", m.name)
			return nil
		}
		s.setState(m.name, err.Error())
		s.log.Error("mount ended, mounting again", notice.MountEnded, "mount", m.name, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// ready returns what a mount calls when it is served and visible.
func (s *sender) ready(mount string) func() {
	var once sync.Once
	return func() {
		s.setState(mount, "serving")
		once.Do(func() {
			select {
			case s.served <- struct{}{}:
			default: // a mount that was handed over: nobody counts those, and there may be more of them than names
			}
		})
	}
}

func (s *sender) stateOf(mount string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state[mount]
}

func (s *sender) setState(mount, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state[mount] = state
}

// close closes in reverse order of opening.
func (s *sender) close() error {
	var err error
	for _, m := range s.live() {
		err = errors.Join(err, m.m.Close())
	}
	err = errors.Join(err, s.process.Inherited.close())
	if s.ruling.Load() != nil {
		err = errors.Join(err, s.saveQuotas())
	}
	if s.ledger != nil {
		err = errors.Join(err, s.ledger.Close())
	}
	if s.queue != nil {
		err = errors.Join(err, s.queue.Close())
	}
	if s.capture != nil {
		err = errors.Join(err, s.capture.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// queueSink breaks the circle between capture, which hands to the queue, and the queue, which asks for snapshots.
type queueSink struct{ s *sender }

func (q queueSink) Put(ctx context.Context, chunks []record.Chunk) error {
	return q.s.queue.Put(ctx, q.s.ruling.Load().way.forCursors(chunks))
}

func (s *sender) dropOldest(n int64) (int64, error) { return s.queue.DropOldest(n, record.QueueFull) }

// firstTime reports whether a mount has never been served before.
func (s *sender) firstTime(mount string) (bool, error) {
	_, err := os.Stat(s.markPath(mount))
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return false, err
}

// rememberMount notes that what was below a mount has been dealt with.
func (s *sender) rememberMount(mount string) error {
	if err := os.MkdirAll(filepath.Dir(s.markPath(mount)), 0o700); err != nil {
		return err
	}
	return writeSynced(s.markPath(mount), time.Now().UTC().Format(time.RFC3339)+"\n")
}

func (s *sender) markPath(mount string) string {
	return filepath.Join(s.cfg.StateDir, "mounts", mount)
}
