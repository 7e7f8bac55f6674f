// Package refine applies rules to chunks: filters take out, rewrite and route their records, limits hold back what is too much.
//
// What comes out covers the same bytes of each handle as what went in (record.Chunk.Span, Offset), so that whoever
// registers chunks knows how far a handle is, and every byte is counted: as kept, as cut by a filter, or in a gap.
package refine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

// Rule is what is done to the chunks of a file.
type Rule struct {
	Name    string
	Targets []string    // names of destinations; nil: all
	Filter  *filter.Set // made with the same targets
	Limits  []*Limit
}

func (r *Rule) idle() bool { return r.Filter.Trivial() && len(r.Limits) == 0 }

// Table is a set of rules that holds until it is replaced.
type Table struct {
	// Decide returns the rule of a path, nil where files are not sent. It must always answer the same.
	Decide func(mount, path string) *Rule
	// Fallback is for what is captured of a file that is not to be sent any more, and of which no earlier rule is known.
	Fallback *Rule
}

// Options configure a Stage.
type Options struct {
	Read   func(e record.Extent, p []byte) error // of spools; fills p
	Now    func() time.Time                      // nil: time.Now
	Logger *slog.Logger                          // nil: silent
}

// Stage refines what capture emits. Swap may be called by anybody, Refine by one goroutine.
type Stage struct {
	o     Options
	table atomic.Pointer[Table]

	held  *Table                      // by which files was filled
	files map[*record.File]*fileState // by the pointer that a handle's chunks share
	long  map[uint64]begun            // by handle: what was decided of a record that goes on in the next chunk
	buf   []byte
	cut   cutter
	out   []record.Chunk
}

// fileState is what holds for the chunks of one handle.
type fileState struct {
	file  *record.File // as the queue sees it
	rule  *Rule
	last  *record.Writer // whom chain is for
	chain *filter.Chain
	names map[filter.Targets][]string
}

// maxFiles bounds what is remembered of handles; beyond, all is looked up anew.
const maxFiles = 1 << 14

// New makes a stage.
func New(o Options, t *Table) *Stage {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Stage{o: o, files: map[*record.File]*fileState{}, long: map[uint64]begun{}}
	s.table.Store(t)
	return s
}

// Swap puts new rules in force for the chunks of later calls of Refine.
func (s *Stage) Swap(t *Table) { s.table.Store(t) }

// Refine returns what becomes of chunks, in their order. The result is valid until the next call; payload that filters
// have rewritten is Data of its own.
func (s *Stage) Refine(chunks []record.Chunk) []record.Chunk {
	s.renew()
	s.out = s.out[:0]
	for i := range chunks {
		s.one(&chunks[i])
	}
	return s.out
}

func (s *Stage) one(c *record.Chunk) {
	if c.File == nil { // a gap of which nothing is known
		s.out = append(s.out, *c)
		return
	}
	st := s.stateOf(c.File)
	b, goesOn := s.begun(c.Handle, c.Flags&record.Continues != 0)
	if c.Gap != nil || c.Len == 0 || st.rule.idle() && !goesOn { // changed in its place, so that nothing is allocated
		s.out = append(s.out, *c)
		o := &s.out[len(s.out)-1]
		if o.File, o.Targets = st.file, st.rule.Targets; goesOn && c.Gap == nil {
			s.ends(o, b.under(st), st)
		}
		return
	}
	n := *c
	n.File, n.Targets = st.file, st.rule.Targets
	chain := st.chainFor(c)
	if v, ok := chain.Fixed(); ok && len(st.rule.Limits) == 0 && !goesOn { // no need to look at it
		s.out = append(s.out, whole(&n, v, st))
		return
	}
	data, err := s.payload(c)
	if err != nil {
		// What cannot be read cannot be judged, and must not pass unjudged.
		s.o.Logger.Error("captured data cannot be read back for its filters; it is dropped and counted", "path", c.File.Path, "bytes", c.Len, "error", err)
		n.Gap = &record.Gap{Reason: lossOf(err), Bytes: uint64(c.Len), Records: uint64(c.Records)}
		n.Spent, n.Extents, n.Data, n.Marks, n.Len, n.CRC, n.Records = c.Extents, nil, nil, nil, 0, 0, 0
		s.out = append(s.out, n)
		return
	}
	s.cut.do(s, &n, data, st, chain)
}

// whole is c by one verdict on all of its records.
func whole(c *record.Chunk, v filter.Verdict, st *fileState) record.Chunk {
	n := *c
	if v.Keep {
		n.Targets = st.targets(v.Targets)
		return n
	}
	n.Span, n.Cut, n.Spent = c.Len, record.Cut{Bytes: c.Len, Records: c.Records}, c.Extents
	n.Len, n.CRC, n.Records, n.Data, n.Extents, n.Marks = 0, 0, 0, nil, nil, nil
	return n
}

func lossOf(err error) record.Reason {
	if errors.Is(err, record.ErrGone) {
		return record.SpoolLost
	}
	return record.Damaged
}

// payload returns the bytes of a chunk, until the next call. What it reads has the checksum of its capture: what filters
// leave of it gets another one.
func (s *Stage) payload(c *record.Chunk) ([]byte, error) {
	if c.Data != nil {
		return c.Data, nil
	}
	if cap(s.buf) < int(c.Len) {
		s.buf = make([]byte, record.MaxChunk)
	}
	p := s.buf[:c.Len]
	for off, i := 0, 0; i < len(c.Extents); i++ {
		e := c.Extents[i]
		if err := s.o.Read(e, p[off:off+int(e.Len)]); err != nil {
			return nil, err
		}
		off += int(e.Len)
	}
	if sum := record.CRC(p); sum != c.CRC {
		return nil, fmt.Errorf("read payload: got checksum %08x, want %08x: %w", sum, c.CRC, record.ErrCorrupt)
	}
	return p, nil
}

// renew forgets what older rules have decided, when there are new ones. A file that is not to be sent any more goes on
// as before for those who have it open.
func (s *Stage) renew() {
	t := s.table.Load()
	if t == s.held && len(s.files) < maxFiles {
		return
	}
	old := s.files
	s.files = map[*record.File]*fileState{}
	if t != s.held {
		for f, st := range old {
			if t.Decide(f.Mount, f.Path) == nil {
				s.files[f] = st
			}
		}
	}
	s.held = t
}

func (s *Stage) stateOf(f *record.File) *fileState {
	st := s.files[f]
	if st != nil {
		return st
	}
	rule := s.held.Decide(f.Mount, f.Path)
	if rule == nil {
		rule = s.held.Fallback
	}
	st = &fileState{file: f, rule: rule}
	if f.Rule != rule.Name {
		named := *f
		named.Rule = rule.Name
		st.file = &named
	}
	s.files[f] = st
	return st
}

// chainFor returns the filters that hold for one writer of the file.
func (st *fileState) chainFor(c *record.Chunk) *filter.Chain {
	if st.chain == nil || st.last != c.Writer {
		st.chain, st.last = st.rule.Filter.For(c.Writer, st.file, c.Source.Host), c.Writer
	}
	return st.chain
}

// bits returns the set of those names that the rule knows, its own if it knows none.
func (st *fileState) bits(names []string) (t filter.Targets) {
	for _, n := range names {
		t |= bitOf(st.rule.Filter, n)
	}
	if t == 0 {
		return st.rule.Filter.Own()
	}
	return t
}

// targets returns the names of a set, always the same slice for the same set.
func (st *fileState) targets(t filter.Targets) []string {
	if t == st.rule.Filter.Own() {
		return st.rule.Targets
	}
	names, known := st.names[t]
	if !known {
		if st.names == nil {
			st.names = map[filter.Targets][]string{}
		}
		names = st.rule.Filter.Names(t)
		st.names[t] = names
	}
	return names
}
