package ingest

import "time"

const (
	controlRate  = 100  // frames a second other than BATCH that one peer may send; it has few to send
	controlBurst = 1000 // and at once
)

// bucket bounds a rate: it holds room tokens when full and gets rate of them a second. The zero time is a full one.
type bucket struct {
	rate, room int
	full       time.Time // when it is full if nothing is taken
}

// take takes one token, or returns false.
func (b *bucket) take(now time.Time) bool {
	each := time.Second / time.Duration(b.rate)
	full := b.full
	if full.Before(now) {
		full = now
	}
	if full = full.Add(each); full.Sub(now) > time.Duration(b.room)*each {
		return false
	}
	b.full = full
	return true
}
