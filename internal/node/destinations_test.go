package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// alone fails when two of a name run at once.
type alone struct {
	t    *testing.T
	runs *atomic.Int32
}

func (a alone) run(ctx context.Context) error {
	if n := a.runs.Add(1); n != 1 {
		a.t.Errorf("got %d at work on one place of the queue, want 1", n)
	}
	<-ctx.Done()
	a.runs.Add(-1)
	return ctx.Err()
}

// Destinations are exchanged while others are, and while all end: never do two of a name run, and none is left behind.
func TestDestinationsAreExchangedOneForOne(t *testing.T) {
	all := newDestinations()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- all.Run(ctx) }()
	var group sync.WaitGroup
	var running [4]atomic.Int32
	for i := range running {
		group.Go(func() {
			name := fmt.Sprint(i)
			for n := range 200 {
				if err := all.stop(name); err != nil {
					t.Error(err)
				}
				all.start(name, alone{t, &running[i]})
				if all.get(name); n == 100 && i == 0 {
					cancel() // the node stops in the middle of a reload
				}
			}
		})
	}
	group.Wait()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	for i := range running {
		if n := running[i].Load(); n != 0 {
			t.Errorf("%d of name %d run after the end of all", n, i)
		}
	}
}
