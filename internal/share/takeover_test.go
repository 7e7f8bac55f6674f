package share_test

import (
	"testing"
	"testing/synctest"
	"time"
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
