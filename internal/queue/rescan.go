package queue

import (
	"math"
	"os"
	"slices"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"
)

// adoptCursors takes over the records, or the older copies in the base's head when the meta database was lost.
func (rv *recovery) adoptCursors() {
	q := rv.q
	cursors := rv.recs.cursors
	q.rec = rv.recs.queue
	rv.lost = !rv.recs.found && rv.head.First > 1
	if !rv.recs.found {
		q.rec = rv.head.Queue
		q.rec.Clean = false
		q.rec.Captured = nil
	}
	for _, c := range rv.head.Cursors {
		if rv.lost && !slices.ContainsFunc(cursors, func(o cursorRec) bool { return o.Name == c.Name }) {
			c.Handed = math.MaxUint64 - handedAhead // nobody knows what the destination has seen
			if c.Branch != nil {
				c.Branch.Handed = c.Handed
			}
			cursors = append(cursors, c)
		}
	}
	for _, c := range cursors {
		q.cursors[c.Name] = q.attach(c)
	}
	if q.rec.Captured == nil {
		q.rec.Captured = make(tallies)
	}
	if rv.head.Captured == nil {
		rv.head.Captured = make(tallies)
	}
	q.loadMarks(rv.head.Marks)
}

// scanner walks the chain and finds what is missing by the positions.
type scanner struct {
	rv       *recovery
	expect   uint64 // next position
	seq      uint64 // last own sequence seen
	seqKnown bool
	open     int // index in found of the hole that waits for the next own sequence, -1 none
	captured tallies
}

func (rv *recovery) scanChain() error {
	q := rv.q
	low := uint64(math.MaxUint64)
	for _, c := range q.cursors {
		low = min(low, c.rec.Acked)
	}
	from := rv.baseIndex
	for from > 0 && (len(q.cursors) == 0 || q.segs[from].first > low+1) {
		from--
	}
	sc := &scanner{rv: rv, expect: q.segs[from].first, open: -1, captured: cloneTallies(rv.head.Captured)}
	if h, _, found, err := q.segs[from].head(); found && err == nil {
		sc.seq, sc.seqKnown = h.Seq, true
	}
	if first := q.segs[from].first; len(q.cursors) > 0 && low+1 < first { // the oldest segments are gone
		rv.found = append(rv.found, span{First: low + 1, Last: first - 1, Seqs: [2]uint64{1, sc.seq}})
	}
	for i := from; i < len(q.segs); {
		s, end := q.segs[i], uint64(math.MaxUint64)
		if i+1 < len(q.segs) {
			end = q.segs[i+1].first - 1
		}
		if s.first > sc.expect {
			sc.hole(s.first - 1)
		}
		ok, err := rv.scanSegment(sc, s, end, i >= rv.baseIndex)
		if err != nil {
			return err
		}
		if !ok { // nothing is left of it
			q.segs = slices.Delete(q.segs, i, i+1)
			continue
		}
		if end != math.MaxUint64 && sc.expect <= end {
			sc.hole(end)
		}
		i++
	}
	q.last, q.seq = sc.expect-1, sc.seq
	for rule, n := range sc.captured {
		if have := q.rec.Captured[rule]; n.Bytes > have.Bytes || n.Records > have.Records {
			q.rec.Captured[rule] = Tally{max(n.Bytes, have.Bytes), max(n.Records, have.Records)}
		}
	}
	return nil
}

// scanSegment takes in the entries of s up to end, after a salvage if that is needed. It says false when nothing is
// left of s.
func (rv *recovery) scanSegment(sc *scanner, s *segment, end uint64, counts bool) (bool, error) {
	newest := end == math.MaxUint64
	for try := 0; ; try++ {
		err := rv.takeIn(sc, s, end, counts)
		if err == nil {
			return true, nil
		}
		if !damaged(err) || try == 2 {
			return false, err
		}
		s.close()
		if try == 0 { // a disk may fail once
			if newest {
				err = s.open(openExisting)
			}
			if !newest || err == nil {
				continue
			}
			if !damaged(err) {
				return false, err
			}
		}
		if left, err := rv.salvage(s, newest, err); !left || err != nil {
			return false, err
		}
	}
}

// takeIn reads s once. What it has taken in before an error is not taken in again.
func (rv *recovery) takeIn(sc *scanner, s *segment, end uint64, counts bool) error {
	bytes, n := int64(0), 0
	err := s.scan(sc.expect, end, func(pos uint64, v []byte) bool {
		if sum, err := readSummary(v); err == nil {
			sc.entry(pos, &sum, counts)
		}
		bytes += int64(len(v))
		n++
		return true
	})
	if err == nil && end == math.MaxUint64 {
		rv.q.segBytes, rv.q.segEntries = rv.q.segBytes+bytes, rv.q.segEntries+n
	}
	return err
}

// salvage puts what is sound of s in its place, and says whether that is anything.
func (rv *recovery) salvage(s *segment, newest bool, cause error) (left bool, err error) {
	rv.q.log.Error("queue: database is damaged, salvaging it", notice.QueueDamaged, "dir", s.dir, "error", cause)
	where, err := salvageSegment(&rv.q.o, s.dir, cause)
	rv.quarantined(where)
	if err != nil {
		return false, err
	}
	if newest {
		return true, s.open(openCreate)
	}
	_, err = os.Stat(s.dir)
	return !os.IsNotExist(err), nil
}

func (sc *scanner) entry(pos uint64, s *summary, counts bool) {
	q := sc.rv.q
	if pos > sc.expect {
		sc.hole(pos - 1)
	}
	sc.expect = pos + 1
	if s.own {
		if sc.open >= 0 {
			sc.rv.found[sc.open].close(s.first - 1)
			sc.open = -1
		}
		sc.seq, sc.seqKnown = s.last, true
	} else if counts && s.last > q.marks[s.stream].seq { // of what lies before it the head knows better, also what was forgotten
		q.touch(record.Durable{Stream: s.stream, Seq: s.last, Chain: s.chain})
	}
	if counts {
		sc.captured.add(s.rule, s.tally())
	}
	needed := len(q.cursors) == 0
	for _, c := range q.cursors {
		if !c.rec.passed(pos) {
			c.enter(pos, s)
			c.owe(pos, s)
			needed = true
		}
	}
	if needed {
		q.held += s.held
	}
}

// hole notes that positions up to last are missing.
func (sc *scanner) hole(last uint64) {
	h := span{First: sc.expect, Last: last}
	if sc.seqKnown {
		h.Seqs[0] = sc.seq + 1
	}
	sc.rv.found = append(sc.rv.found, h)
	sc.open = len(sc.rv.found) - 1
	sc.expect = last + 1
}

// close says what the last own sequence before the next entry was.
func (h *span) close(last uint64) {
	if h.Seqs[0] != 0 && last >= h.Seqs[0] {
		h.Seqs[1] = last
	} else {
		h.Seqs = [2]uint64{}
	}
}

// tail compares the chain's end with what the meta database knows of it.
func (rv *recovery) tail() {
	q := rv.q
	pos, seq := rv.recs.queue.Pos, rv.recs.queue.Seq
	for _, c := range q.cursors {
		p, s := c.rec.reach()
		pos, seq = max(pos, p), max(seq, s)
	}
	if pos > q.last {
		rv.found = append(rv.found, span{First: q.last + 1, Last: pos, Seqs: [2]uint64{q.seq + 1, 0}})
		q.last = pos
	}
	for i := range rv.found {
		if h := &rv.found[i]; h.Seqs[1] == 0 {
			h.close(seq)
		}
	}
	q.seq = max(q.seq, seq)
	for _, c := range q.cursors {
		for _, l := range c.lanes() {
			l.handed = min(l.handed, l.last())
			l.handedSafe = l.handed
		}
	}
}

// reconcile makes gaps of new holes and closes the books: what was captured and is neither delivered, filtered,
// dropped nor queued was in them.
func (rv *recovery) reconcile() {
	q := rv.q
	for _, h := range rv.found {
		if slices.ContainsFunc(q.rec.Holes, func(o span) bool { return o.First <= h.First && h.Last <= o.Last }) {
			continue
		}
		missed := len(q.cursors) == 0
		for _, c := range q.cursors {
			missed = c.rec.addHole(h, q.unreadable()) || missed
		}
		if missed {
			rv.r.Lost += h.Last - h.First + 1
		}
		q.rec.Holes = append(q.rec.Holes, h)
	}
	for _, c := range q.cursors {
		for rule := range c.rules() {
			if n := c.terms(rule); !n.covered(q.rec.Captured[rule]) {
				q.rec.Captured[rule] = n.most(q.rec.Captured[rule])
				rv.mismatch()
			}
		}
	}
	for _, c := range q.cursors {
		for rule, n := range q.rec.Captured {
			if miss := n.minus(c.terms(rule)); miss != (Tally{}) {
				c.rec.Dropped.add(rule, record.Damaged, miss)
				c.rec.tellGap(rule, miss)
				rv.mismatch()
			}
		}
	}
}

// mismatch counts a difference that no damage explains.
func (rv *recovery) mismatch() {
	if len(rv.found) == 0 && !rv.lost && rv.r.Quarantined == "" {
		rv.q.mismatch++
		rv.q.log.Error("queue: counters do not add up, though nothing is missing")
	}
}

// tellGap notes in the newest damaged gap how much of a rule is missing.
func (c *cursorRec) tellGap(rule string, n Tally) {
	for i := len(c.Gaps) - 1; i >= 0; i-- {
		if g := &c.Gaps[i]; g.Reason == record.Damaged && len(g.Parts) == 1 {
			p := g.Parts[0]
			if p.Tally == (Tally{}) {
				p.About = p.About.ofRule(rule)
			} else {
				p.About = p.About.with(p.About.ofRule(rule))
			}
			p.Tally = p.Tally.plus(n)
			g.Parts = []gapPart{p}
			return
		}
	}
}

// settle decides on the epoch and leaves the mark that the queue is open.
func (rv *recovery) settle() {
	q := rv.q
	q.opened = q.last + 1
	rv.r.last = q.last
	rv.r.Clean = q.rec.Clean && rv.r.Lost == 0 && rv.r.Quarantined == "" && !rv.lost
	q.rec.Sender, q.rec.Clean = q.o.Source.Sender.String(), false
	if !rv.r.Clean || q.rec.Epoch == 0 {
		q.newEpoch()
	}
	rv.r.Epoch = q.rec.Epoch
	if rv.r.Quarantined != "" || rv.r.Lost > 0 {
		q.rotateDue.Store(true) // a sound database with a fresh snapshot
		q.log.Error("queue: damage found", notice.QueueDamaged, "lost positions", rv.r.Lost, "quarantine", rv.r.Quarantined)
	}
	if q.segBytes >= q.rotateAt || q.segEntries >= q.o.SegmentEntries {
		q.rotateDue.Store(true)
	}
	for _, c := range q.cursors {
		for _, l := range c.lanes() {
			l.skip()
		}
	}
}
