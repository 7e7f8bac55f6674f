package share_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/share"
)

// A reload makes the next Share of a backlog while the one before still gives out. What that has sent since, and was not acknowledged
// when it ended, may be doubled by other members, and counts as uncertain.
func TestTakesOver(t *testing.T) {
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site, st := newSite(t, "a", "b"), newStore()
				old := site.live(st, options(p), members("a", "b"))
				next := site.prepare(old.backlog, options(p), members("b"))
				s := &scene{site: site, life: old}
				s.slow("a", 20*time.Second+3) // it has read by then, and stores when nobody waits any more
				s.write(200)
				time.Sleep(time.Second)
				old.end()
				next.begin()
				next.await("at the one that is left")
				next.end()
				site.quiet()
				site.complete(st)
				d, u := site.doubles(), next.share.Status().Uncertain.Chunks
				if d == 0 {
					t.Fatal("nothing was doubled: the first had nothing under way")
				}
				if d > u {
					t.Errorf("got %d doubled chunks, %d uncertain ones", d, u)
				}
			})
		})
	}
}

// Weights may change while connections begin.
func TestWeightsChangeAsMembersBegin(t *testing.T) {
	began := make(chan share.Member, 10_000)
	s, err := share.New(share.Options{Policy: share.Balance, Backlog: newStore().open(), Sender: record.SenderID{1},
		Run: func(ctx context.Context, m share.Member, _ *share.Lane) error {
			began <- m
			<-ctx.Done()
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	const names = 300
	for i := range 20 * names {
		name := strconv.Itoa(i / 20)
		if err := s.SetMembers([]share.Member{{Name: name, Address: name, Weight: 1 + i%20}}); err != nil {
			t.Fatal(err)
		}
	}
	for m := range began {
		if m.Name == strconv.Itoa(names-1) { // the last list has that one
			break
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
