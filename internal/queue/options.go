package queue

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// Durability is what Append's nil promises.
type Durability uint8

// The levels. Every level keeps what was appended over a restart of the process on a machine that stays up.
const (
	OS     Durability = iota // survives kill -9; the kernel writes it to disk in its own time
	Disk                     // survives power loss: fsync before Append returns
	Memory                   // as OS, and tables are never synced: for a folder on tmpfs
)

func (d Durability) String() string { return [...]string{"os", "disk", "memory"}[min(d, Memory)] }

// Options says how a queue is kept. Zero fields take the defaults given.
type Options struct {
	Dir        string         // the queue's own folder; made if missing
	Source     *record.Source // this machine. Its Sender tells own chunks from relayed ones; its Epoch is not used: see Queue.Epoch
	Durability Durability

	SegmentBytes   int64 // of entries in one database of the chain; 64 MiB
	SegmentEntries int   // of one database; 262144
	GroupBytes     int64 // payload and references committed at once; 1 MiB
	WriteBuffer    int   // goleveldb's, in bytes; 4 MiB. Bounds memory and the time to open after a kill

	Forget    time.Duration // marks of relayed streams of which nothing came for so long go when a newer one of the sender is known; 90 days
	MostMarks int           // of relayed streams that nothing is queued of; 131072. See marks.go

	CommitEvery time.Duration // longest time between Ack and the cursor's commit; 50 ms
	CommitBytes int64         // acknowledged payload that is committed at once; 16 MiB
	RetryEvery  time.Duration // pause between attempts to reopen a failed database; 100 ms

	// Snapshot returns the state of whoever appends, as of every chunk whose Append has returned (or whose applied
	// function has run). It is called from within some Append while no other is in progress, so a caller of Append
	// must not hold a lock that Snapshot takes. It is stored first in every database of the chain. Nil: none.
	Snapshot func() []byte
	// Release is called, outside all locks, with extents that every cursor has passed, after the cursors' commit;
	// with each extent once. Within a spool they come in any order: DropOldest frees later ranges while earlier ones,
	// which are in flight, are still needed. Extents that were passed but not released when the queue was closed or
	// killed are missing from Recovery.Extents.
	Release func([]record.Extent)
	// Expire returns the age at which queued data of a rule is dropped, 0 for never. Nil: never.
	Expire func(rule string) time.Duration
	// Droppable says whether DropOldest may drop a rule's data: of rules whose writers are made to wait, or are
	// refused, when the queue is full, it may not. Nil: all may be dropped.
	Droppable func(rule string) bool
	// Bound returns the input bytes that may be queued for one destination, 0 for no bound of its own. What is more is
	// dropped for it alone, oldest first, by Run. Nil: none has one.
	Bound func(cursor string) int64

	// Storage opens a database's files; tests put faults here. Default storage.OpenFile.
	Storage func(path string) (storage.Storage, error)
	Now     func() time.Time     // wall clock; time.Now
	Uptime  func() time.Duration // a clock that is never set; time since Open
	Logger  *slog.Logger         // slog.Default
	Pulses  *pulse.Group         // Run has one, and whoever writes the entries of an Append

	whole    bool // during an open after an orderly close: the journals have no torn ends
	inspects bool // what can be read is read, and what cannot is told: see inspection
}

func (o Options) filled() (Options, error) {
	if o.Dir == "" || o.Source == nil {
		return o, fmt.Errorf("open queue %q: got no folder or no source, want both", o.Dir)
	}
	setDefault(&o.SegmentBytes, 64<<20)
	setDefault(&o.SegmentEntries, 1<<18)
	setDefault(&o.GroupBytes, 1<<20)
	setDefault(&o.WriteBuffer, 4<<20)
	setDefault(&o.Forget, forgetAfter)
	setDefault(&o.MostMarks, mostMarks)
	setDefault(&o.CommitEvery, 50*time.Millisecond)
	setDefault(&o.CommitBytes, 16<<20)
	setDefault(&o.RetryEvery, 100*time.Millisecond)
	if o.Snapshot == nil {
		o.Snapshot = func() []byte { return nil }
	}
	if o.Release == nil {
		o.Release = func([]record.Extent) {}
	}
	if o.Droppable == nil {
		o.Droppable = func(string) bool { return true }
	}
	if o.Bound == nil {
		o.Bound = func(string) int64 { return 0 }
	}
	if o.Storage == nil {
		o.Storage = func(path string) (storage.Storage, error) { return storage.OpenFile(path, false) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Uptime == nil {
		start := time.Now()
		o.Uptime = func() time.Duration { return time.Since(start) }
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

func setDefault[T int | int64 | time.Duration](p *T, v T) {
	if *p <= 0 {
		*p = v
	}
}
