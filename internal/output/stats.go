package output

import (
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/record"
)

// Stats are counts since Open.
type Stats struct {
	Appends    int64 // appends committed
	Bytes      int64 // payload bytes of the chunks that were written
	Written    int64 // bytes written to files: the same for format raw
	Records    int64
	Duplicates int64              // chunks at or below their mark
	Missing    map[string]Missing // what gaps said is missing, by the names of record.Reason

	Unowned   int64 // bytes that somebody else appended to our files
	Truncated int64 // times that somebody else made a file shorter
	Reopened  int64 // times that a name no longer led to the open file
	Misplaced int64 // chunks whose path could not be used, put below _misplaced
	Finished  int64 // appends found complete after a crash or an error
	Cut       int64 // bytes cut off, and delivered again, after a crash
	Uncertain int64 // bytes that may be in the files twice

	Rotated, Compressed, Removed int64 // files
	OpenFiles                    int64
	LastError                    string
	LastErrorTime                time.Time
}

// Missing is what gaps of one reason said.
type Missing struct {
	Gaps           int64 // chunks
	Bytes, Records int64 // missing
}

// missing is counted by reason; 0 has those that are beyond it.
type missing [16]Missing

func (m *missing) add(g *record.Gap) {
	n := &m[0]
	if int(g.Reason) < len(m) {
		n = &m[g.Reason]
	}
	n.Gaps, n.Bytes, n.Records = n.Gaps+1, n.Bytes+int64(g.Bytes), n.Records+int64(g.Records)
}

type failure struct {
	text string
	at   time.Time
}

// counters is the live form of Stats.
type counters struct {
	appends, bytes, written, records, duplicates                      atomic.Int64
	unowned, truncated, reopened, misplaced, finished, cut, uncertain atomic.Int64
	rotated, compressed, removed, open                                atomic.Int64
	last                                                              atomic.Pointer[failure]

	mu      sync.Mutex // guards missing
	missing missing
}

func (c *counters) fail(err error) { c.last.Store(&failure{err.Error(), time.Now()}) }

func (c *counters) add(b *batch, written int64) {
	c.duplicates.Add(b.duplicates)
	if len(b.marks) == 0 {
		return
	}
	c.appends.Add(1)
	c.bytes.Add(b.bytes)
	c.written.Add(written)
	c.records.Add(b.records)
	c.addMissing(&b.gaps)
}

func (c *counters) addMissing(gaps *missing) {
	if *gaps == (missing{}) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range gaps {
		m, n := &c.missing[i], &gaps[i]
		m.Gaps, m.Bytes, m.Records = m.Gaps+n.Gaps, m.Bytes+n.Bytes, m.Records+n.Records
	}
}

// Stats returns the counts since Open.
func (o *Output) Stats() Stats { return o.stats.snapshot() }

func (c *counters) snapshot() Stats {
	s := Stats{
		Appends: c.appends.Load(), Bytes: c.bytes.Load(), Written: c.written.Load(), Records: c.records.Load(),
		Duplicates: c.duplicates.Load(), Missing: map[string]Missing{},
		Unowned: c.unowned.Load(), Truncated: c.truncated.Load(), Reopened: c.reopened.Load(), Misplaced: c.misplaced.Load(),
		Finished: c.finished.Load(), Cut: c.cut.Load(), Uncertain: c.uncertain.Load(),
		Rotated: c.rotated.Load(), Compressed: c.compressed.Load(), Removed: c.removed.Load(), OpenFiles: c.open.Load(),
	}
	if f := c.last.Load(); f != nil {
		s.LastError, s.LastErrorTime = f.text, f.at
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, m := range c.missing {
		if m.Gaps > 0 {
			s.Missing[record.Reason(i).String()] = m
		}
	}
	return s
}
