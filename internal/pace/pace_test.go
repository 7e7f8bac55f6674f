package pace_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftfuse/internal/pace"
)

func line(t *testing.T, bytes int64, burst time.Duration) *pace.Line {
	t.Helper()
	l, err := pace.New(bytes, burst)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func nothing() error { return nil }

// In a minute of a clock of its own, what passes is the rate and one burst, whoever sends.
func TestRate(t *testing.T) {
	for _, perSecond := range []int64{64 << 10, 1_000_000, 10 << 20} {
		synctest.Test(t, func(t *testing.T) {
			l := line(t, perSecond, time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var mu sync.Mutex
			var passed int64
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for l.Do(ctx, pace.Normal, 20_000, nothing) == nil {
						mu.Lock()
						passed += 20_000
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			most := perSecond*60 + max(perSecond, pace.Piece)
			if passed > most || passed < perSecond*60*95/100 {
				t.Errorf("%d bytes a second: got %d in a minute, want at most %d and not 5%% less", perSecond, passed, most)
			}
		})
	}
}

// While what matters more wants to pass, the others get a piece a second.
func TestPrecedence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line(t, 0, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		slow := func() error { time.Sleep(100 * time.Millisecond); return nil } // a thin line
		var passed [3]atomic.Int64
		var wg sync.WaitGroup
		for c := pace.High; c <= pace.Low; c++ {
			for range 1 + int(2*(pace.Low-c)) { // several, so that one always waits
				wg.Go(func() {
					for l.Do(ctx, c, 1, slow) == nil {
						passed[c].Add(1)
					}
				})
			}
		}
		wg.Wait()
		high, normal, low := passed[pace.High].Load(), passed[pace.Normal].Load(), passed[pace.Low].Load()
		if high < 400 || normal < 5 || normal > 40 || low < 5 || low > 20 {
			t.Errorf("got %d, %d and %d of each class in ten seconds", high, normal, low)
		}
	})
}

// A receiver that does not read holds up what matters less for a moment, not until its connection is given up.
func TestStuckHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line(t, 0, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.Do(ctx, pace.High, 1, func() error { <-ctx.Done(); return nil }) })
		synctest.Wait() // it is in its write
		passed := 0
		for l.Do(ctx, pace.Normal, 1, func() error { time.Sleep(100 * time.Millisecond); return nil }) == nil {
			passed++
		}
		wg.Wait()
		if passed < 500 {
			t.Errorf("got %d pieces in a minute beside one that is stuck, want ten a second", passed)
		}
	})
}

// Alone, what matters least passes at once.
func TestLowAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := line(t, 0, 0), time.Now()
		for range 1000 {
			if err := l.Do(t.Context(), pace.Low, 1, nothing); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %v for nobody", took)
		}
	})
}

// An end of ctx ends every wait, and nothing is written then.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line(t, 64<<10, time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := l.Do(ctx, pace.Low, 1, func() error { t.Error("written"); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		want := errors.New("broken")
		if err := l.Do(t.Context(), pace.High, 1, func() error { return want }); !errors.Is(err, want) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBadLine(t *testing.T) {
	if _, err := pace.New(-1, time.Second); err == nil {
		t.Error("a rate below 0 was taken")
	}
	if _, err := pace.New(1, 0); err == nil {
		t.Error("a rate without burst was taken")
	}
}
