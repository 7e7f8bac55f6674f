package e2e

import (
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Fifty networks, each of a shape of its own, in which everything happens at random that can happen to links, addresses,
// processes and disks. FTFUSE_SCHEDULE runs one again that has failed.
func TestNetworkSoak(t *testing.T) {
	if v, err := strconv.ParseInt(os.Getenv("FTFUSE_SCHEDULE"), 10, 64); err == nil {
		storm(t, v)
		return
	}
	rnd := random(t)
	seeds := make(chan int64)
	var wg sync.WaitGroup
	for range 5 { // they wait most of their time
		wg.Go(func() {
			for seed := range seeds {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { storm(t, seed) })
			}
		})
	}
	for range 50 * max(soaks(), 1) {
		seeds <- rnd.Int63()
	}
	close(seeds)
	wg.Wait()
}

// storm is one schedule.
func storm(t *testing.T, seed int64) {
	t.Logf("schedule: FTFUSE_SCHEDULE=%d", seed)
	rnd := rand.New(rand.NewSource(seed))
	f := newFleet(t)
	f.program = nimble(t)
	f.shape(rnd)
	f.start()
	for _, s := range f.of("sender") {
		s.write(time.Duration(20+rnd.Intn(40)) * time.Millisecond) // five schedules at a time have two processors
	}
	w := &weather{f: f, rnd: rnd}
	for range 3 + rnd.Intn(3) {
		w.pass(time.Duration(rnd.Intn(400)) * time.Millisecond)
		w.event()
	}
	w.clear()
	f.settle()
}
