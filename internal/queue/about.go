package queue

import (
	"encoding/json"
	"fmt"
	"math"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// about says whose data a gap stands for: what all of it has in common, and the time of its first chunk. It is
// shared by copies of the records and never changed. On disk it is a wire entry of one gap.
type about struct {
	source *record.Source
	file   *record.File   // what the files share, the rest empty; nil: nothing
	writer *record.Writer // nil: not one writer
	time   int64          // ns since 1970
}

func aboutOf(chunks []record.Chunk) *about {
	c := &chunks[0]
	a := &about{c.Source, c.File, c.Writer, c.Time}
	for i := range chunks[1:] {
		if c := &chunks[i+1]; c.File != a.file || c.Writer != a.writer {
			a = a.with(&about{c.Source, c.File, c.Writer, c.Time})
		}
	}
	return a
}

// unreadable is what is known of data of which no chunk can be read any more.
func (q *Queue) unreadable() *about { return &about{source: q.o.Source, time: q.o.Now().UnixNano()} }

// aboutSummary is what an entry's summary knows, where its chunks cannot be read.
func (q *Queue) aboutSummary(s *summary) *about {
	a := q.unreadable()
	if !s.own {
		a.source = &record.Source{Stream: s.stream}
	}
	if s.newest > 0 && s.newest < math.MaxInt64 {
		a.time = s.newest
	}
	return a.ofRule(s.rule)
}

// ofRule returns a of one rule's data.
func (a *about) ofRule(rule string) *about {
	if a == nil || rule == "" {
		return a
	}
	n := *a
	n.file = &record.File{Rule: rule}
	return &n
}

// with returns what a and b, of later data, have in common. Either may be nil, which knows nothing.
func (a *about) with(b *about) *about {
	if a == nil || b == nil {
		return a
	}
	if same(a.file, b.file) && same(a.writer, b.writer) {
		return a
	}
	n := &about{source: a.source, file: a.file, writer: a.writer, time: a.time}
	if !same(a.file, b.file) {
		n.file = commonFile(a.file, b.file)
	}
	if !same(a.writer, b.writer) {
		n.writer = nil
	}
	return n
}

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func commonFile(a, b *record.File) *record.File {
	if a == nil || b == nil {
		return nil
	}
	f := &record.File{}
	if a.Rule == b.Rule {
		f.Rule = a.Rule
	}
	if a.Mount == b.Mount {
		f.Mount = a.Mount
	}
	if a.Mount == b.Mount && a.Path == b.Path {
		f.Path = a.Path
	}
	if a.Unit == b.Unit {
		f.Unit = a.Unit
	}
	if f.Rule == "" && f.Mount == "" && f.Path == "" {
		return nil
	}
	return f
}

// MarshalJSON writes a as a wire entry in base64: paths and names may hold bytes that JSON has no text for.
func (a *about) MarshalJSON() ([]byte, error) {
	b := wire.AppendEntry(nil, []record.Chunk{{Source: a.source, File: a.file, Writer: a.writer, Time: a.time, Gap: &record.Gap{Reason: record.Damaged}}})
	return json.Marshal(b)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (a *about) UnmarshalJSON(js []byte) error {
	var b []byte
	if err := json.Unmarshal(js, &b); err != nil {
		return err
	}
	chunks, err := decodeChunks(b)
	if err != nil {
		return fmt.Errorf("what a gap is about: %w", err)
	}
	c := &chunks[0]
	*a = about{c.Source, c.File, c.Writer, c.Time}
	return nil
}
