package record

import "time"

// Mode is a way to capture.
type Mode uint8

// The modes of a rule, and of an open (where Auto never remains).
const (
	Auto      Mode = iota // open capture where the kernel and the open's flags allow it, else write capture
	OpenMode              // the kernel appends to a spool of this open: no daemon in the path of write(2)
	WriteMode             // every write(2) is a request to the daemon
	Stored                // not captured: kept in the directory below the mount
)

func (m Mode) String() string { return [...]string{"auto", "open", "write", "stored"}[min(m, Stored)] }

// Decision is what the rules say of one path. It is a value; rules that change make new ones.
type Decision struct {
	Rule      string // name of the rule that matched, "default" if none did
	Send      bool   // false: stored below the mount, never sent
	Capture   Mode   // Auto, OpenMode or WriteMode
	Unit      Unit
	LineEnd   LineEnd       // what ends a line, for Unit Line
	Join      Join          // which lines make one record together, for Unit Line
	MaxRecord int           // bytes (1..MaxChunk); TooLong says what becomes of a longer record
	TooLong   LongRecord    //
	MaxAge    time.Duration // a partial record older than this is sent as a piece; 0 never
	Gather    Gather        // how long complete records wait for company
	Readback  int64         // bytes of the file kept readable after delivery
	Expire    time.Duration // queued data older than this is dropped and counted; 0 never
	WhenFull  WhenFull
	Block     time.Duration // for WhenFull Block: longest wait, then ENOSPC
	Targets   []string      // names of the targets and outputs; shared, never changed
	Why       string        // one line for people: which rule matched and why
}

// WhenFull is what happens to a write when the queue is full.
type WhenFull uint8

// The policies of DESIGN section 3.4. Open capture knows DropOldest only.
const (
	DropOldest WhenFull = iota // the oldest queued data makes room, counted
	DropNewest                 // write(2) succeeds, the data is counted as dropped
	Block                      // write(2) waits for room
	Local                      // written below the mount and picked up later
	Refuse                     // write(2) fails with ENOSPC
)

func (w WhenFull) String() string {
	return [...]string{"drop-oldest", "drop-newest", "block", "local", "refuse"}[min(w, Refuse)]
}

// LineEnd is what ends a line.
type LineEnd uint8

// The line ends. The end is part of the line.
const (
	LF   LineEnd = iota // \n
	CRLF                // \r\n, and nothing else
	CR                  // \r
	NUL                 // \0
	Any                 // any of \n, \r\n, \r and \0
)

func (e LineEnd) String() string { return [...]string{"lf", "crlf", "cr", "nul", "any"}[min(e, Any)] }

// LongRecord is what becomes of a record that is longer than MaxRecord.
type LongRecord uint8

// The policies for long records.
const (
	Split    LongRecord = iota // it travels in pieces, marked Continued and Continues
	Truncate                   // its first MaxRecord bytes and its end travel, the rest is dropped and counted
	DropLong                   // all of it is dropped and counted
)

func (l LongRecord) String() string {
	return [...]string{"split", "truncate", "drop"}[min(l, DropLong)]
}

// Join says which lines make one record together. At most one of Start and Continue is set; none: each line is a record.
type Join struct {
	Start    string        // RE2: a line that matches begins a record
	Continue string        // RE2: a line that matches belongs to the record before
	Wait     time.Duration // a record that has got no further line for so long is complete
	Lines    int           // lines of one record at most
}

// Gather says how long complete records wait for company. The zero value: not at all.
type Gather struct {
	Bytes   int64         // sent when so many wait; 0: not by bytes
	Records int           // or so many records; 0: not by records
	Wait    time.Duration // or the first has waited so long; 0 with both others 0 only
}
