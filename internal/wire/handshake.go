package wire

import (
	"fmt"

	"ftfuse/internal/record"
)

// magic is HELLO's second element, so that a stray peer is told what it reached.
const magic = "ftfuse"

const (
	maxVersions = 64
	maxFeatures = 64
)

// Probe is the feature of a HELLO that only asks: nothing will be sent, and no connection is replaced for it.
const Probe Text = "probe"

// Hello is the sender's first frame.
type Hello struct {
	Versions []uint64 // of the protocol, that the sender speaks
	Sender   record.SenderID
	Epoch    uint64   // of what the sender captures now
	Instance [16]byte // random, once per process: tells a reconnect from a clone
	Host     Text
	BootID   Text
	Acked    record.Durable  // what the sender knows to be acknowledged of its own stream
	Streams  []record.Stream // whose marks it wants to know
	Features []Text          // names that both sides may use
}

// Append appends the frame.
func (h Hello) Append(dst []byte) []byte {
	h.Versions, h.Streams, h.Features = list(h.Versions), list(h.Streams), list(h.Features)
	return appendFrame(dst, &helloFrame{TypeHello, magic, h})
}

// Limits is what a receiver takes.
type Limits struct {
	Body       uint64 // bytes of a batch's body, MinBody to MaxBody
	Chunks     uint64 // chunks of a batch, 1 to MaxChunks
	IdleMillis uint64 // a connection that was silent this long is closed
	Codecs     uint64 // bit 1<<c is set for each codec c it decodes; None always is
}

// Check says whether a sender can live with l.
func (l Limits) Check() error {
	if l.Body < MinBody || l.Body > MaxBody || l.Chunks < 1 || l.Chunks > MaxChunks || l.IdleMillis < 1000 {
		return fmt.Errorf("check limits: got %+v, want a body of %d to %d bytes, 1 to %d chunks, at least 1000 ms: %w",
			l, MinBody, MaxBody, MaxChunks, record.ErrCorrupt)
	}
	return nil
}

// Welcome is the receiver's first frame.
type Welcome struct {
	Version  uint64
	Marks    []record.Durable // of the streams that HELLO named and the receiver knows
	Credit   uint64           // as in Ack, before the first batch
	Limits   Limits
	Features []Text          // those of HELLO's that are in use
	Receiver record.SenderID // who keeps the marks: made once at random, kept with them; zero: an older version
	Name     Text            // of the receiving machine, for people
	Time     uint64          // by the receiver's clock, ns since 1970; 0: an older version
}

// Append appends the frame.
func (w Welcome) Append(dst []byte) []byte {
	w.Marks, w.Features = list(w.Marks), list(w.Features)
	return appendFrame(dst, &welcomeFrame{TypeWelcome, w})
}

// list is l, never nil: a list without elements is an empty array, not a nil.
func list[T any](l []T) []T { return append([]T{}, l...) }
