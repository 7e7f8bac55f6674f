package mount

import (
	"context"
	"fmt"
	"os"

	"ftfuse/internal/attach"
	"ftfuse/internal/notice"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Given is a connection to the kernel that another process has opened: a mount helper, or the process before this one.
type Given struct {
	Fuse  *os.File // of /dev/fuse; taken over when Open succeeds
	Below *os.File // the directory below; a copy is made
	Kept  *Kept    // nil: the connection is new; taken over also when Open fails
}

// directory returns the path that is mounted on and a descriptor of the directory below.
func (o *Options) directory() (string, int, error) {
	if o.Given == nil {
		return attach.Below(o.Dir)
	}
	fd, err := unix.FcntlInt(o.Given.Below.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return "", -1, fmt.Errorf("directory below %s: %w", o.Dir, err)
	}
	return o.Dir, fd, nil
}

// prepare makes a given connection ready to be served.
func (m *Mount) prepare() error {
	m.srv = m.newServer(int(m.o.Given.Fuse.Fd()))
	kept := m.o.Given.Kept
	if kept == nil {
		return m.srv.greetAndKeep()
	}
	if err := m.srv.resume(kept); err != nil {
		m.keeper.alive.Store(false)
		m.srv.close(false) // what was opened anew: the connection will end, and spools with their writers
		return fmt.Errorf("take over: %w", err)
	}
	return nil
}

func (s *server) greetAndKeep() error {
	in, out, err := s.greet()
	if err != nil {
		return err
	}
	if err := s.keep(in, out); err != nil {
		s.log.Warn("the mount will not outlive this process", notice.MountNotKept, "error", err)
	}
	return s.turns.prepare(s.fd, canResend(in))
}

// serveGiven serves a connection until the mount is gone, or until ctx ends: then it is left for the next process.
func (s *server) serveGiven(ctx context.Context) error {
	if err := s.start(s.o.Given.Kept != nil); err != nil {
		return err
	}
	ended := make(chan struct{})
	var readErr error
	go func() { readErr = s.group.Wait(); close(ended) }()
	if s.o.Ready != nil {
		s.o.Ready()
	}
	select {
	case <-ended:
	case <-ctx.Done():
		s.quiesce(s.o.UnmountWait, ended)
		s.mu.Lock()
		s.left = true
		s.mu.Unlock()
		return nil // readers may wait in read(2) until the process ends
	}
	s.keeper.alive.Store(false)
	s.close(false)
	s.turns.close()
	_ = s.o.Given.Fuse.Close()
	return readErr
}

// settled lets all readers read, when what the kernel sent again is done.
func (s *server) settled() {
	s.keeper.settled()
	if err := s.more(s.o.Readers - 1); err != nil {
		s.log.Error("one reader serves the mount", "error", err)
	}
}

// start makes the readers and lets them read; after a take-over one alone at first.
func (s *server) start(alone bool) error {
	s.group = new(errgroup.Group)
	if !alone {
		return s.more(s.o.Readers)
	}
	r, err := newReader(s)
	if err != nil {
		return err
	}
	r.first = true
	s.run(r)
	return nil
}

// more adds n readers, or none.
func (s *server) more(n int) error {
	var all []*reader
	for range n {
		r, err := newReader(s)
		if err != nil {
			for _, r := range all {
				r.free()
			}
			return err
		}
		all = append(all, r)
	}
	for _, r := range all {
		s.run(r)
	}
	return nil
}

func (s *server) run(r *reader) {
	s.rmu.Lock()
	s.reading = append(s.reading, r)
	s.rmu.Unlock()
	s.group.Go(func() error {
		defer r.free()
		defer s.o.Pulses.Leave(r.pulse)
		return r.run()
	})
}

func (s *server) readers() []*reader {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	return append([]*reader(nil), s.reading...)
}
