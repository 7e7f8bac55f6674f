package wire

import (
	"fmt"
	"slices"

	"ftfuse/internal/record"
)

// magic is HELLO's second element, so that a stray peer is told what it reached.
const magic = "ftfuse"

const (
	maxVersions = 64
	maxFeatures = 64
)

// Hello is the sender's first frame.
type Hello struct {
	Versions []uint64 // of the protocol, that the sender speaks
	Sender   record.SenderID
	Epoch    uint64   // of what the sender captures now
	Instance [16]byte // random, once per process: tells a reconnect from a clone
	Host     string
	BootID   string
	Acked    record.Durable  // what the sender knows to be acknowledged of its own stream
	Streams  []record.Stream // whose marks it wants to know
	Features []string        // names that both sides may use; none so far
}

// Append appends the frame.
func (h Hello) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, TypeHello, 11)
	dst = appendBin(dst, magic)
	dst = appendArray(dst, len(h.Versions))
	for _, v := range h.Versions {
		dst = appendUint(dst, v)
	}
	dst = appendBin(dst, h.Sender[:])
	dst = appendUint(dst, h.Epoch)
	dst = appendBin(dst, h.Instance[:])
	dst = appendBin(dst, h.Host)
	dst = appendBin(dst, h.BootID)
	dst = appendDurable(dst, h.Acked)
	dst = appendArray(dst, len(h.Streams))
	for _, s := range h.Streams {
		dst = appendArray(dst, 2)
		dst = appendBin(dst, s.Sender[:])
		dst = appendUint(dst, s.Epoch)
	}
	return finish(appendTexts(dst, h.Features), start)
}

// readHello stops behind the versions when it does not find its own among them: the rest may have another form.
func readHello(d *fields) Hello {
	var h Hello
	if m := d.name("magic"); d.err == nil && m != magic {
		d.fail("magic: got %q, want %q", m[:min(len(m), 16)], magic)
	}
	for range d.list("versions", maxVersions) {
		h.Versions = append(h.Versions, d.uint("version", maxUint64))
	}
	if d.err != nil || !slices.Contains(h.Versions, Version) {
		return h
	}
	if d.next("sender") {
		d.sender(&h.Sender)
	}
	h.Epoch = d.number("epoch")
	if d.next("instance") {
		d.sender((*record.SenderID)(&h.Instance))
	}
	h.Host = d.name("host")
	h.BootID = d.name("boot id")
	if d.next("acked") {
		h.Acked = d.durable()
	}
	for range d.list("streams", MaxStreams) {
		var s record.Stream
		n := d.array("stream", 2, maxElements)
		d.sender(&s.Sender)
		s.Epoch = d.uint("epoch", maxUint64)
		d.skip(n - 2)
		if d.err != nil {
			return h
		}
		h.Streams = append(h.Streams, s)
	}
	h.Features = d.texts("features")
	return h
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
	Features []string // those of HELLO's that are in use
}

// Append appends the frame.
func (w Welcome) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, TypeWelcome, 6)
	dst = appendUint(dst, w.Version)
	dst = appendArray(dst, len(w.Marks))
	for _, m := range w.Marks {
		dst = appendDurable(dst, m)
	}
	dst = appendUint(dst, w.Credit)
	dst = appendArray(dst, 4)
	dst = appendUint(dst, w.Limits.Body)
	dst = appendUint(dst, w.Limits.Chunks)
	dst = appendUint(dst, w.Limits.IdleMillis)
	dst = appendUint(dst, w.Limits.Codecs)
	return finish(appendTexts(dst, w.Features), start)
}

func readWelcome(d *fields) Welcome {
	var w Welcome
	w.Version = d.number("version")
	for range d.list("marks", MaxStreams) {
		m := d.durable()
		if d.err != nil {
			return w
		}
		w.Marks = append(w.Marks, m)
	}
	w.Credit = d.number("credit")
	if d.next("limits") {
		n := d.array("limits", 4, maxElements)
		w.Limits.Body = d.uint("body", maxUint64)
		w.Limits.Chunks = d.uint("chunks", maxUint64)
		w.Limits.IdleMillis = d.uint("idle", maxUint64)
		w.Limits.Codecs = d.uint("codecs", maxUint64)
		d.skip(n - 4)
	}
	w.Features = d.texts("features")
	return w
}

func appendDurable(dst []byte, m record.Durable) []byte {
	dst = appendArray(dst, 4)
	dst = appendBin(dst, m.Sender[:])
	dst = appendUint(dst, m.Epoch)
	dst = appendUint(dst, m.Seq)
	return appendUint(dst, uint64(m.Chain))
}

func (r *reader) durable() (m record.Durable) {
	n := r.array("mark", 4, maxElements)
	r.sender(&m.Sender)
	m.Epoch = r.uint("epoch", maxUint64)
	m.Seq = r.uint("sequence", maxUint64)
	m.Chain = record.Chain(r.uint("chain", maxUint64))
	r.skip(n - 4)
	return m
}

func appendTexts(dst []byte, list []string) []byte {
	dst = appendArray(dst, len(list))
	for _, s := range list {
		dst = appendBin(dst, s)
	}
	return dst
}

func (d *fields) texts(what string) (list []string) {
	for range d.list(what, maxFeatures) {
		list = append(list, d.text(what, 64))
	}
	return list
}
