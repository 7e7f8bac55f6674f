package queue

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"ftfuse/internal/record"
)

// dropSlice is how many positions are judged between two looks at the locks.
const dropSlice = 4096

// DropOldest drops the oldest data of the rules that allow it until at least want payload bytes are free, and returns how many are.
// What a
// destination may have seen already is never dropped: it could be there, and a gap would deny it. So with much in
// flight less may be freed than wanted. What only destinations hold up that are not to get it is passed over first,
// whatever its rule: nothing is lost by that.
func (q *Queue) DropOldest(want int64, why record.Reason) (freed int64, err error) {
	q.writing.Lock() // while a cursor is made that needs all, nothing would be free
	q.mu.Lock()
	from, last := uint64(math.MaxUint64), q.last
	for _, c := range q.cursors {
		from = min(from, c.rec.Acked+1)
	}
	q.mu.Unlock()
	q.writing.Unlock()
	for freed < want && from <= last {
		list, err := q.droppable(from, last, func(n int, bytes int64) bool { return n < dropSlice && freed+bytes < want })
		if err != nil || len(list) == 0 {
			return freed, err
		}
		freed += q.dropList(list, why)
		from = list[len(list)-1].pos + 1
	}
	return freed, q.commit(false)
}

// summaries reads entries while more says so; it is told how many there are and their held bytes.
func (q *Queue) summaries(from, to uint64, more func(n int, bytes int64) bool) ([]delivered, error) {
	return q.look(from, to, false, more)
}

// droppable is summaries with what the gaps of the entries will be about.
func (q *Queue) droppable(from, to uint64, more func(n int, bytes int64) bool) ([]delivered, error) {
	return q.look(from, to, true, more)
}

func (q *Queue) look(from, to uint64, whole bool, more func(n int, bytes int64) bool) (list []delivered, err error) {
	var bytes int64
	err = q.scan(from, to, func(pos uint64, v []byte) bool {
		s, err := readSummary(v)
		if err != nil {
			return true // a reader will find it and mend it
		}
		d := delivered{pos: pos, s: s}
		if whole {
			if _, chunks, err := readEntry(v); err == nil {
				d.about = aboutOf(chunks)
			}
		}
		list = append(list, d)
		bytes += int64(s.held)
		return more(len(list), bytes)
	})
	return list, err
}

// dropList drops positions for all cursors, where none of them has the position in flight.
func (q *Queue) dropList(list []delivered, why record.Reason) (freed int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.held
	for i := range list {
		d := &list[i]
		if q.awaited(d) && (q.inFlight(d) || !q.o.Droppable(d.s.rule)) || q.making != nil && !q.making.rec.passed(d.pos) {
			continue
		}
		for _, c := range q.cursors {
			c.drop(d, why, math.MaxUint64)
		}
	}
	return int64(before - q.held)
}

// inFlight says whether a destination may have seen an entry without having answered. Called with mu held.
func (q *Queue) inFlight(d *delivered) bool {
	for _, c := range q.cursors {
		if d.pos <= c.laneOf(d.pos).handed && !c.rec.passed(d.pos) && c.rec.wants(d.pos, &d.s) {
			return true
		}
	}
	return false
}

// awaited says whether a destination is still to get an entry. Called with mu held.
func (q *Queue) awaited(d *delivered) bool {
	for _, c := range q.cursors {
		if !c.rec.passed(d.pos) && c.rec.wants(d.pos, &d.s) {
			return true
		}
	}
	return false
}

// drop is Drop of the lane that way, called with mu held, says.
func (q *Queue) drop(way func() *lane, first, last uint64, why record.Reason) error {
	q.mu.Lock()
	l := way()
	c := l.c
	if first > last || last > l.top {
		top := l.top
		q.mu.Unlock()
		return fmt.Errorf("drop %d..%d of cursor %q: want positions that Next has returned, at most %d: %w",
			first, last, c.rec.Name, top, record.ErrRefused)
	}
	q.mu.Unlock()
	list, err := q.droppable(first, last, func(n int, _ int64) bool { return n < dropSlice })
	if err := ignoreDamage(err); err != nil {
		return fmt.Errorf("drop %d..%d of cursor %q: %w", first, last, c.rec.Name, err)
	}
	q.mu.Lock()
	for i := range l.known {
		if p := l.known[i].pos; p >= first && p <= last {
			d := l.known[i]
			if j, ok := slices.BinarySearchFunc(list, p, func(l delivered, p uint64) int { return cmp.Compare(l.pos, p) }); ok {
				d.about = list[j].about
			}
			c.drop(&d, why, first)
		}
	}
	if again := max(first, l.at.Acked+1); l.next > again {
		l.moveTo(again)
	}
	q.mu.Unlock()
	return q.commit(false)
}

// drop turns one position into a gap, or a part of one that begins at position mergeFrom or later or that no
// destination has seen. Called with mu held.
func (c *Cursor) drop(d *delivered, why record.Reason, mergeFrom uint64) {
	q, l := c.q, c.laneOf(d.pos)
	if c.rec.passed(d.pos) {
		return
	}
	t := d.s.tally()
	c.leave(d)
	q.passBut(c, d.pos, &d.s)
	var parts []gapPart
	if c.rec.wants(d.pos, &d.s) {
		c.rec.Filtered.addSome(d.s.rule, d.s.cut)
		c.rec.Dropped.add(d.s.rule, why, d.s.kept())
		q.noteLoss(why)
		parts = []gapPart{q.partOf(d)}
	} else {
		c.rec.Filtered.add(d.s.rule, t)
	}
	epochBegins := c.rec.Branch != nil && c.rec.Branch.From == d.pos ||
		slices.ContainsFunc(q.rec.Epochs, func(m epochMark) bool { return m.From == d.pos })
	c.rec.addGap(gapRec{First: d.pos, Last: d.pos, Reason: why, Parts: parts}, !epochBegins, min(mergeFrom, l.handed+1))
	l.changed++
	q.soil()
	l.poke()
}

func (q *Queue) partOf(d *delivered) gapPart {
	s := &d.s
	p := gapPart{Own: s.own, First: s.first, Last: s.last, Tally: s.kept(), About: d.about}
	if p.About == nil {
		p.About = q.aboutSummary(s)
	}
	if !s.own {
		p.Sender, p.Epoch = s.stream.Sender.String(), s.stream.Epoch
	}
	return p
}

// addGap inserts g, which no gap covers. It is joined to the gap right before it when that begins at mergeFrom or later.
func (c *cursorRec) addGap(g gapRec, merge bool, mergeFrom uint64) {
	i, _ := slices.BinarySearchFunc(c.Gaps, g.First, func(o gapRec, p uint64) int {
		if o.First < p {
			return -1
		}
		return 1
	})
	if i > 0 && merge {
		unseen := len(g.Parts) == 0 && len(c.Gaps[i-1].Parts) == 0 // of both the destination never hears
		if o := &c.Gaps[i-1]; o.Last+1 == g.First && o.Reason == g.Reason && (o.First >= mergeFrom || unseen) {
			o.Last = g.Last
			o.Parts = joinParts(o.Parts, g.Parts)
			return
		}
	}
	c.Gaps = slices.Insert(c.Gaps, i, g)
}

// joinParts adds parts of later positions to those of earlier ones, into a new list.
func joinParts(a, b []gapPart) []gapPart {
	l := slices.Clone(a)
next:
	for _, p := range b {
		for i := range l {
			if o := &l[i]; o.Own == p.Own && o.Sender == p.Sender && o.Epoch == p.Epoch {
				o.First, o.Last, o.Tally = min(o.First, p.First), max(o.Last, p.Last), o.Tally.plus(p.Tally)
				o.About = o.About.with(p.About)
				continue next
			}
		}
		l = append(l, p)
	}
	return l
}

// addHole makes gaps of the positions that are missing from the chain, where the cursor has not passed them. Of a
// hole in which it stands, the sequences that it has acknowledged are left out.
func (c *cursorRec) addHole(h span, a *about) (added bool) {
	b := c.Branch
	if b == nil || h.Last < b.From {
		return c.addHoleAbove(h, c.Mark.Seq, a)
	}
	behind := h
	if h.First < b.From { // its parts are of two streams
		h.Last, behind.First = b.From-1, b.From
		if h.Seqs[1] != 0 {
			h.Seqs[1] = min(h.Seqs[1], b.Seq)
		}
		added = c.addHoleAbove(h, c.Mark.Seq, a)
	}
	return c.addHoleAbove(behind, max(b.Seq, b.Mark.Seq), a) || added
}

// addHoleAbove is addHole in one lane, whose destination has acknowledged the sequence acked.
func (c *cursorRec) addHoleAbove(h span, acked uint64, a *about) (added bool) {
	seqs := h.Seqs
	if seqs[1] != 0 {
		seqs[0] = max(seqs[0], acked+1)
	}
	for p := h.First; p <= h.Last; {
		if to := c.passedTo(p); to >= p {
			p = to + 1
			continue
		}
		end := min(h.Last, c.neededTo(p))
		g := gapRec{First: p, Last: end, Reason: record.Damaged}
		if seqs[1] != 0 && seqs[0] <= seqs[1] {
			g.Parts = []gapPart{{Own: true, First: seqs[0], Last: seqs[1], About: a}}
			seqs = [2]uint64{}
		}
		c.addGap(g, false, 0)
		added = true
		p = end + 1
	}
	return added
}

// expireAt drops what has expired in this lane from a position on that it has not handed out. It says whether
// there was anything.
func (l *lane) expireAt(from uint64) (bool, error) {
	c, q := l.c, l.c.q
	q.mu.Lock()
	last := l.last()
	unseen := from >= l.unseen() && from <= last
	q.mu.Unlock()
	if !unseen || !q.expires {
		return false, nil
	}
	list, err := q.summaries(from, last, func(int, int64) bool { return false })
	if err != nil || len(list) == 0 || list[0].pos != from || !q.expired(from, &list[0].s) {
		return false, ignoreDamage(err)
	}
	list, err = q.droppable(from, last, func(n int, _ int64) bool { return n < dropSlice })
	if err != nil {
		return false, ignoreDamage(err)
	}
	q.mu.Lock()
	dropped := false
	for i := range list {
		if !q.expired(list[i].pos, &list[i].s) {
			break
		}
		if list[i].pos >= l.unseen() && !c.rec.passed(list[i].pos) {
			c.drop(&list[i], record.Expired, math.MaxUint64)
			dropped = true
		}
	}
	q.mu.Unlock()
	if !dropped {
		return false, nil
	}
	return true, q.commit(false)
}

// ignoreDamage leaves damage to the reader that comes to it, which mends it.
func ignoreDamage(err error) error {
	if err != nil && damaged(err) {
		return nil
	}
	return err
}
