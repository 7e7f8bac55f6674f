package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ftfuse/internal/record"
)

// What Purge can throw away. PurgeCursor is followed by a cursor's name.
const (
	PurgeQuarantine = "quarantine" // databases that were set aside as damaged
	PurgeQueued     = "queued"     // everything that any cursor has not acknowledged
	PurgeCursor     = "cursor:"    // everything that this cursor has not acknowledged
)

// openStopped opens a stopped queue as the sender would, with the sender id that it has on disk.
func openStopped(dir string) (*Queue, *Recovery, error) {
	in, err := inspect(dir)
	if err != nil {
		return nil, nil, err
	}
	src := *in.q.o.Source
	for i := len(in.q.segs) - 1; i >= 0 && src.Sender == (record.SenderID{}); i-- {
		if h, _, found, err := in.q.segs[i].head(); err == nil && found {
			src.Sender, _ = record.ParseSenderID(h.Queue.Sender)
		}
	}
	in.close()
	if src.Sender == (record.SenderID{}) {
		return nil, nil, fmt.Errorf("open queue %s: no sender id can be read: start the sender, which has its own copy: %w", dir, record.ErrCorrupt)
	}
	return Open(Options{Dir: dir, Source: &src})
}

// Repair does on a stopped queue what the sender does at its start, and reads every entry besides: damaged databases
// are salvaged and set aside, what is missing becomes gaps. It returns what Open has found and Check's report after it.
func Repair(dir string, progress Progress) (*Recovery, Report, error) {
	q, r, err := openStopped(dir)
	if err != nil {
		return nil, Report{}, err
	}
	q.mu.Lock()
	segs := slices.Clone(q.segs)
	q.mu.Unlock()
	for i, s := range segs {
		q.writing.Lock()
		err = q.missing(s)
		q.writing.Unlock()
		if err != nil {
			break
		}
		if progress != nil {
			progress(int64(i+1), int64(len(segs)))
		}
	}
	if cerr := q.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return r, Report{}, fmt.Errorf("repair queue %s: %w", dir, err)
	}
	rep, err := Check(dir, nil)
	return r, rep, err
}

// Purge throws away a part of a stopped queue and returns how many payload bytes no cursor needs any more. What was
// queued becomes gaps with the reason Purged, also what a destination may have seen already without its answer
// having arrived.
func Purge(dir, which string) (freed int64, err error) {
	if which == PurgeQuarantine {
		return 0, purgeQuarantine(dir)
	}
	name, one := strings.CutPrefix(which, PurgeCursor)
	if !one && which != PurgeQueued {
		return 0, fmt.Errorf("purge queue %s: got %q, want %s, %s or %sNAME", dir, which, PurgeQuarantine, PurgeQueued, PurgeCursor)
	}
	q, _, err := openStopped(dir)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	names := q.cursorNames()
	q.mu.Unlock()
	if one {
		if !slices.Contains(names, name) {
			q.Close()
			return 0, fmt.Errorf("purge queue %s: got cursor %q, want one of %s", dir, name, strings.Join(names, ", "))
		}
		names = []string{name}
	}
	before := q.Held()
	for _, n := range names {
		if err = q.purge(n); err != nil {
			break
		}
	}
	freed = before - q.Held()
	if cerr := q.Close(); err == nil {
		err = cerr
	}
	return freed, err
}

func purgeQuarantine(dir string) error {
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	return os.RemoveAll(filepath.Join(dir, quarantineName))
}

// purge drops everything that a cursor has not acknowledged.
func (q *Queue) purge(name string) error {
	q.mu.Lock()
	c := q.cursors[name]
	from, last := c.rec.Acked+1, q.last
	q.mu.Unlock()
	for first := from; from <= last; {
		list, err := q.droppable(from, last, func(n int, _ int64) bool { return n < dropSlice })
		if err != nil || len(list) == 0 {
			return err
		}
		q.mu.Lock()
		for i := range list {
			c.drop(&list[i], record.Purged, first)
		}
		q.mu.Unlock()
		from = list[len(list)-1].pos + 1
	}
	return q.commit(false)
}
