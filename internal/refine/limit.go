package refine

import (
	"strconv"
	"sync"
	"time"

	"ftfuse/internal/record"
)

// Per says what has an allowance of its own.
type Per uint8

// What a Limit counts apart.
const (
	PerRule Per = iota // all that the rule decides about
	PerUID             // each user that writes
	PerUnit            // each systemd unit that writes; what is in none shares one
)

// Limit is a rate and a quota. Zero fields bound nothing.
type Limit struct {
	Per     Per
	Bytes   int64         // a second
	Records int64         // a second
	Burst   time.Duration // what can be saved up is the rate for so long
	Quota   int64         // bytes in each Every
	Every   time.Duration // counted from 1970 on, so that a day begins at midnight UTC

	mu   sync.Mutex // guards used
	used map[string]*bucket
}

// Same reports whether two limits bound the same in the same way.
func (l *Limit) Same(o *Limit) bool {
	return l.Per == o.Per && l.Bytes == o.Bytes && l.Records == o.Records && l.Burst == o.Burst && l.Quota == o.Quota && l.Every == o.Every
}

// bucket is one allowance. The follower alone uses it, but for Used, under Limit.mu.
type bucket struct {
	limit   *Limit
	bytes   float64 // that may pass now
	records float64
	filled  time.Time // when these were true
	window  int64     // number of the quota's present Every
	quota   int64     // bytes that have passed in it
}

// maxBuckets bounds the allowances of one limit. When there are more writers, all begin anew.
const maxBuckets = 4096

// buckets are the allowances that one writer's records draw on.
type buckets struct {
	list []*bucket
	now  time.Time
}

func bucketsOf(limits []*Limit, w *record.Writer, now time.Time) buckets {
	b := buckets{now: now}
	for _, l := range limits {
		b.list = append(b.list, l.bucket(w, now))
	}
	return b
}

func (l *Limit) key(w *record.Writer) string {
	switch {
	case w == nil || l.Per == PerRule:
		return ""
	case l.Per == PerUnit:
		return w.Unit
	case w.Kind == record.Unknown:
		return "unknown"
	}
	return strconv.FormatUint(uint64(w.UID), 10)
}

func (l *Limit) bucket(w *record.Writer, now time.Time) *bucket {
	key := l.key(w)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.used[key]
	if b == nil {
		if l.used == nil || len(l.used) >= maxBuckets {
			l.used = map[string]*bucket{}
		}
		b = &bucket{limit: l, bytes: l.most(l.Bytes), records: l.most(l.Records), filled: now, window: l.number(now)}
		l.used[key] = b
	}
	b.refill(now)
	return b
}

// most is what a full bucket holds: never less than a second's worth.
func (l *Limit) most(rate int64) float64 { return float64(rate) * max(l.Burst.Seconds(), 1) }

// number is that of the quota's window.
func (l *Limit) number(now time.Time) int64 {
	if l.Every <= 0 {
		return 0
	}
	return now.UnixNano() / int64(l.Every)
}

// refill is called with the limit's mu held.
func (b *bucket) refill(now time.Time) {
	l := b.limit
	if passed := now.Sub(b.filled).Seconds(); passed > 0 {
		b.bytes = min(b.bytes+passed*float64(l.Bytes), l.most(l.Bytes))
		b.records = min(b.records+passed*float64(l.Records), l.most(l.Records))
	}
	b.filled = now
	if n := l.number(now); n != b.window {
		b.window, b.quota = n, 0
	}
}

// take says whether a record of n bytes may pass, and counts it if so. A record that is larger than what a full bucket
// holds passes when the bucket is full, and leaves a debt.
func (b *buckets) take(n int) bool {
	for _, k := range b.list {
		l := k.limit
		switch {
		case l.Bytes > 0 && k.bytes < float64(n) && k.bytes < l.most(l.Bytes),
			l.Records > 0 && k.records < 1,
			l.Quota > 0 && k.quota+int64(n) > l.Quota:
			return false
		}
	}
	b.charge(n)
	for _, k := range b.list {
		k.records--
	}
	return true
}

// charge counts n bytes that pass in any case: a record that goes on was decided about when it began. What is beyond
// the allowance is a debt of those that follow.
func (b *buckets) charge(n int) {
	for _, k := range b.list {
		k.bytes -= float64(n)
		k.limit.mu.Lock()
		k.quota += int64(n)
		k.limit.mu.Unlock()
	}
}

// Usage is how much of its quota somebody has used.
type Usage struct {
	Who    string `json:"who"` // user id or unit; "" for the whole rule
	Window int64  `json:"window"`
	Bytes  int64  `json:"bytes"`
}

// Used returns what Restore takes: quotas outlive a process, rates need not.
func (l *Limit) Used() (all []Usage) {
	if l.Quota <= 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for who, b := range l.used {
		all = append(all, Usage{who, b.window, b.quota})
	}
	return all
}

// Restore takes over what had been used. Usage of an earlier window counts no more.
func (l *Limit) Restore(all []Usage, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range all {
		if u.Window != l.number(now) || len(l.used) >= maxBuckets {
			continue
		}
		if l.used == nil {
			l.used = map[string]*bucket{}
		}
		l.used[u.Who] = &bucket{limit: l, bytes: l.most(l.Bytes), records: l.most(l.Records), filled: now, window: u.Window, quota: u.Bytes}
	}
}
