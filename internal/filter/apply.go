package filter

import (
	"bytes"
	"math/bits"
	"slices"

	"ftfuse/internal/record"
)

// What Verdict.By says when no filter decided.
const (
	ByOtherwise = -1 // no filter decided
	BySample    = -2 // not one of the records that pass the sample; no filter was asked
)

// maxText bounds the text that a filter makes: with the longest line end it is what a chunk can hold.
const maxText = record.MaxChunk - 2

// Chain is the filters of a Set that concern one writer, file and host. It is never changed, so any goroutine may use it.
type Chain struct {
	set   *Set
	live  []uint64 // bit i: filter i is one of them
	none  bool     // every record is kept as it is, for the rule's own targets
	skips bool     // Skip can tell something
	fixed *Verdict // of every record, when none looks at it
}

// Verdict is what becomes of a record.
type Verdict struct {
	Keep    bool
	Cut     bool    // Text was longer than a chunk can hold; its end was cut off
	By      int     // index of the filter that decided, or ByOtherwise or BySample
	Targets Targets // 0 when the record is not kept
	Text    []byte  // the record in its new form, with its line end; nil: unchanged. Lies in the Scratch until its next use
}

// Scratch is what Apply works in. The zero value is ready. One goroutine uses it at a time, for any number of chains.
type Scratch struct {
	hit   []uint64
	text  [2][]byte // a change reads one and writes the other
	in    int       // the one that the present text lies in, once it has been changed
	spans []span
}

// Key makes a record's key out of its handle and the offset of its first byte in the handle's stream. The pieces of a
// long record should have the key of its first, so that a sample takes all of them or none.
func Key(handle, offset uint64) uint64 {
	// The finalizer of splitmix64: offsets that differ by the length of a line must not give keys that fall together.
	x := handle*0x9e3779b97f4a7c15 + offset
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Trivial reports whether every record is kept as it is for the rule's own targets: there is no need to look at them.
func (c *Chain) Trivial() bool { return c.none }

// Fixed returns the verdict of all records, when it does not depend on them.
func (c *Chain) Fixed() (v Verdict, ok bool) {
	if c.fixed == nil {
		return Verdict{}, false
	}
	return *c.fixed, true
}

// settle finds out whether the chain decides without looking at records.
func (c *Chain) settle() {
	if c.set.sample > 1 {
		return
	}
	f := c.set.undecided()
	for i := range c.set.steps {
		st := &c.set.steps[i]
		if c.live[i/64]>>(i%64)&1 == 0 {
			continue
		}
		if st.content || st.action == Redact {
			return
		}
		if f.take(st, i) {
			break
		}
	}
	v := f.verdict()
	c.fixed = &v
	c.none = v.Keep && v.Targets == c.set.own
}

// fate is what has been found out about a record so far.
type fate struct {
	keep         bool
	by           int
	base, routed Targets // the rule's own or those of the filter that allowed, and those beside them
}

func (s *Set) undecided() fate { return fate{keep: !s.deny, by: ByOtherwise, base: s.own} }

// take does what st does but to the text, and reports whether it ends.
func (f *fate) take(st *step, i int) (end bool) {
	switch st.action {
	case Route:
		f.routed |= st.targets
		return false
	case Allow:
		f.keep, f.by = true, i
		if st.targets != 0 {
			f.base = st.targets
		}
	case Deny:
		f.keep, f.by = false, i
	default:
		return false
	}
	return true
}

func (f *fate) verdict() Verdict {
	if !f.keep {
		return Verdict{By: f.by}
	}
	return Verdict{Keep: true, By: f.by, Targets: f.base | f.routed}
}

// Apply decides about one record, given with its line end. key decides whether it is in the sample: the same for the same
// record always, see Key. rec must not lie in s. It does not allocate when no filter does anything, nor, as far
// as s has room, when one does, but for the groups of a rewrite.
func (c *Chain) Apply(rec []byte, key uint64, s *Scratch) Verdict {
	if c.fixed != nil {
		return *c.fixed
	}
	if n := c.set.sample; n > 1 && key%n != 0 {
		return Verdict{By: BySample}
	}
	return c.walk(rec, s, len(c.set.steps), true)
}

// Change returns what filters make of a piece that goes on with a record, nil for the piece as it is, as Verdict.Text. The
// record's first piece was kept by the filter by (Verdict.By), or by none, ByOtherwise. No filter decides any more, and
// those behind by are not asked: what would have been redacted in the record is redacted in its pieces, whatever else they hold.
func (c *Chain) Change(rec []byte, by int, s *Scratch) []byte {
	if c.fixed != nil {
		return nil
	}
	last := len(c.set.steps)
	if by >= 0 {
		last = by
	}
	return c.walk(rec, s, last, false).Text
}

// walk asks the filters up to the one called last. If they do not decide, Verdict.Text alone counts.
func (c *Chain) walk(rec []byte, s *Scratch, last int, decide bool) Verdict {
	set := c.set
	end := len(rec) - endLen(rec)
	text, changed, wasCut := rec[:end], false, false
	f := set.undecided()
	set.look(text, s)
	for i := c.next(s, 0); i >= 0 && i <= last; i = c.next(s, i+1) {
		st := &set.steps[i]
		after, did, holds := st.run(text, s)
		if !holds {
			continue
		}
		if did {
			var cut bool
			text, cut = s.keep(after)
			changed, wasCut = true, wasCut || cut
		}
		if decide && f.take(st, i) {
			break
		}
		if did {
			set.look(text, s)
		}
	}
	v := f.verdict()
	if changed && (v.Keep || !decide) {
		v.Text, v.Cut = s.put(append(text, rec[end:]...)), wasCut
	}
	return v
}

// endLen returns the length of a record's line end: CRLF, LF, CR, NUL or none.
func endLen(rec []byte) int {
	if len(rec) == 0 {
		return 0
	}
	switch rec[len(rec)-1] {
	case '\n':
		if len(rec) > 1 && rec[len(rec)-2] == '\r' {
			return 2
		}
		return 1
	case '\r', 0:
		return 1
	}
	return 0
}

// look finds out which filters are of interest for text.
func (s *Set) look(text []byte, sc *Scratch) {
	sc.hit = append(sc.hit[:0], s.everOn...)
	s.scan.find(text, sc.hit)
	if s.folds && (bytes.Contains(text, foldsToASCII[0]) || bytes.Contains(text, foldsToASCII[1])) {
		or(sc.hit, s.onFold)
	}
	if s.escapes && bytes.IndexByte(text, '\\') >= 0 {
		or(sc.hit, s.onSlash)
	}
}

func or(to, from []uint64) {
	for i, w := range from {
		to[i] |= w
	}
}

// next returns the first filter of the chain from i on that is of interest, -1 for none.
func (c *Chain) next(s *Scratch, i int) int {
	for w := i / 64; w < len(c.live); w++ {
		m := s.hit[w] & c.live[w]
		if w == i/64 {
			m &= ^uint64(0) << (i % 64)
		}
		if m != 0 {
			return w*64 + bits.TrailingZeros64(m)
		}
	}
	return -1
}

// run does what the step does to the text. after is the new text when did says so.
func (st *step) run(text []byte, s *Scratch) (after []byte, did, holds bool) {
	if !st.holds(text) {
		return nil, false, false
	}
	switch {
	case st.rewrite != nil:
		at := st.match.FindSubmatchIndex(text)
		if at == nil {
			return nil, false, false
		}
		return st.rewrite.append(s.other(), text, at), true, true
	case len(st.redact) > 0:
		s.spans = s.spans[:0]
		for i := range st.redact {
			s.spans = st.redact[i].find(text, s.spans)
		}
		if len(s.spans) == 0 {
			return nil, false, true
		}
		return replace(s.other(), text, s.spans, st.with), true, true
	}
	return nil, false, true
}

// replace appends text to dst, with in place of every span. Spans that overlap are one.
func replace(dst, text []byte, spans []span, with []byte) []byte {
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	done := 0
	for i := 0; i < len(spans); {
		sp := spans[i]
		for i++; i < len(spans) && spans[i].start < sp.end; i++ {
			sp.end = max(sp.end, spans[i].end)
		}
		dst = append(append(dst, text[done:sp.start]...), with...)
		done = sp.end
		if len(dst) > maxText {
			return dst // it is cut there: nothing behind it counts
		}
	}
	return append(dst, text[done:]...)
}

// other returns the buffer in which the present text does not lie, empty.
func (s *Scratch) other() []byte { return s.text[1-s.in][:0] }

// keep takes a text that was made in other for the present one, cut to what a chunk can hold.
func (s *Scratch) keep(text []byte) (kept []byte, cut bool) {
	s.in = 1 - s.in
	if cut = len(text) > maxText; cut {
		text = text[:maxText]
	}
	return s.put(text), cut
}

// put keeps the buffer of the present text, which may have grown. A text that is empty is not nil.
func (s *Scratch) put(text []byte) []byte {
	if text == nil {
		text = []byte{}
	}
	s.text[s.in] = text
	return text
}
