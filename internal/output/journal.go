package output

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"ftfuse/internal/journald"
	"ftfuse/internal/ledger"
	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// JournalOptions configure an output to the journal of this machine.
type JournalOptions struct {
	Name       string
	Identifier string // SYSLOG_IDENTIFIER of all entries; "": the last name of each file's path
	Socket     string // of journald; "": the usual one
	Book       *ledger.Book
	Pulses     *pulse.Group                      // the Put that sends has one
	View       func(*record.Chunk) *record.Chunk // as in Options
}

// Journal gives every record to journald as an entry of its own. It is a record.Sink that answers for a chunk when
// journald's socket has taken all of its entries and the ledger its mark: after a kill between the two, or when the ledger fails,
// entries come again, with the same FTFUSE_SENDER, _EPOCH, _HANDLE and _OFFSET. Nothing is lost to a journald that
// is slow or away: Put fails then, and whoever calls it tries again.
type Journal struct {
	o     JournalOptions
	stats counters

	// turn holds one token: who has it may use everything in this group.
	turn   chan struct{}
	conn   journald.Conn
	make   *entryMaker
	pulse  *pulse.Pulse
	sent   map[record.Stream]sent // beyond the mark, for the next attempt
	closed bool

	mu    sync.Mutex // guards marks
	marks map[record.Stream]record.Durable
}

// sent is how far a stream has been sent in this life of the process: all chunks before seq, and of that one so many entries.
type sent struct {
	seq     uint64
	entries int
}

// journalWait bounds one attempt to hand over an entry. journald that does not read lets its queue fill up.
const journalWait = 5 * time.Second

const allEntries = math.MaxInt

// OpenJournal makes an output to the journal. It connects when there is something to send.
func OpenJournal(o JournalOptions) *Journal {
	j := &Journal{o: o, turn: make(chan struct{}, 1), conn: journald.Conn{Path: o.Socket, Wait: journalWait}, make: newEntryMaker(o.Identifier),
		pulse: o.Pulses.Join("output " + o.Name), sent: map[record.Stream]sent{}, marks: map[record.Stream]record.Durable{}}
	j.turn <- struct{}{}
	return j
}

// Put sends the records of the chunks. Chunks at or below their stream's mark are dropped as duplicates. The calls for one
// stream must come one after the other.
func (j *Journal) Put(ctx context.Context, chunks []record.Chunk) error {
	for i := range chunks {
		if err := check(&chunks[i]); err != nil {
			return err
		}
	}
	select {
	case <-j.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { j.turn <- struct{}{} }()
	if j.closed {
		return fmt.Errorf("put to output %s: %w", j.o.Name, record.ErrClosed)
	}
	j.pulse.Begin()
	defer j.pulse.End()
	err := j.put(ctx, chunks)
	if err != nil {
		err = fmt.Errorf("put to output %s: %w", j.o.Name, err)
		j.stats.fail(err)
	}
	return err
}

// put sends until it is done or fails, and then makes known what was sent as a whole. The caller has the turn.
func (j *Journal) put(ctx context.Context, chunks []record.Chunk) error {
	marks := map[record.Stream]record.Durable{}
	var failed error
	for i := range chunks {
		c := &chunks[i]
		stream := c.Source.Stream
		mark, known := marks[stream]
		if !known {
			if mark, failed = j.mark(stream); failed != nil {
				break
			}
		}
		if c.Seq <= mark.Seq {
			j.stats.duplicates.Add(1)
			continue
		}
		if failed = j.sendChunk(ctx, c); failed != nil {
			break
		}
		marks[stream] = mark.Add(c)
	}
	if len(marks) == 0 {
		return failed
	}
	if err := j.o.Book.Commit(nil, slices.Collect(maps.Values(marks)), false); err != nil {
		return err
	}
	j.stats.appends.Add(1)
	j.mu.Lock()
	defer j.mu.Unlock()
	for stream, mark := range marks {
		j.remember(mark)
		if j.sent[stream].seq <= mark.Seq {
			delete(j.sent, stream)
		}
	}
	return failed
}

// sendChunk sends what has not been sent of a chunk, and notes how far it came.
func (j *Journal) sendChunk(ctx context.Context, c *record.Chunk) error {
	s := j.sent[c.Source.Stream]
	if c.Seq < s.seq || c.Seq == s.seq && s.entries == allEntries {
		return nil
	}
	if c.Seq > s.seq {
		s = sent{seq: c.Seq}
	}
	n := 0
	seen := c
	if j.o.View != nil {
		seen = j.o.View(c)
	}
	err := j.eachEntry(seen, func(entry []byte) error {
		if n++; n <= s.entries {
			return nil
		}
		j.pulse.Beat()
		if err := j.conn.Send(ctx, entry); err != nil {
			return err
		}
		s.entries = n
		j.stats.written.Add(int64(len(entry)))
		return nil
	})
	if err == nil {
		s.entries = allEntries
	}
	if len(j.sent) >= maxMarks {
		clear(j.sent)
	}
	if j.sent[c.Source.Stream] = s; err != nil {
		return err
	}
	j.stats.bytes.Add(int64(c.Len))
	j.stats.records.Add(int64(c.Records))
	if c.Gap != nil {
		var gaps missing
		gaps.add(c.Gap)
		j.stats.addMissing(&gaps)
	}
	return nil
}

// eachEntry calls f with the entries of c, which may be nil.
func (j *Journal) eachEntry(c *record.Chunk, f func([]byte) error) error {
	if c == nil {
		return nil
	}
	return j.make.each(c, f)
}

// Mark returns how far the journal has a stream, as Output.Mark does.
func (j *Journal) Mark(s record.Stream) record.Durable {
	m, err := j.mark(s)
	if err != nil {
		j.stats.fail(err)
		return record.Durable{Stream: s}
	}
	return m
}

func (j *Journal) mark(s record.Stream) (record.Durable, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if m, ok := j.marks[s]; ok {
		return m, nil
	}
	m, err := j.o.Book.Mark(s)
	if err == nil {
		j.remember(m)
	}
	return m, err
}

// remember keeps a mark in memory. Called with mu held.
func (j *Journal) remember(m record.Durable) {
	if len(j.marks) >= maxMarks {
		for k := range j.marks {
			delete(j.marks, k)
			break
		}
	}
	j.marks[m.Stream] = m
}

// Run waits for the end of ctx: the journal looks after its files itself.
func (j *Journal) Run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Reopen has nothing to do.
func (j *Journal) Reopen() {}

// Stats returns the counts since OpenJournal; Written is in bytes of entries.
func (j *Journal) Stats() Stats { return j.stats.snapshot() }

// Close waits for the Put that is under way. Put then fails with ErrClosed.
func (j *Journal) Close() error {
	<-j.turn
	defer func() { j.turn <- struct{}{} }()
	if !j.closed {
		j.closed = true
		j.o.Pulses.Leave(j.pulse)
		j.conn.Close()
	}
	return nil
}
