// Package record holds the nouns that pass from stage to stage: chunks, writers, origins, gaps and the sink they flow into.
package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// MaxChunk bounds the payload of one chunk in bytes. Longer records travel as several chunks
// with Continues and Continued set.
const MaxChunk = 1 << 20

// SenderID names a sender for good. It is made once, at random, and kept in its state folder.
type SenderID [16]byte

// String returns the 32 hexadecimal digits of the id.
func (id SenderID) String() string { return hex.EncodeToString(id[:]) }

// ParseSenderID reads what String prints.
func ParseSenderID(s string) (SenderID, error) {
	var id SenderID
	b, err := hex.DecodeString(strings.TrimSpace(s))
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("sender id %q: want %d hexadecimal digits", s, 2*len(id))
	}
	copy(id[:], b)
	return id, nil
}

// Derive returns the id of a part of what id sends, the same for the same label: a target's, a share's, what went by a relay.
// A receiver keeps one mark for each stream, so chunks that can come to it by two ways need two streams.
func (id SenderID) Derive(label string) SenderID {
	h := sha256.New()
	h.Write(id[:])
	h.Write([]byte(label))
	return SenderID(h.Sum(nil)[:len(id)])
}

// Stream is what a sequence is counted in: sequences grow by one per chunk within (Sender, Epoch)
// and are never given twice there.
type Stream struct {
	Sender SenderID
	Epoch  uint64
}

// Origin names one chunk for good, whichever way it takes. Two chunks with one origin are the same.
type Origin struct {
	Stream
	Seq uint64
}

// Source says which machine a chunk comes from. It is shared by pointer among chunks and never
// changed once it has been handed on.
type Source struct {
	Stream
	Host   string   // as configured, or the kernel's host name
	BootID string   // /proc/sys/kernel/random/boot_id of the sender's boot
	First  SenderID // who captured it, if Sender is derived; zero: Sender itself
	Hops   string   // ids of the relays that it has passed, the first one first, HopLen bytes each
}

// HopLen is the length of one relay's id in Source.Hops, MaxHops how many there may be.
const (
	HopLen  = len(SenderID{})
	MaxHops = 16
)

// Captor is the sender that captured what comes from s.
func (s *Source) Captor() SenderID {
	if s.First == (SenderID{}) {
		return s.Sender
	}
	return s.First
}

// Via returns the source of the same data in the stream of a derived id: Sender becomes id, First stays who captured it.
func (s *Source) Via(id SenderID) *Source {
	v := *s
	v.First, v.Sender = s.Captor(), id
	return &v
}

// Passed reports whether the data has passed a relay.
func (s *Source) Passed(relay SenderID) bool {
	for h := s.Hops; len(h) >= HopLen; h = h[HopLen:] {
		if h[:HopLen] == string(relay[:]) {
			return true
		}
	}
	return false
}

// File says which file a chunk was written to. Shared by pointer, never changed once handed on.
type File struct {
	Mount string // the mount's name in the configuration
	Path  string // slash-separated, relative to the mount, any bytes but NUL
	Rule  string // the rule that decided
	Unit  Unit
}

// Unit is what counts as one record.
type Unit uint8

// The units. The numbers are on disk and on the wire.
const (
	Line   Unit = 0 // bytes up to and including LF
	Write  Unit = 1 // what one write(2) wrote (write capture only)
	Binary Unit = 2 // no records: a stream of bytes; a chunk counts as one record
	Framed Unit = 3 // records of any bytes, one for each mark of the chunk: joined lines, lines with other ends than LF
)

func (u Unit) String() string {
	return [...]string{"line", "write", "binary", "framed"}[min(u, Framed)]
}

// WriterKind says how much a Writer knows.
type WriterKind uint8

// The kinds. The numbers are on disk and on the wire.
const (
	Unknown WriterKind = 0 // nobody was seen: picked up below the mount, or the process had gone
	Opener  WriterKind = 1 // the process that opened the file; TID is its thread at open
	Thread  WriterKind = 2 // the very thread that called write(2)
)

func (k WriterKind) String() string {
	return [...]string{"unknown", "opener", "thread"}[min(k, Thread)]
}

// Writer identifies who wrote. Shared by pointer, never changed once handed on.
type Writer struct {
	Kind      WriterKind
	PID       uint32 // thread group id in the sender's pid namespace; 0 if unknown
	TID       uint32 // thread id in the sender's pid namespace; 0 if unknown
	UID, GID  uint32 // file-system ids of the request
	Start     uint64 // start time of the thread, clock ticks since boot (/proc/TID/stat field 22); 0 if unknown
	Comm      string // /proc/PID/comm
	Exe       string // /proc/PID/exe
	Unit      string // systemd unit from the cgroup, "" if none
	Container string // container id from the cgroup, "" if none
}

// Clock says what Chunk.Time is the time of.
type Clock uint8

// The clocks. The numbers are on disk and on the wire.
const (
	Seen    Clock = 0 // when the follower saw the bytes: at or after the write
	Written Clock = 1 // taken while the writer waited in write(2)
)

func (c Clock) String() string { return [...]string{"seen", "written"}[min(c, Written)] }

// Flags mark a chunk.
type Flags uint8

// The flags. The bits are on disk and on the wire.
const (
	Continues Flags = 1 << iota // the first record began in an earlier chunk of the handle
	Continued                   // the last record goes on in a later chunk of the handle
	Below                       // written below the mount, while it was not mounted or by an earlier opener
	Last                        // the handle ends with this chunk
)

// Mark is one write(2) inside a chunk, or one record of unit Framed, in order; the Lens of a chunk's marks add up to
// its length.
type Mark struct {
	Len   uint32 // bytes
	Delta int64  // nanoseconds after Chunk.Time
}

// Extent is a range of a spool, as queue entries refer to it. It never leaves the machine.
type Extent struct {
	Spool uint64
	Off   int64 // bytes from the start of the spool's data
	Len   uint32
}

// Chunk is a run of bytes of one handle by one writer, or a Gap. Bytes of one handle travel in
// order: Offset grows without holes within (Stream, Handle) unless a gap says so.
type Chunk struct {
	Seq     uint64 // 0 until the queue gives it
	Source  *Source
	File    *File
	Writer  *Writer
	Handle  uint64 // one open file description, unique within the sender
	Offset  uint64 // position of the first byte in the handle's stream
	Time    int64  // nanoseconds since 1970 UTC
	Clock   Clock
	Flags   Flags
	Records uint32 // records that end in this chunk
	Marks   []Mark // unit Framed: one per record; else write capture: one per write(2); else nil
	CRC     uint32 // CRC-32C of the payload, set once at capture and checked by every stage
	Len     uint32 // payload bytes

	// The payload is either Data (len(Data) == Len), or on disk in Extents (their Lens add up to Len).
	Data    []byte
	Extents []Extent

	Gap *Gap // not nil: this chunk stands for what is missing, Len is 0

	// What rules made of it. These never leave the machine.
	Targets []string // destinations that it is for; nil: all. Shared, never changed
	Span    uint32   // input bytes that it stands for, from Offset on; 0: Len
	Cut     Cut      // of those, what filters took out
	Spent   []Extent // input that is not its payload: nobody needs it once the chunk is queued
}

// Cut is input that filters took out of a chunk. It counts as captured and as filtered.
type Cut struct {
	Bytes, Records uint32
}

// Input returns how many bytes of the handle's stream the chunk stands for, from Offset on. What rules do to a chunk
// changes its Len, never this.
func (c *Chunk) Input() uint32 {
	if c.Span > 0 {
		return c.Span
	}
	return c.Len
}

// Hollow reports whether nothing of the chunk is to be delivered: filters took out all of it.
func (c *Chunk) Hollow() bool { return c.Gap == nil && c.Len == 0 && c.Span > 0 }

// Origin returns the chunk's name.
func (c *Chunk) Origin() Origin {
	return Origin{Stream{c.Source.Captor(), c.Source.Epoch}, c.Seq}
}

// Reason says why bytes were dropped.
type Reason uint8

// The reasons. The numbers are on disk and on the wire; String gives the names used in status and metrics.
const (
	Expired    Reason = 1 // older than the rule's expire
	QueueFull  Reason = 2 // when_full dropped it
	Damaged    Reason = 3 // a damaged queue or spool
	TooLong    Reason = 4 // longer than max_record where the rule says drop
	SpoolLost  Reason = 5 // a reference beyond a spool's end, after power loss
	Refused    Reason = 6 // the receiver can never take it
	Purged     Reason = 7 // thrown away by the operator
	Limited    Reason = 8 // beyond the rule's rate or quota
	reasonsEnd Reason = 9
)

// Reasons lists all reasons.
func Reasons() []Reason {
	r := make([]Reason, 0, reasonsEnd-1)
	for i := Reason(1); i < reasonsEnd; i++ {
		r = append(r, i)
	}
	return r
}

func (r Reason) String() string {
	if r == 0 || r >= reasonsEnd {
		return fmt.Sprintf("reason-%d", uint8(r))
	}
	return [...]string{"", "expired", "queue_full", "damaged", "too_long", "spool_lost", "refused", "purged", "limited"}[r]
}

// Gap stands for chunks that will never come. A gap that was in the queue before it was dropped covers
// the sequences First..Seq of its chunk; a gap noticed before queueing (say a spool that ended early)
// has First == Seq and takes a sequence of its own.
type Gap struct {
	First   uint64
	Reason  Reason
	Bytes   uint64 // input bytes missing, 0 if not known
	Records uint64
}

// Sink is the next stage. Put hands over custody: when it returns nil the sink answers for every
// chunk; on an error the caller still does, for all of them, and may call again with the same chunks.
// Put may block to push back; it returns ctx.Err() when ctx ends first. The chunks, their Data and what they
// point to must not be changed by either side during the call; after it the caller may reuse the slice and Data.
type Sink interface {
	Put(ctx context.Context, chunks []Chunk) error
}

// Store reads what extents refer to. ReadExtent fills p (len(p) == e.Len) or returns an
// error that wraps ErrGone when the bytes are not there any more.
type Store interface {
	ReadExtent(e Extent, p []byte) error
}
