// Package filter decides by a record's content whether it is kept, what of it is changed or taken out, and where it goes.
//
// A Set is the filters of one rule, in order; a Chain is what is left of them for one writer and file; Apply runs a chain
// over one record. All of it is pure: the same record with the same key has the same verdict on every machine and in
// every life of the process, so that a replay after a crash changes nothing.
//
// What is matched is the record's text: the record without its line end, which is one of CRLF, LF, CR and NUL and is put
// back behind whatever the text becomes. One record is one text, however many lines were joined in it: ^ and $ stand for
// its beginning and end, and . for any character but LF, unless an expression says (?m) or (?s).
//
// Expressions are those of package regexp (RE2). They take time by the length of the record and no more, but a lot for
// each byte. So every filter is first asked for fixed texts of which a record must hold one to be of interest, and all
// texts of all filters are looked for together (scan.go). Only filters whose text is there are asked in earnest.
package filter

import (
	"slices"

	"ftfuse/internal/record"
)

// The actions of a filter.
const (
	Allow   = "allow"   // keeps the record and ends
	Deny    = "deny"    // drops the record, whatever was done to it before, and ends
	Rewrite = "rewrite" // replaces the text and goes on
	Redact  = "redact"  // takes parts out of the text and goes on
	Route   = "route"   // adds targets and goes on
)

// Filter is one entry as configured. All conditions that are given must hold.
type Filter struct {
	Action string

	Contains string   // fixed text
	Prefix   string   // fixed text at the beginning
	Match    string   // RE2
	Not      bool     // each of contains, prefix, match and field must fail instead of hold
	Field    string   // name of a field, see package fields; alone: it is there
	Is       []string // values of the field
	UIDs     []uint32 // of a writer that is known
	Units    []string // globs (path.Match) of the writer's systemd unit; a writer without one has none that matches
	Commands []string // globs of the name of the writer's program
	Paths    []string // globs (package rules) of the file
	Hosts    []string // globs of the sending machine's name

	Rewrite string   // with Match, for allow and rewrite: $1, ${name}, $0; $$ is $
	Redact  []string // names of patterns, own or built in
	With    string   // what stands where a pattern matched; "" means DefaultWith
	Targets []string // allow: in place of the rule's; route: beside the others
}

// DefaultWith stands where something was taken out.
const DefaultWith = "***"

// Pattern is a redaction pattern of the configuration's own. When Match has a group called secret only that goes.
type Pattern struct{ Name, Match string }

// Options is what a Set is made of.
type Options struct {
	Filters   []Filter
	Otherwise string    // allow or deny: what no filter decides; "" is allow
	Sample    int       // one of so many records passes; 0 and 1: all
	Patterns  []Pattern // for Redact, beside the built-in ones
	Targets   []string  // the rule's own
}

// MaxTargets bounds the targets that the filters of one rule may name together with the rule's own.
const MaxTargets = 64

// Targets is a set of targets: bit i stands for Set.Targets()[i].
type Targets uint64

// Set is the filters of one rule, compiled. It is never changed, so any goroutine may use it.
type Set struct {
	steps   []step
	deny    bool // otherwise
	sample  uint64
	names   []string // of the bits of Targets
	own     Targets
	scan    scanner
	everOn  []uint64 // bit i: filter i is asked whatever the record holds
	onFold  []uint64 // bit i: and when the record holds one of the characters of foldsToASCII
	onSlash []uint64 // bit i: and when the record holds a \
	folds   bool     // onFold has a bit
	escapes bool     // onSlash has a bit
	whole   *Chain   // for every writer, when no filter asks who wrote; else nil
}

// New compiles the filters. The error is the first of what Check finds.
func New(o Options) (*Set, error) {
	if problems := Check(o); len(problems) > 0 {
		return nil, problems[0]
	}
	s := &Set{deny: o.Otherwise == Deny, sample: uint64(max(o.Sample, 1))}
	s.own = s.bits(o.Targets)
	texts := texts{}
	for i := range o.Filters {
		st := compileStep(&o.Filters[i], o.Patterns)
		st.targets = s.bits(o.Filters[i].Targets)
		s.steps = append(s.steps, st)
		texts.add(i, st.need)
	}
	words := (len(s.steps) + 63) / 64
	s.everOn, s.onFold, s.onSlash = make([]uint64, words), make([]uint64, words), make([]uint64, words)
	for i, st := range s.steps {
		setIf(s.everOn, i, st.need.texts == nil)
		setIf(s.onFold, i, st.need.folds)
		setIf(s.onSlash, i, st.need.escapes)
		s.folds, s.escapes = s.folds || st.need.folds, s.escapes || st.need.escapes
	}
	s.scan = newScanner(texts)
	if !slices.ContainsFunc(s.steps, func(st step) bool { return st.who != nil }) {
		s.whole = s.chain(nil, nil, "")
	}
	return s, nil
}

func setIf(bits []uint64, i int, on bool) {
	if on {
		bits[i/64] |= 1 << (i % 64)
	}
}

// bits returns the set of the names, which it learns.
func (s *Set) bits(names []string) (t Targets) {
	for _, n := range names {
		i := slices.Index(s.names, n)
		if i < 0 {
			i = len(s.names)
			s.names = append(s.names, n)
		}
		t |= 1 << i
	}
	return t
}

// Targets returns the names of the bits of a Targets: the rule's own first, then those of the filters.
func (s *Set) Targets() []string { return s.names }

// Own returns the rule's own targets.
func (s *Set) Own() Targets { return s.own }

// Names returns the names of the targets in t, in the order of Targets.
func (s *Set) Names(t Targets) []string {
	var names []string
	for i, n := range s.names {
		if t&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// Trivial reports whether every record of every writer is kept as it is, for the rule's own targets.
func (s *Set) Trivial() bool { return len(s.steps) == 0 && !s.deny && s.sample == 1 }

// For picks the filters that concern what w writes to f on host. w and f may be nil when they are not known; then what
// asks for them does not hold. It may be called for every chunk, but is worth keeping as long as the three are the same.
func (s *Set) For(w *record.Writer, f *record.File, host string) *Chain {
	if s.whole != nil {
		return s.whole
	}
	return s.chain(w, f, host)
}

func (s *Set) chain(w *record.Writer, f *record.File, host string) *Chain {
	c := &Chain{set: s, live: make([]uint64, (len(s.steps)+63)/64)}
	for i := range s.steps {
		setIf(c.live, i, s.steps[i].who == nil || s.steps[i].who.holds(w, f, host))
	}
	c.settle()
	c.skips = c.maySkip()
	return c
}
