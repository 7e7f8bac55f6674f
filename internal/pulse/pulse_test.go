package pulse

import (
	"slices"
	"testing"
	"time"
)

func TestHung(t *testing.T) {
	var g Group
	idle, busy, stuck := g.Join("idle"), g.Join("busy"), g.Join("stuck")
	other := g.Join("stuck") // another worker of that name, stuck too
	now := time.Unix(1000, 0)
	look := func(want ...string) {
		t.Helper()
		now = now.Add(time.Second)
		if got := g.Hung(now, 3*time.Second); !slices.Equal(got, want) {
			t.Errorf("after %s: got %q hung, want %q", now.Sub(time.Unix(1000, 0)), got, want)
		}
	}
	idle.Begin()
	idle.End()
	busy.Begin()
	stuck.Begin()
	other.Begin()
	for range 3 {
		look()
		busy.Beat()
	}
	look("stuck")
	busy.Beat()
	look("stuck")
	busy.End()
	busy.Begin() // the next unit
	look("stuck")
	stuck.End()
	look("stuck") // the other one
	g.Leave(other)
	look()
	look("busy")
	busy.End()
	look()
}

// Without anybody who watches, workers work all the same.
func TestUnwatched(t *testing.T) {
	var none *Group
	p := none.Join("alone")
	p.Begin()
	p.End()
	none.Leave(p)
}
