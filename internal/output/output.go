// Package output writes received chunks to files, each chunk once across crashes of the receiver.
//
// One append is: an intent in the ledger (which files, from which offset, checksums of what follows, the marks that will hold),
// the bytes, then a commit in the ledger. After a crash the intent says what may be half done: an append that is
// complete in every file is committed, anything else that is provably ours is cut off again. What is not ours is never
// cut and nothing is ever extended: such an append may be delivered twice, and is counted as uncertain.
package output

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"ftfuse/internal/format"
	"ftfuse/internal/ledger"
	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// Options configure one output.
type Options struct {
	Name       string // for errors and logs
	Base       string // directory; made when missing; symbolic links below it are not followed
	Path       string // template of the path below Base, see docs/output.md
	Format     string // raw, template, json, logfmt, rfc5424 or msgpack
	Template   string // for template: text with %-letters and named fields
	TimeFormat string // for %T: strftime, and %- for nine digits of nanoseconds
	Location   *time.Location
	Rotate     Rotate
	FileMode   os.FileMode   // 0: 0640
	DirMode    os.FileMode   // 0: 0750
	Disk       bool          // durability disk: what Put answered for survives power loss, else a kill of the process
	MaxOpen    int           // files kept open; 0: 1000
	MaxNames   int           // files whose positions the ledger keeps; 0: 1,000,000
	Idle       time.Duration // a file not written for so long is closed; 0: 5 minutes
	Book       *ledger.Book
	Logger     *slog.Logger // nil: silent
	Pulses     *pulse.Group // the Put that appends has one
	// View returns what is written of a chunk: the chunk itself, one with other Data, or nil for nothing; of the same chunk always
	// the same. Marks are those of the chunk itself. Nil: everything is written.
	View func(*record.Chunk) *record.Chunk

	now  func() time.Time // tests
	step func(string)     // tests: called between the steps that a crash may separate
}

// Rotate says when a file is closed and renamed, and what becomes of it. Compression and removal need Run.
type Rotate struct {
	Size     int64         // bytes; checked before an append, so a file may be longer by one; 0: not by size
	Age      time.Duration // since the first append; 0: not by age
	Keep     int           // rotated files kept per path; 0: all
	KeepAge  time.Duration // rotated files older than this are removed; 0: never
	Compress string        // "", none, gzip or zstd
	Rate     int64         // bytes read per second while compressing; 0: 64 MiB
}

const (
	maxRuns  = 256      // files in one append; more are split into several
	maxBytes = 16 << 20 // payload of one append, at least one chunk
)

// Output is a tree of files below one directory. It is a record.Sink; its methods may be called concurrently.
type Output struct {
	o    Options
	base *base
	path *pathTemplate
	form format.Format // nil: raw

	// turn holds one token: who has it may use everything in this group. Puts that wait for it queue up in
	// waiting, and the next one to get the token does the work of all of them: group commit.
	turn   chan struct{}
	files  *table
	batch  batch
	pulse  *pulse.Pulse
	dirty  bool // the ledger may hold an intent or a move that is not settled
	closed bool
	names  int // positions in the ledger, about

	rotateAgain time.Time // not before, after a rotation failed

	qmu     sync.Mutex // guards waiting
	waiting []*waiter

	mmu   sync.Mutex // guards marks
	marks map[record.Stream]record.Durable

	reopen chan struct{} // one token when Reopen was called since the last append
	wake   chan struct{} // one token when Run has a rotated file to look after
	stats  counters
}

// Validate says whether the templates, the format and the rotation of o make sense, without touching a file.
func Validate(o Options) error {
	if _, err := parsePath(o.Path, location(o)); err != nil {
		return err
	}
	_, err := newFormat(o)
	if err == nil {
		_, err = packer(o.Rotate.Compress)
	}
	return err
}

// Open opens an output and settles what a crash left of its last append, rotation and compression.
func Open(o Options) (*Output, error) {
	o = withDefaults(o)
	path, err := parsePath(o.Path, o.Location)
	if err != nil {
		return nil, err
	}
	form, err := newFormat(o)
	if err != nil {
		return nil, err
	}
	if _, err := packer(o.Rotate.Compress); err != nil {
		return nil, err
	}
	b, err := openBase(o.Base, o.FileMode, o.DirMode, o.Disk)
	if err != nil {
		return nil, fmt.Errorf("open output %s: %w", o.Name, err)
	}
	out := &Output{
		o: o, base: b, path: path, form: form, dirty: true,
		turn: make(chan struct{}, 1), reopen: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		files: newTable(o.MaxOpen), marks: map[record.Stream]record.Durable{},
	}
	out.batch.init()
	out.pulse = o.Pulses.Join("output " + o.Name)
	out.batch.raw = form == nil
	if err = out.settle(); err == nil {
		err = out.cleanPacking()
	}
	if err == nil {
		out.names, err = o.Book.Trim(o.MaxNames)
	}
	if err != nil {
		b.close()
		return nil, fmt.Errorf("open output %s: %w", o.Name, err)
	}
	out.turn <- struct{}{}
	return out, nil
}

func location(o Options) *time.Location {
	if o.Location == nil {
		return time.Local
	}
	return o.Location
}

func withDefaults(o Options) Options {
	o.Location = location(o)
	if o.FileMode == 0 {
		o.FileMode = 0o640
	}
	if o.DirMode == 0 {
		o.DirMode = 0o750
	}
	if o.MaxOpen == 0 {
		o.MaxOpen = 1000
	}
	o.MaxOpen = max(o.MaxOpen, maxRuns) // all files of one append are open together
	if o.MaxNames == 0 {
		o.MaxNames = 1_000_000
	}
	if o.Idle == 0 {
		o.Idle = 5 * time.Minute
	}
	if o.Rotate.Rate == 0 {
		o.Rotate.Rate = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.View == nil {
		o.View = func(c *record.Chunk) *record.Chunk { return c }
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	return o
}

// Reopen makes the next append look whether the names still lead to the open files (SIGHUP).
func (o *Output) Reopen() {
	select {
	case o.reopen <- struct{}{}:
	default:
	}
}

// Mark returns how far the output holds a stream. When the ledger cannot be read just now it says less than is true,
// which makes the sender send again what Put then drops.
func (o *Output) Mark(s record.Stream) record.Durable {
	m, err := o.mark(s)
	if err != nil {
		o.stats.fail(err)
		return record.Durable{Stream: s}
	}
	return m
}

const maxMarks = 1 << 16 // marks kept in memory; the ledger has all

func (o *Output) mark(s record.Stream) (record.Durable, error) {
	o.mmu.Lock()
	defer o.mmu.Unlock()
	if m, ok := o.marks[s]; ok {
		return m, nil
	}
	m, err := o.o.Book.Mark(s)
	if err != nil || m.Seq == 0 { // a peer can ask for any number of streams that nobody has
		return m, err
	}
	o.keep(m)
	return m, nil
}

// keep has a mark in memory, in the place of another one when there are many. Called with mmu held.
func (o *Output) keep(m record.Durable) {
	if _, known := o.marks[m.Stream]; !known && len(o.marks) >= maxMarks {
		for k := range o.marks {
			delete(o.marks, k)
			break
		}
	}
	o.marks[m.Stream] = m
}

// Close waits for the append that is under way and closes the files. Put then fails with ErrClosed.
func (o *Output) Close() error {
	<-o.turn
	defer func() { o.turn <- struct{}{} }()
	if o.closed {
		return nil
	}
	o.closed = true
	o.o.Pulses.Leave(o.pulse)
	o.files.closeAll()
	return o.base.close()
}

func (o *Output) log(level slog.Level, msg string, args ...slog.Attr) {
	o.o.Logger.LogAttrs(context.Background(), level, msg, append(args, slog.String("output", o.o.Name))...)
}
