package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// destination is one thing that takes data from the queue: a receiver, files, the journal, a plug-in.
type destination interface {
	// run takes data until ctx ends, then ends in order.
	run(ctx context.Context) error
}

// destinations are what takes data from the queue, by name. They run beside each other; a reload starts and stops
// single ones.
type destinations struct {
	failed chan error // the first one that ends by itself with an error

	mu      sync.Mutex // guards members and closed
	members map[string]member
	closed  bool // nothing is started any more
}

// member is a destination that runs, as the one part of stages of its own.
type member struct {
	destination
	parts *stages
}

func newDestinations() *destinations {
	return &destinations{failed: make(chan error, 1), members: map[string]member{}}
}

// start runs d under a name that is free. After the end of all it does nothing: nobody would wait for d.
func (s *destinations) start(name string, d destination) {
	m := member{d, &stages{failed: s.failed}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	m.parts.start(name, d.run)
	s.members[name] = m
}

// get returns what runs under a name, nil if nothing does.
func (s *destinations) get(name string) destination {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members[name].destination
}

// stop ends what runs under the names, each while the others do, and waits for all.
func (s *destinations) stop(names ...string) error {
	var list []member
	s.mu.Lock()
	for _, name := range names {
		if m, known := s.members[name]; known {
			list = append(list, m)
			delete(s.members, name)
		}
	}
	s.mu.Unlock()
	return stopAll(list)
}

func stopAll(list []member) error {
	for _, m := range list {
		m.parts.cancel()
	}
	var err error
	for _, m := range list {
		err = errors.Join(err, m.parts.stop())
	}
	return err
}

// Run waits until ctx ends or one of them fails, then ends all of them, each while the others do.
func (s *destinations) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.failed: // its own error comes with close
	}
	return s.close()
}

func (s *destinations) close() error {
	s.mu.Lock()
	all := s.members
	s.members, s.closed = map[string]member{}, true
	s.mu.Unlock()
	return stopAll(slices.Collect(maps.Values(all)))
}
