package share_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/share"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(p share.Policy) share.Options {
	o := share.Options{Policy: p, HandOver: 2 * time.Second, ReturnAfter: 5 * time.Second, Bound: 40_000, Logger: slog.New(slog.DiscardHandler)}
	if p == share.Hash {
		o.Key, o.By = func(c *record.Chunk) string { return strconv.FormatUint(c.Handle%23, 10) }, "test"
	}
	return o
}

var policies = []share.Policy{share.Failover, share.Balance, share.Hash}

// Members come and go, lose what they held, refuse, are slow; the process is killed and begins anew; members are added and
// taken away. Whatever counts as acknowledged is held by somebody, in order, and nothing is doubled but what is counted.
func TestHistories(t *testing.T) {
	histories := 20
	first := rand.Uint64()
	if s := os.Getenv("FTFUSE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, histories = n, 1
	}
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			for n := range uint64(histories) {
				seed := first + n
				ok := t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { history(t, p, seed) })
				})
				if !ok {
					t.Fatalf("FTFUSE_SEED=%d repeats it", seed)
				}
			}
		})
	}
}

func history(t *testing.T, p share.Policy, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	names := []string{"a", "b", "c", "d"}
	h := &past{t: t, rng: rng, site: newSite(t, names...), store: newStore(), policy: p, names: names, listed: names[:3]}
	h.options = options(p)
	h.options.Replicas = rng.IntN(3)
	h.begin()
	for range 150 {
		h.step()
		time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond)
	}
	for _, n := range names {
		h.site.set(n, true)
	}
	h.life.await("in the end")
	h.end(false)
	h.site.quiet()
	h.site.complete(h.store)
	if doubles := h.site.doubles(); doubles > h.uncertain {
		t.Errorf("got %d doubled chunks, %d uncertain ones: want all that are doubled to be counted", doubles, h.uncertain)
	}
}

type past struct {
	t         *testing.T
	rng       *rand.Rand
	site      *site
	store     *store
	policy    share.Policy
	options   share.Options
	names     []string
	listed    []string
	life      *life
	uncertain uint64
	open      map[uint64]bool
}

func (h *past) begin() {
	h.life = h.site.live(h.store, h.options, members(h.listed...))
}

func (h *past) end(kill bool) {
	if kill {
		h.life.kill(h.rng)
	} else {
		h.life.end()
	}
	h.uncertain += h.life.share.Status().Uncertain.Chunks
}

// append writes some entries; some chunks go on with the next of their handle.
func (h *past) append() {
	if h.open == nil {
		h.open = map[uint64]bool{}
	}
	for range 1 + h.rng.IntN(40) {
		var entry []record.Chunk
		for range 1 + h.rng.IntN(3) {
			c := record.Chunk{Handle: uint64(h.rng.IntN(40))}
			if h.open[c.Handle] {
				c.Flags |= record.Continues
			}
			if h.open[c.Handle] = h.rng.IntN(20) == 0; h.open[c.Handle] {
				c.Flags |= record.Continued
			}
			entry = append(entry, c)
		}
		h.life.backlog.add(entry...)
	}
}

func (h *past) step() {
	name := h.names[h.rng.IntN(len(h.names))]
	r := h.site.receivers[name]
	switch h.rng.IntN(20) {
	case 0, 1:
		h.site.set(name, false)
	case 2, 3, 4:
		h.site.set(name, true)
	case 5:
		h.site.leave(name)
	case 6:
		h.site.set(name, false)
		h.site.mu.Lock()
		r.wipe()
		h.site.mu.Unlock()
	case 7:
		h.site.mu.Lock()
		r.delay = time.Duration(h.rng.IntN(300)) * time.Millisecond
		h.site.mu.Unlock()
	case 8:
		h.site.mu.Lock()
		if h.rng.IntN(3) == 0 {
			r.again = true
		} else {
			r.bad[h.store.seq+uint64(h.rng.IntN(10))] = true
		}
		h.site.mu.Unlock()
	case 9:
		kill := h.rng.IntN(3) > 0
		h.end(kill)
		h.begin()
	case 10:
		h.listed = nil
		for _, n := range h.names {
			if h.rng.IntN(3) > 0 {
				h.listed = append(h.listed, n)
			}
		}
		if len(h.listed) == 0 {
			h.listed = h.names[:1]
		}
		if err := h.life.share.SetMembers(members(h.listed...)); err != nil {
			h.t.Fatal(err)
		}
	default:
		h.append()
	}
}
