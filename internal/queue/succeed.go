package queue

import (
	"fmt"
	"maps"
	"slices"

	"ftfuse/internal/record"
)

// A target whose data took one way gets several by a reload, or one in the place of several. What waits for it then goes to the
// destinations that take the place of the old one: their cursors succeed its cursor.

// formerRec says that what is for a cursor of another name is for this one too, as that has succeeded it.
type formerRec struct {
	Name string `json:"name"`
	Last uint64 `json:"last,omitempty"` // up to this position; 0: whatever comes, until there is a cursor of that name again
}

// wants says whether the cursor's destination gets anything of the entry at a position; what it does not get counts as filtered.
func (c *cursorRec) wants(pos uint64, s *summary) bool {
	if s.wanted(c.Name) {
		return true
	}
	for _, f := range c.Former {
		if (f.Last == 0 || pos <= f.Last) && s.wanted(f.Name) {
			return true
		}
	}
	return false
}

// names are what wants asks, for who holds no lock. Called with mu held.
func (c *cursorRec) names() cursorRec {
	return cursorRec{Name: c.Name, Former: slices.Clone(c.Former)}
}

// withheld is what the cursor's destination does not get of an entry.
func (c *cursorRec) withheld(pos uint64, s *summary) Tally {
	if c.wants(pos, s) {
		return s.cut
	}
	return s.tally()
}

// Heir returns a cursor that Succeed will make. Nothing may be asked of it before but its name and that of its streams.
func (q *Queue) Heir(name string) *Cursor {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.attach(cursorRec{Name: name, Streams: fmt.Sprintf("%s since %d", name, q.last)})
}

// StreamsName is what the streams of this cursor are told apart by from those of others. It is the cursor's name, but for one that
// has succeeded another: a cursor of its name may have been there before, and gone further, and a receiver would take what
// waits now for what it has.
func (c *Cursor) StreamsName() string {
	if c.rec.Streams != "" { // never changes
		return c.rec.Streams
	}
	return c.rec.Name
}

// Succeed lets what waits at a cursor, which nobody reads any more, wait at each of heirs instead, and forgets it. Also what is
// appended for it later is theirs. It wraps record.ErrRefused if there is no such cursor, or one that has an heir's name.
func (q *Queue) Succeed(name string, heirs ...*Cursor) error {
	q.writing.Lock() // a cursor that is being made must be among the others
	q.mu.Lock()
	err := q.succeed(name, heirs)
	q.mu.Unlock()
	q.writing.Unlock()
	if err != nil {
		return fmt.Errorf("succeed cursor %q: %w", name, err)
	}
	q.rotateDue.Store(true) // the next database begins with a record that knows of it
	if err := q.commit(false, name); err != nil {
		q.log.Warn("queue: cursor not committed yet", "cursor", name, "error", err) // no heir gives anything out before
	}
	return nil
}

// succeed is Succeed. Called with mu held.
func (q *Queue) succeed(name string, heirs []*Cursor) error {
	old := q.cursors[name]
	switch {
	case q.closed:
		return record.ErrClosed
	case old == nil || len(heirs) == 0:
		return fmt.Errorf("got no such cursor, or nobody to take its place, want both: %w", record.ErrRefused)
	}
	for _, h := range heirs {
		if q.cursors[h.rec.Name] != nil {
			return fmt.Errorf("got cursor %q already, want a new one: %w", h.rec.Name, record.ErrRefused)
		}
	}
	for _, h := range heirs {
		q.nameAgain(h.rec.Name)
		h.inherit(old)
		q.cursors[h.rec.Name] = h
	}
	delete(q.cursors, name) // who still waits for its answers gets none: they are to ask the heirs
	q.soil()
	return nil
}

// inherit makes c what old is: it stands where that stands, and has passed what that has, under streams of its own of which no
// receiver has anything. Called with mu held.
func (c *Cursor) inherit(old *Cursor) {
	q, r := c.q, old.rec.clone()
	r.Name, r.Streams, r.Handed, r.Mark = c.rec.Name, c.rec.Streams, old.main.handed, markRec{}
	if r.Branch != nil {
		r.Branch.Handed, r.Branch.Mark = old.ahead.handed, markRec{}
	}
	r.Former = append(r.Former, formerRec{Name: old.rec.Name})
	r.Base, r.Delivered, r.Filtered, r.Dropped = cloneTallies(q.rec.Captured), nil, nil, nil
	for rule, n := range old.queued {
		r.Base.sub(rule, n)
	}
	c.become(q, r)
	c.queued, c.aside, c.fresh, c.owed.by = maps.Clone(old.queued), maps.Clone(old.aside), old.fresh, maps.Clone(old.owed.by)
	for _, l := range c.lanes() {
		l.handedSafe = 0 // so that nothing is given out before a commit
	}
}

// nameAgain ends that other cursors get what is for a name, as there is a cursor of that name from now on. Called with mu held.
func (q *Queue) nameAgain(name string) {
	for _, c := range q.cursors {
		c.rec.endFormer(q.last, func(f formerRec) bool { return f.Name == name })
	}
}

// endFormer lets former names that are so hold up to a position.
func (c *cursorRec) endFormer(last uint64, so func(formerRec) bool) {
	for i := range c.Former {
		if f := &c.Former[i]; f.Last == 0 && so(*f) {
			f.Last = last
		}
	}
}

// pruneFormer forgets former names that no position above pos needs.
func pruneFormer(l []formerRec, pos uint64) []formerRec {
	return slices.DeleteFunc(l, func(f formerRec) bool { return f.Last != 0 && f.Last <= pos })
}
