package uplink

import (
	"fmt"

	"ftfuse/internal/record"
)

// resume decides, chunk by chunk in the order of the queue, what the receiver has already, and holds the checksum
// of the sender's own stream against the receiver's. It is used by the sending goroutine.
type resume struct {
	now   record.Stream                    // what the sender captured into when it said HELLO
	marks map[record.Stream]record.Durable // of WELCOME
	own   record.Durable                   // the own stream behind the latest chunk; at first, what is acknowledged
}

// newResume compares what is acknowledged, and given, with what the receiver says. behind is set when the receiver
// knows less than it had acknowledged: its state was set back or is new; what it lost is not here any more.
func newResume(now record.Stream, acked record.Durable, marks []record.Durable, given uint64) (r *resume, behind bool, err error) {
	r = &resume{now: now, marks: make(map[record.Stream]record.Durable, len(marks)), own: acked}
	for _, m := range marks {
		r.marks[m.Stream] = m
	}
	if m := r.marks[now]; m.Seq > given { // the queue was put back to an earlier copy: it will give those names again
		return nil, false, fmt.Errorf("resume epoch %d: receiver holds sequence %d, got %d from the queue so far: %w",
			now.Epoch, m.Seq, given, record.ErrEpoch)
	}
	m := r.marks[acked.Stream]
	m.Stream = acked.Stream
	switch {
	case m.Seq < acked.Seq:
		r.own = m // the receiver goes on from its own checksum, so must this side
		return r, true, nil
	case m.Seq == acked.Seq && m.Chain != acked.Chain:
		return nil, false, r.differs()
	}
	return r, false, nil
}

// verified says that the own stream has come to the receiver's mark, or was never behind it.
func (r *resume) verified() bool { return r.own.Seq >= r.marks[r.own.Stream].Seq }

// next says whether c must be sent. An error wraps record.ErrEpoch.
func (r *resume) next(c *record.Chunk) (send bool, err error) {
	s := c.Source.Stream
	if s.Sender != r.now.Sender {
		return c.Seq > r.marks[s].Seq, nil
	}
	if s != r.own.Stream {
		if r.own.Stream == r.now && !r.verified() { // it ended meanwhile, for a reason that another destination had
			return false, r.differs()
		}
		// An epoch that ended before the receiver's mark: its end was lost here with power, after it was sent. What
		// is left of it was sent before, so the mark covers it.
		r.own = record.Durable{Stream: s}
	}
	mark := r.marks[s]
	if c.Seq > mark.Seq && !r.verified() {
		return false, r.differs()
	}
	r.own = r.own.Add(c)
	if c.Seq == mark.Seq && r.own.Chain != mark.Chain {
		return false, r.differs()
	}
	return c.Seq > mark.Seq, nil
}

// differs makes the error that demands a new epoch.
func (r *resume) differs() error {
	m := r.marks[r.own.Stream]
	return fmt.Errorf("resume epoch %d: receiver holds checksum %016x at sequence %d, got %016x at %d: %w",
		r.own.Epoch, uint64(m.Chain), m.Seq, uint64(r.own.Chain), r.own.Seq, record.ErrEpoch)
}
