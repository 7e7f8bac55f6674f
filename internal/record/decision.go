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
	MaxRecord int           // bytes; a longer record is cut in pieces (1..MaxChunk)
	MaxAge    time.Duration // a partial record older than this is sent as a piece; 0 never
	Readback  int64         // bytes of the file kept readable after delivery
	Expire    time.Duration // queued data older than this is dropped and counted; 0 never
	WhenFull  WhenFull
	Block     time.Duration // for WhenFull Block: longest wait, then ENOSPC
	Target    string        // name of the target
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
