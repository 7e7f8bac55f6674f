package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"ftfuse/internal/record"
)

// Progress is told how many of how many database bytes are done. It may be nil.
type Progress func(done, total int64)

// inspection reads a stopped queue and changes nothing but its lock file.
type inspection struct {
	q        *Queue
	sizes    []int64 // of the segments' folders
	problems []string
	oldest   map[string]int64 // by cursor: time of the first entry that it needs
}

// inspect opens the queue in dir for reading.
func inspect(dir string) (*inspection, error) {
	if _, err := os.Stat(filepath.Join(dir, metaName)); err != nil {
		return nil, fmt.Errorf("inspect queue %s: want a queue's folder: %w", dir, err)
	}
	// What journals hold is read into a buffer that grows, and a chain has many databases: each would begin with 4 MiB.
	o, err := Options{Dir: dir, Source: &record.Source{}, Logger: slog.New(slog.DiscardHandler), WriteBuffer: 64 << 10}.filled()
	if err != nil {
		return nil, err
	}
	o.inspects = true
	o.Storage = func(path string) (storage.Storage, error) { return storage.OpenFile(path, true) }
	q := &Queue{o: o, log: o.Logger, pulse: o.Pulses.Join("queue"), cursors: make(map[string]*Cursor), marks: make(map[record.Stream]mark)}
	if q.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	in := &inspection{q: q, oldest: make(map[string]int64)}
	if err := in.load(); err != nil {
		in.close()
		return nil, fmt.Errorf("inspect queue %s: %w", dir, err)
	}
	return in, nil
}

func (in *inspection) close() {
	for _, s := range in.q.segs {
		s.close()
	}
	in.q.lock.Close()
}

func (in *inspection) problem(format string, a ...any) {
	in.problems = append(in.problems, fmt.Sprintf(format, a...))
}

func (in *inspection) load() error {
	q := in.q
	m := newMetaStore(&q.o)
	var recs metaRecs
	var bad error
	d, err := openDatabase(&q.o, m.dir, openReading)
	if err == nil {
		m.d = d
		recs, bad, err = m.load()
		m.close()
	}
	if err = errors.Join(bad, err); err != nil {
		in.problem("cursors and counters: %v", err)
	}
	q.rec = recs.queue
	if q.rec.Captured == nil {
		q.rec.Captured = make(tallies)
	}
	if id, err := record.ParseSenderID(q.rec.Sender); err == nil {
		q.o.Source.Sender = id
	}
	q.last, q.seq = q.rec.Pos, q.rec.Seq
	for _, c := range recs.cursors {
		q.cursors[c.Name] = q.attach(c)
	}
	firsts, err := listSegments(q.o.Dir)
	for _, f := range firsts {
		s := newSegment(&q.o, f)
		q.segs = append(q.segs, s)
		in.sizes = append(in.sizes, folderSize(s.dir))
	}
	return err
}

func folderSize(dir string) (n int64) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, f := range list {
		if i, err := f.Info(); err == nil {
			n += i.Size()
		}
	}
	return n
}

// each calls f with every entry of the chain and notes what cannot be read.
func (in *inspection) each(progress Progress, f func(pos uint64, v []byte) error) error {
	q := in.q
	var done, total int64
	for _, n := range in.sizes {
		total += n
	}
	for i, s := range q.segs {
		end := uint64(math.MaxUint64)
		if i+1 < len(q.segs) {
			end = q.segs[i+1].first - 1
		}
		if err := in.journals(s); err != nil {
			in.problem("%s: %v", filepath.Base(s.dir), err)
		}
		expect := s.first
		var ferr error
		err := s.scan(s.first, end, func(pos uint64, v []byte) bool {
			if pos > expect && !in.known(expect, pos-1) {
				in.problem("positions %d to %d are missing", expect, pos-1)
			}
			expect = pos + 1
			ferr = f(pos, v)
			return ferr == nil
		})
		if ferr != nil {
			return ferr
		}
		if err != nil {
			in.problem("%s: %v", filepath.Base(s.dir), err)
		} else if stop := min(end, q.rec.Pos); expect <= stop && !in.known(expect, stop) {
			in.problem("positions %d to %d are missing", expect, stop)
		}
		q.last = max(q.last, expect-1)
		s.close()
		if done += in.sizes[i]; progress != nil {
			progress(done, total)
		}
	}
	return nil
}

func (in *inspection) journals(s *segment) error {
	stor, err := in.q.o.Storage(s.dir)
	if err != nil {
		return err
	}
	defer stor.Close()
	return checkJournals(stor, in.q.rec.Clean)
}

// known says whether a hole has been counted before, or no cursor needs what was there.
func (in *inspection) known(from, to uint64) bool {
	needed := len(in.q.cursors) == 0
	for _, c := range in.q.cursors {
		needed = needed || !c.rec.passedThrough(from, to)
	}
	return !needed || slices.ContainsFunc(in.q.rec.Holes, func(h span) bool { return h.First <= from && to <= h.Last })
}

// Status returns the books of a stopped queue, and what seems wrong. It reads the summaries of all entries. On a
// running queue use Queue.Stats.
func Status(dir string) (Stats, []string, error) {
	in, err := inspect(dir)
	if err != nil {
		return Stats{}, nil, err
	}
	defer in.close()
	q := in.q
	counted := make(tallies)
	from := uint64(0)
	if n := len(q.segs); n > 0 {
		if h, _, found, err := q.segs[n-1].head(); err == nil && found {
			counted, from = cloneTallies(h.Captured), h.First
		}
	}
	err = in.each(nil, func(pos uint64, v []byte) error {
		s, err := readSummary(v)
		if err != nil {
			in.problem("position %d: %v", pos, err)
			return nil
		}
		if pos >= from {
			counted.add(s.rule, s.tally())
		}
		in.count(pos, &s)
		return nil
	})
	for rule, n := range counted {
		q.rec.Captured[rule] = n.most(q.rec.Captured[rule])
	}
	s := q.stats()
	s.Closed = in.closed()
	for i := range s.Cursors {
		if at, ok := in.oldest[s.Cursors[i].Name]; ok {
			s.Cursors[i].Oldest = time.Unix(0, at)
		}
	}
	return s, in.problems, err
}

// closed returns when the last handle was closed in order: nothing is written to the cursors' database after that.
func (in *inspection) closed() (last time.Time) {
	list, err := os.ReadDir(filepath.Join(in.q.o.Dir, metaName))
	if err != nil || !in.q.rec.Clean {
		return time.Time{}
	}
	for _, f := range list {
		if i, err := f.Info(); err == nil && i.ModTime().After(last) {
			last = i.ModTime()
		}
	}
	return last
}

func (in *inspection) count(pos uint64, s *summary) {
	needed := false
	for _, c := range in.q.cursors {
		if !c.rec.passed(pos) {
			c.enter(pos, s)
			needed = true
			if _, ok := in.oldest[c.rec.Name]; !ok && c.rec.wants(pos, s) {
				in.oldest[c.rec.Name] = s.newest
			}
		}
	}
	if needed {
		in.q.held += s.held
	}
}

// Report is what Check has read.
type Report struct {
	Databases int      `json:"databases"`
	Entries   int      `json:"entries"`
	Chunks    int      `json:"chunks"`
	Bytes     int64    `json:"bytes"` // of the databases
	Problems  []string `json:"problems"`
}

// Check reads everything in a stopped queue, verifies every checksum and changes nothing.
func Check(dir string, progress Progress) (Report, error) {
	in, err := inspect(dir)
	if err != nil {
		return Report{}, err
	}
	defer in.close()
	r := Report{Databases: len(in.q.segs)}
	for _, n := range in.sizes {
		r.Bytes += n
	}
	err = in.each(progress, func(pos uint64, v []byte) error {
		_, chunks, err := readEntry(v)
		if err != nil {
			in.problem("position %d: %v", pos, err)
			return nil
		}
		r.Entries++
		r.Chunks += len(chunks)
		for i := range chunks {
			if c := &chunks[i]; len(c.Data) > 0 && record.CRC(c.Data) != c.CRC {
				in.problem("position %d, sequence %d: payload does not have its checksum", pos, c.Seq)
			}
		}
		return nil
	})
	r.Problems = in.problems
	return r, err
}

// Exported is one line of Export.
type Exported struct {
	Position uint64        `json:"position"`
	Sender   string        `json:"sender"`
	Epoch    uint64        `json:"epoch"`
	Seq      uint64        `json:"seq"`
	Host     string        `json:"host"`
	Mount    string        `json:"mount"`
	Path     []byte        `json:"path"` // base64: a path may hold any byte
	Rule     string        `json:"rule"`
	Handle   uint64        `json:"handle"`
	Offset   uint64        `json:"offset"`
	Time     int64         `json:"time"` // ns since 1970
	Writer   record.Writer `json:"writer"`
	Gap      *record.Gap   `json:"gap,omitempty"`
	Data     []byte        `json:"data,omitempty"` // base64
	Error    string        `json:"error,omitempty"`
}

// Export writes, as one JSON object a line, every chunk of a stopped queue that some cursor has not passed. Payload in
// spools is read from store; what cannot be read has an error instead. It changes nothing.
func Export(dir string, w io.Writer, store record.Store, progress Progress) error {
	in, err := inspect(dir)
	if err != nil {
		return err
	}
	defer in.close()
	enc := json.NewEncoder(w)
	err = in.each(progress, func(pos uint64, v []byte) error {
		if !in.q.needed(pos) {
			return nil
		}
		sum, chunks, err := readEntry(v)
		if err != nil {
			in.problem("position %d: %v", pos, err)
			return nil
		}
		for i := range chunks {
			if sum.own {
				chunks[i].Source.Epoch = epochAt(pos, in.q.rec.Epochs)
			}
			if err := enc.Encode(exported(pos, &chunks[i], store)); err != nil {
				return fmt.Errorf("export queue %s: %w", dir, err)
			}
		}
		return nil
	})
	if err == nil && len(in.problems) > 0 {
		err = fmt.Errorf("export queue %s: %d problems, the first: %s: %w", dir, len(in.problems), in.problems[0], record.ErrCorrupt)
	}
	return err
}

func exported(pos uint64, c *record.Chunk, store record.Store) Exported {
	e := Exported{Position: pos, Sender: c.Source.Sender.String(), Epoch: c.Source.Epoch, Seq: c.Seq, Host: c.Source.Host,
		Handle: c.Handle, Offset: c.Offset, Time: c.Time, Gap: c.Gap, Data: c.Data}
	if c.File != nil {
		e.Mount, e.Path, e.Rule = c.File.Mount, []byte(c.File.Path), c.File.Rule
	}
	if c.Writer != nil {
		e.Writer = *c.Writer
	}
	for _, x := range c.Extents {
		p := make([]byte, x.Len)
		if store == nil {
			e.Error = "no store to read spools from"
			return e
		}
		if err := store.ReadExtent(x, p); err != nil {
			e.Error = err.Error()
			return e
		}
		e.Data = append(e.Data, p...)
	}
	if c.Gap == nil && e.Error == "" && record.CRC(e.Data) != c.CRC {
		e.Error = "payload does not have its checksum"
	}
	return e
}

// cursorNames lists the cursors. Called with mu held.
func (q *Queue) cursorNames() []string { return slices.Sorted(maps.Keys(q.cursors)) }
