package node

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/config"
	"ftfuse/internal/drain"
	"ftfuse/internal/ledger"
	"ftfuse/internal/notice"
	"ftfuse/internal/output"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

// local is an output of a sender: files or the journal of its own machine, fed from a cursor of the queue.
type local struct {
	s   *sender
	cfg config.Output
	cur *queue.Cursor

	mu    sync.Mutex // guards the rest
	sink  sink       // nil until it is open
	drain *drain.Drain
	err   error // why it is not open
	at    time.Time
}

// run opens the output, tries again while that fails, and feeds it until ctx ends. What is for it waits in the queue.
func (l *local) run(ctx context.Context) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 30*time.Second) {
		err := l.open()
		if err == nil {
			break
		}
		if l.failed(err) && !errors.Is(err, errNoMount) {
			l.s.log.Error("output cannot be opened; what is for it waits in the queue", notice.OutputFailing, "output", l.cfg.Name, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	parts := newStages()
	parts.start("output "+l.cfg.Name, l.sink.Run)
	parts.start("feed "+l.cfg.Name, l.drain.Run)
	parts.wait(ctx)
	return errors.Join(parts.stop(), l.sink.Close())
}

// failed notes an error and reports whether it is another one than before.
func (l *local) failed(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	is := l.err == nil || l.err.Error() != err.Error()
	l.err, l.at = err, time.Now()
	return is
}

func (l *local) open() error {
	c := l.cfg
	var view func(*record.Chunk) *record.Chunk
	if c.Below != "" {
		fd, err := l.s.below(c.Below)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		view = notOwn(c)
		// By the descriptor: the path itself leads into the mount, to ourselves.
		c.Base = fmt.Sprintf("/proc/self/fd/%d/%s", fd, c.Base)
	}
	book, err := l.s.books()
	if err != nil {
		return err
	}
	out, err := openOutput(c, outputParts{book: book.Book(c.Name), log: l.s.log.With("part", "output", "output", c.Name), view: view})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sink, l.err = out, nil
	l.drain = drain.New(drain.Options{Name: c.Name, Backlog: l.cur, Store: l.s.capture, Sink: out, Logger: l.s.log.With("part", "feed")})
	return nil
}

// notOwn keeps an output below a mount from taking its own files, should they be picked up there and a rule send them to it: each
// of them would grow by itself for ever.
func notOwn(c config.Output) func(*record.Chunk) *record.Chunk {
	literal, _, varies := strings.Cut(c.Path, "{")
	own := strings.TrimPrefix(path.Clean(c.Base)+"/"+literal, "./")
	return func(ch *record.Chunk) *record.Chunk {
		if f := ch.File; f != nil && f.Mount == c.Below && ch.Flags&record.Below != 0 && strings.HasPrefix(f.Path, own) {
			if rest := f.Path[len(own):]; varies || rest == "" || rest[0] == '-' { // a rotated one has its time behind the name
				return nil
			}
		}
		return ch
	}
}

var errNoMount = errors.New("its mount is not served yet")

// below returns a descriptor of the directory below a mount, for the caller to close.
func (s *sender) below(name string) (int, error) {
	s.mu.Lock() // a mount that ends leaves the list before its descriptor is closed
	defer s.mu.Unlock()
	for _, m := range s.mounts {
		if m.name == name {
			return unix.FcntlInt(uintptr(m.root), unix.F_DUPFD_CLOEXEC, 0)
		}
	}
	return -1, fmt.Errorf("mount %s: %w", name, errNoMount)
}

// books returns the ledger of the sender's own outputs, opened when it is first needed.
func (s *sender) books() (*ledger.Ledger, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledger != nil {
		return s.ledger, nil
	}
	l, past, err := ledger.Open(ledger.Options{Dir: filepath.Join(s.cfg.StateDir, "ledger"), Logger: s.log.With("part", "ledger")})
	if err != nil {
		return nil, err
	}
	if past.Damage != "" {
		s.log.Error("ledger was damaged: what follows may be written twice", notice.LedgerDamaged, "damage", past.Damage, "salvaged", past.Salvaged, "moved_to", past.Quarantine)
	}
	s.ledger = l
	return l, nil
}

// stats returns how the output does; the zero value until it is open.
func (l *local) stats() (output.Stats, drain.Status, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sink == nil {
		return output.Stats{}, drain.Status{State: "opening"}, l.err
	}
	return l.sink.Stats(), l.drain.Status(), nil
}

// failedAt returns when it could not be opened last.
func (l *local) failedAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}
