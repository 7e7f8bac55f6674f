package queue

import (
	"maps"
	"slices"
	"time"

	"ftfuse/internal/record"
)

// Stats is a snapshot of the books. For every row of a cursor, at any moment:
// Captured = Delivered + Queued + Filtered + the sum of Dropped. What waits and is not for the cursor's destination is
// Filtered from the beginning.
type Stats struct {
	Epoch      uint64           `json:"epoch"`
	Last       uint64           `json:"last"` // last position
	Seq        uint64           `json:"seq"`  // last own sequence
	Segments   int              `json:"segments"`
	Held       uint64           `json:"held"` // payload bytes that some cursor has not passed
	Captured   map[string]Tally `json:"captured"`
	Cursors    []CursorStats    `json:"cursors"`
	Recovered  uint64           `json:"recovered"`            // databases reopened after an error, since Open
	Mismatch   uint64           `json:"mismatch"`             // rows that did not add up at Open without damage: a bug
	Quarantine string           `json:"quarantine,omitempty"` // newest folder made since Open
	LastLoss   time.Time        `json:"last_loss,omitzero"`   // when something was dropped last since Open, other than by expiry or by an operator
	Closed     time.Time        `json:"closed,omitzero"`      // Status only: when the queue was closed in order, zero if it was not
}

// CursorStats is one destination's part.
type CursorStats struct {
	Name   string    `json:"name"`
	Acked  uint64    `json:"acked"`            // position
	Behind uint64    `json:"behind"`           // positions not acknowledged
	Gaps   int       `json:"gaps"`             // runs of dropped positions that it has not acknowledged
	Oldest time.Time `json:"oldest"`           // capture time of the oldest queued data; zero if there is none
	Rules  []Row     `json:"rules"`            // by name
	Branch *Split    `json:"branch,omitempty"` // nil: everything goes in order
}

// Split says what of a destination's queue goes beside the rest, because it was captured after an outage.
type Split struct {
	From  uint64 `json:"from"`  // its first position
	Acked uint64 `json:"acked"` // of it the destination answers for everything up to here
	Old   Tally  `json:"old"`   // queued before it
	Fresh Tally  `json:"fresh"` // queued of it
}

// Row counts one rule's input for one destination, since the destination has been known.
type Row struct {
	Rule      string           `json:"rule"`
	Captured  Tally            `json:"captured"`
	Delivered Tally            `json:"delivered"`
	Queued    Tally            `json:"queued"`
	Filtered  Tally            `json:"filtered"`
	Dropped   map[string]Tally `json:"dropped,omitempty"` // by reason
}

// Balanced says whether the row's terms add up.
func (r *Row) Balanced() bool {
	n := r.Delivered.plus(r.Queued).plus(r.Filtered)
	for _, d := range r.Dropped {
		n = n.plus(d)
	}
	return n == r.Captured
}

// Stats returns the books as of now.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	s := q.stats()
	next, names := make(map[string]uint64), make(map[string]cursorRec)
	for _, c := range q.cursors {
		next[c.rec.Name], names[c.rec.Name] = c.rec.passedTo(c.rec.Acked+1)+1, c.rec.names()
	}
	last := q.last
	q.mu.Unlock()
	for i := range s.Cursors {
		c := &s.Cursors[i]
		c.Oldest = q.oldest(names[c.Name], next[c.Name], last)
	}
	return s
}

// oldest returns the time of the first entry from a position on that is for a destination, zero if there is none. Of
// what is not for it, it looks at a few thousand entries at most.
func (q *Queue) oldest(who cursorRec, from, last uint64) (at time.Time) {
	seen := 0
	err := q.scan(from, last, func(pos uint64, v []byte) bool {
		s, err := readSummary(v)
		if err == nil && who.wants(pos, &s) {
			at = time.Unix(0, s.newest)
			return false
		}
		seen++
		return seen < dropSlice
	})
	if err != nil { // a reader will find it and mend it
		return time.Time{}
	}
	return at
}

// stats copies the counters. Called with mu held.
func (q *Queue) stats() Stats {
	s := Stats{Epoch: q.rec.Epoch, Last: q.last, Seq: q.seq, Segments: len(q.segs), Held: q.held,
		Captured: cloneTallies(q.rec.Captured), Recovered: q.recovered, Mismatch: q.mismatch, Quarantine: q.quarantine, LastLoss: q.lastLoss}
	for _, name := range slices.Sorted(maps.Keys(q.cursors)) {
		c := q.cursors[name]
		cs := CursorStats{Name: name, Acked: c.rec.Acked, Behind: q.last - c.rec.Acked, Gaps: len(c.rec.Gaps)}
		for _, rule := range slices.Sorted(maps.Keys(q.rec.Captured)) {
			row := Row{Rule: rule, Captured: q.rec.Captured[rule].minus(c.rec.Base[rule]),
				Delivered: c.rec.Delivered[rule], Queued: c.queued[rule].minus(c.aside[rule]), Filtered: c.rec.Filtered[rule].plus(c.aside[rule])}
			for why, n := range c.rec.Dropped[rule] {
				if row.Dropped == nil {
					row.Dropped = make(map[string]Tally)
				}
				row.Dropped[why.String()] = n
			}
			cs.Rules = append(cs.Rules, row)
		}
		if b := c.rec.Branch; b != nil {
			cs.Behind -= b.Acked + 1 - b.From
			all := Tally{}
			for rule, n := range c.queued {
				all = all.plus(n.minus(c.aside[rule]))
			}
			cs.Branch = &Split{From: b.From, Acked: b.Acked, Old: all.minus(c.fresh), Fresh: c.fresh}
		}
		s.Cursors = append(s.Cursors, cs)
	}
	return s
}

// noteLoss remembers when something was dropped that nobody wanted dropped. Called with mu held.
func (q *Queue) noteLoss(why record.Reason) {
	if why != record.Expired && why != record.Purged {
		q.lastLoss = time.Now()
	}
}

// terms adds up what is known of a rule's input, before the cursor began and since. Called with mu held.
func (c *Cursor) terms(rule string) Tally {
	return c.rec.Base[rule].plus(c.rec.Delivered[rule]).plus(c.rec.Filtered[rule]).plus(c.queued[rule]).plus(c.rec.Dropped.sum(rule))
}

// rules lists the rules that the cursor has counted.
func (c *Cursor) rules() map[string]bool {
	l := make(map[string]bool)
	for _, m := range []tallies{c.rec.Base, c.rec.Delivered, c.rec.Filtered, c.queued} {
		for r := range m {
			l[r] = true
		}
	}
	for r := range c.rec.Dropped {
		l[r] = true
	}
	return l
}

// covered says whether t is at most o.
func (t Tally) covered(o Tally) bool { return t.Bytes <= o.Bytes && t.Records <= o.Records }

// least takes the smaller of each count.
func (t Tally) least(o Tally) Tally { return Tally{min(t.Bytes, o.Bytes), min(t.Records, o.Records)} }

// most takes the larger of each count.
func (t Tally) most(o Tally) Tally { return Tally{max(t.Bytes, o.Bytes), max(t.Records, o.Records)} }

var _ record.Backlog = (*Cursor)(nil)
var _ record.Backlog = (*Branch)(nil)
var _ record.Sink = (*Queue)(nil)
