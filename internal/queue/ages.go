package queue

import (
	"sync"
	"time"
)

// maxAges bounds the samples of ages: 16 KiB.
const maxAges = 1024

// ages remembers when positions were appended on the clock that is never set, about one sample a second, fewer
// when the queue runs long: what it says is never more than the real age.
type ages struct {
	mu     sync.Mutex
	at     []ageSample // ascending
	every  time.Duration
	newest time.Duration // when anything was appended last
}

type ageSample struct {
	pos uint64 // the first position appended then
	up  time.Duration
}

func (a *ages) note(pos uint64, up time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.newest = up
	if a.every == 0 {
		a.every = time.Second
	}
	if n := len(a.at); n > 0 && up-a.at[n-1].up < a.every {
		return
	}
	if len(a.at) == maxAges {
		for i := range maxAges / 2 {
			a.at[i] = a.at[2*i+1]
		}
		a.at = a.at[:maxAges/2]
		a.every *= 2
	}
	a.at = append(a.at, ageSample{pos, up})
}

// atLeast returns an age that pos surely has; known is false for what was appended before Open.
func (a *ages) atLeast(pos, firstSinceOpen uint64, up time.Duration) (age time.Duration, known bool) {
	if pos < firstSinceOpen {
		return 0, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.at { // the first sample that is not older than pos
		if a.at[i].pos >= pos {
			return up - a.at[i].up, true
		}
	}
	return up - a.newest, true
}

// expired judges an entry by two clocks. By the wall clock its newest chunk must be older than the rule allows:
// ages count over restarts, and a clock set back makes data stay longer. And if it was appended since Open, it must
// also be that old on a clock that is never set: a wall clock that jumps forward, as at a boot without a
// battery-backed clock, expires nothing of this run early. What an earlier run has queued has only its wall time,
// and a forward jump that comes with a restart can expire it early.
func (q *Queue) expired(pos uint64, s *summary) bool {
	if !q.expires {
		return false
	}
	limit := q.o.Expire(s.rule)
	if limit <= 0 || s.ageless() || q.o.Now().Sub(time.Unix(0, s.newest)) <= limit {
		return false
	}
	age, known := q.ages.atLeast(pos, q.opened, q.o.Uptime())
	return !known || age > limit
}
