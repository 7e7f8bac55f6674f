package node

import (
	"context"
	"errors"
	"fmt"
)

// stages runs the parts of a node, each in a goroutine of its own. They are started in the order of being needed and
// stopped in reverse, so that none is stopped while another still hands it something.
type stages struct {
	running []*stage
	failed  chan error // the first stage that ends by itself with an error
}

type stage struct {
	name   string
	cancel context.CancelFunc
	done   chan error
}

func newStages() *stages { return &stages{failed: make(chan error, 1)} }

// start runs a part until its context ends. A part that returns earlier, with an error, stops the node.
func (s *stages) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	st := &stage{name, cancel, make(chan error, 1)}
	s.running = append(s.running, st)
	go func() {
		err := run(ctx)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = nil
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
			if ctx.Err() == nil {
				select {
				case s.failed <- err:
				default:
				}
			}
		}
		st.done <- err
	}()
}

// wait blocks until ctx ends or a part fails, and says why in the second case.
func (s *stages) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.failed: // stop reports it
	}
}

// cancel tells all parts to end, without waiting.
func (s *stages) cancel() {
	for _, st := range s.running {
		st.cancel()
	}
}

// stop ends the parts, the one started last first, and returns all their errors.
func (s *stages) stop() error {
	var err error
	for i := len(s.running) - 1; i >= 0; i-- {
		s.running[i].cancel()
		err = errors.Join(err, <-s.running[i].done)
	}
	s.running = nil
	return err
}
