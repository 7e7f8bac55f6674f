package receiver

import (
	"encoding/hex"
	"fmt"
	"time"

	"ftfuse/internal/record"
)

// SenderID names a sender for good: 16 random bytes, made once and kept in its state folder.
type SenderID [16]byte

// String returns the 32 hexadecimal digits of the id.
func (id SenderID) String() string { return hex.EncodeToString(id[:]) }

// ParseSenderID reads what String prints.
func ParseSenderID(s string) (SenderID, error) {
	id, err := record.ParseSenderID(s)
	return SenderID(id), err
}

// Stream is what sequences are counted in: a life of a sender. They grow by one a chunk within a stream and are never
// given twice, so Stream and sequence name a chunk for good.
type Stream struct {
	Sender SenderID
	Epoch  uint64 // a new one begins when the sender cannot be sure that the last one ended well
}

// Source is the machine that a chunk comes from; behind a relay it is not the one that is connected.
type Source struct {
	Stream
	Host   string   // as configured there, or the kernel's host name
	BootID string   // /proc/sys/kernel/random/boot_id of the boot, "" if not known
	Captor SenderID // the machine's own id: that of the stream is derived from it for each target but "default", and by relays
}

// File is what was written to.
type File struct {
	Mount string // the mount's name in the sender's configuration
	Path  string // slash-separated, relative to the mount; any bytes but NUL, not always UTF-8, never to be trusted as a path here
	Rule  string // the sender's rule that decided
	Unit  Unit   // what a record is
}

// Unit is what counts as one record.
type Unit uint8

// The units. Later versions may have others; Chunk.Records takes a chunk of these as one record.
const (
	Lines  Unit = 0 // up to and including LF
	Writes Unit = 1 // what one write(2) wrote
	Binary Unit = 2 // a stream of bytes: each chunk is one record
	Framed Unit = 3 // records of any bytes: joined lines, lines with other ends
)

func (u Unit) String() string { return record.Unit(u).String() }

// Writer is who wrote.
type Writer struct {
	Kind      WriterKind
	PID, TID  uint32 // process and thread, in the sender's pid namespace; 0 if not known
	UID, GID  uint32 // of the file-system request
	Start     uint64 // start time of the thread in clock ticks since boot (proc_pid_stat(5), field 22); 0 if not known
	Comm, Exe string // /proc/PID/comm and /proc/PID/exe, "" if not known; any bytes but NUL
	Unit      string // systemd unit, "" if none
	Container string // container id, "" if none
}

// WriterKind says how much is known of a Writer.
type WriterKind uint8

// The kinds.
const (
	Unknown WriterKind = 0 // nobody was seen, or the process had gone
	Opener  WriterKind = 1 // the process that opened the file
	Thread  WriterKind = 2 // the very thread that called write(2)
)

func (k WriterKind) String() string { return record.WriterKind(k).String() }

// Clock says what a time is the time of.
type Clock uint8

// The clocks.
const (
	Seen    Clock = 0 // when the sender saw the bytes: at or after the write
	Written Clock = 1 // taken while the writer waited in write(2)
)

func (c Clock) String() string { return record.Clock(c).String() }

// Chunk is at most 1 MiB that one writer wrote through one open file, or a Gap. Chunks of one handle come in order.
type Chunk struct {
	Seq    uint64  // within Source.Stream
	Source *Source // like File and Writer shared with other chunks, never to be changed
	File   *File   // nil only for a gap whose file is not known
	Writer *Writer // nil only for a gap whose writer is not known
	Handle uint64  // one open file, never given again by the sender
	Offset uint64  // bytes written through the handle before this chunk; holes are what filters took out
	Time   time.Time
	Clock  Clock
	Data   []byte // payload; valid until Put returns
	Ends   uint32 // records that end in the chunk

	Continues bool // the first record began in an earlier chunk of the handle
	Continued bool // the last record goes on in a later chunk of the handle
	Below     bool // written while the directory was not mounted, and picked up later
	Last      bool // the handle ends with this chunk

	Gap *Gap // not nil: the chunk stands for what is missing, and has no Data

	marks []record.Mark
}

// Gap is data that will never come: of the sequences First to that of its chunk.
type Gap struct {
	First   uint64
	Reason  Reason
	Bytes   uint64 // missing, 0 if not known
	Records uint64 // missing, 0 if not known
}

// Reason says why data is missing. String gives the names of the sender's status and metrics.
type Reason uint8

// The reasons. Later versions may have others.
const (
	Expired   Reason = 1 // older than the rule's expire
	QueueFull Reason = 2 // the sender's queue had no room
	Damaged   Reason = 3 // the sender's queue or spool was
	TooLong   Reason = 4 // a record longer than the rule allows
	SpoolLost Reason = 5 // with power
	Refused   Reason = 6 // by a receiver, with ErrRefused
	Purged    Reason = 7 // thrown away by an operator
	Limited   Reason = 8 // beyond the rule's rate or quota
)

func (r Reason) String() string { return record.Reason(r).String() }

// String says which sequences are missing, and why.
func (g *Gap) String() string {
	return fmt.Sprintf("gap from %d: %v, %d bytes, %d records", g.First, g.Reason, g.Bytes, g.Records)
}
