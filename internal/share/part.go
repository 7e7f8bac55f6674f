package share

import (
	"fmt"
	"time"

	"ftfuse/internal/record"
)

// parts is into how many parts Balance and Hash cut what there is. It enters the parts' ids.
const parts = 64

func (o *Options) parts() int {
	if o.Policy == Failover {
		return 1
	}
	return parts
}

// label makes a part's ids. How chunks come to parts enters it: a receiver's mark is about the chunks of one part, and would
// cover others if the same name were given to a part of others.
func (o *Options) label(n int) string {
	switch o.Policy {
	case Balance:
		return fmt.Sprintf("part %d of %d by handle", n, parts)
	case Hash:
		return fmt.Sprintf("part %d of %d by %s", n, parts, o.By)
	}
	return ""
}

// part is what goes the same way: its chunks are at one member at a time, in the order of the backlog.
type part struct {
	n       int
	label   string // "": streams keep their ids
	at      *member
	want    *member  // where it goes when nothing of it is under way; nil: it stays
	entries []*entry // at at, not acknowledged, in order
	open    map[handle]time.Time
	through uint64 // of the sender's own: highest sequence that was seen to be held, in this life
	sources map[record.Source]*record.Source
}

// handle is an open file that is within a record, by when its latest chunk came.
type handle struct {
	sender record.SenderID
	number uint64
}

// entry is what one reading of the backlog had for one part.
type entry struct {
	part   *part
	from   *taken
	pos    uint64 // in the lane
	chunks []record.Chunk
	bytes  int64 // of payload
	cost   int64 // of memory, at most
	sent   bool  // a receiver may have it
}

func newPart(n int, label string) *part {
	return &part{n: n, label: label, open: map[handle]time.Time{}, sources: map[record.Source]*record.Source{}}
}

// id is what the sender id of a stream becomes in this part.
func (p *part) id(of record.SenderID) record.SenderID {
	if p.label == "" {
		return of
	}
	return of.Derive(p.label)
}

// maxSources bounds what a part remembers of sources, so that equal ones are one.
const maxSources = 256

// source is that of a chunk in this part.
func (p *part) source(of *record.Source) *record.Source {
	if s := p.sources[*of]; s != nil {
		return s
	}
	if len(p.sources) >= maxSources {
		clear(p.sources)
	}
	s := of
	if p.label != "" {
		s = of.Via(p.id(of.Sender))
	}
	p.sources[*of] = s
	return s
}

// follow notes which handles are within a record behind e. A gap ends all records: what would go on is missing.
func (p *part) follow(chunks []record.Chunk, now time.Time) {
	for i := range chunks {
		c := &chunks[i]
		h := handle{c.Source.Captor(), c.Handle}
		switch {
		case c.Gap != nil:
			clear(p.open)
		case c.Flags&record.Continued != 0 && c.Flags&record.Last == 0:
			p.open[h] = now
		default:
			delete(p.open, h)
		}
	}
}

// stale is how long a record that is not gone on with keeps its part where it is.
const stale = time.Minute

// whole says that no record of the part goes on in chunks to come.
func (p *part) whole(now time.Time) bool {
	for h, at := range p.open {
		if now.Sub(at) > stale {
			delete(p.open, h)
		}
	}
	return len(p.open) == 0
}

// idle says that nothing of the part is under way.
func (p *part) idle() bool {
	return len(p.entries) == 0 && (p.at == nil || p.at.lane.acked >= p.at.lane.tail)
}
