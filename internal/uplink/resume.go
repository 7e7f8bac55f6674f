package uplink

import (
	"fmt"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// resume decides, chunk by chunk in the order of the queue, what the receiver has already, and holds the checksum
// of the sender's own stream against the receiver's. It is used by the sending goroutine.
type resume struct {
	now   record.Stream                    // what the sender captured into when it said HELLO
	boot  string                           // of the machine, as Source.BootID
	given uint64                           // as Backlog.Given
	owns  func(record.SenderID) bool       // this sender's own ids
	marks map[record.Stream]record.Durable // of WELCOME
	own   record.Durable                   // the own stream behind the latest chunk; at first, what is acknowledged
	aside map[record.Stream]record.Durable // other own streams, where own left them
	anew  map[record.Stream]record.Durable // as own, of a receiver that knew nothing of what was acknowledged when it got more
	whole map[record.Stream]bool           // own streams of this boot that chunks were passed over of: nothing of them was lost with power
	fresh bool                             // own is of the fresh part of a backlog that has two
	other record.Stream                    // the own stream that the other part is at; the zero Stream if it is of no account
}

// newResume compares what is acknowledged, and given, with what the receiver says. behind is set when the receiver
// knows less than it had acknowledged: its state was set back or is new; what it lost is not here any more.
func newResume(now record.Stream, boot string, acked record.Durable, marks []record.Durable, given uint64, owns func(record.SenderID) bool) (r *resume, behind bool, err error) {
	if r, err = believe(now, boot, marks, given, owns); err != nil {
		return nil, false, err
	}
	if behind, err = r.start(acked); err != nil {
		return nil, false, err
	}
	return r, behind, nil
}

// start begins a part of the backlog behind what is acknowledged of it.
func (r *resume) start(acked record.Durable) (behind bool, err error) {
	r.own = acked
	m := r.marks[acked.Stream]
	m.Stream = acked.Stream
	switch {
	case m.Seq < acked.Seq:
		r.own = m // the receiver goes on from its own checksum, so must this side
		return true, nil
	case m.Seq == acked.Seq && m.Chain != acked.Chain:
		return false, r.differs(r.own)
	}
	r.anew[acked.Stream] = record.Durable{Stream: acked.Stream, Seq: acked.Seq} // it has got more, and its answer was lost
	return false, nil
}

// startFresh is start for the fresh part of a backlog that has two.
func (r *resume) startFresh(acked record.Durable) (behind bool, err error) {
	_ = r.enter(record.Fresh) // only Alone can fail
	behind, err = r.start(acked)
	_ = r.enter(record.Old)
	return behind, err
}

// enter turns to the part of the backlog that the next chunks are of. What is verified, and what a stream's end means, each
// part knows of its own streams. An error wraps record.ErrEpoch.
func (r *resume) enter(p record.Part) error {
	if fresh := p == record.Fresh || p == record.Alone; fresh != r.fresh {
		left := r.own.Stream
		r.turn(r.other)
		r.fresh, r.other = fresh, left
	}
	if p == record.Alone { // no more comes of the other
		if err := r.ended(r.aside[r.other]); err != nil {
			return err
		}
		r.other = record.Stream{}
	}
	return nil
}

// ended is asked where own comes to the end of a stream: the receiver may hold more of it, as its end can have been lost here
// with power after it was sent. What is left of it was sent before then, so the mark covers it. But if nothing was lost
// since, the mark is of another process with this sender's id: a clone that went on from the same state.
func (r *resume) ended(own record.Durable) error {
	if r.whole[own.Stream] && own.Seq < r.marks[own.Stream].Seq {
		return r.differs(own)
	}
	return nil
}

// believe begins with what the receiver says, but for what this queue cannot have sent.
func believe(now record.Stream, boot string, marks []record.Durable, given uint64, owns func(record.SenderID) bool) (*resume, error) {
	r := &resume{now: now, boot: boot, given: given, owns: owns, marks: make(map[record.Stream]record.Durable, len(marks)),
		aside: map[record.Stream]record.Durable{}, anew: map[record.Stream]record.Durable{}, whole: map[record.Stream]bool{}}
	for _, m := range marks {
		r.marks[m.Stream] = m
		if owns(m.Sender) && m.Epoch == now.Epoch && m.Seq > given { // the queue was put back to an earlier copy: it will give those names again
			return nil, fmt.Errorf("resume epoch %d: receiver holds sequence %d, got %d from the queue so far: %w",
				now.Epoch, m.Seq, given, record.ErrEpoch)
		}
	}
	return r, nil
}

// recall begins where this process left the receiver, or where that says to be if they have not met.
func (s *session) recall(w wire.Welcome, own record.Stream, asked []record.Stream) (*resume, error) {
	r, err := believe(own, s.u.o.Identity.BootID, w.Marks, s.u.o.Backlog.Given(), s.u.owns)
	if err != nil {
		return nil, err
	}
	if odd := s.u.memory.begin(w.Receiver, asked, w.Marks, s.u.owns); odd != nil {
		return nil, fmt.Errorf("resume epoch %d: receiver %v holds checksum %016x at sequence %d, which was not sent to it: %w",
			odd.Epoch, w.Receiver, uint64(odd.Chain), odd.Seq, record.ErrEpoch)
	}
	for _, m := range w.Marks {
		if s.u.owns(m.Sender) {
			r.aside[m.Stream] = m
		}
	}
	r.own = record.Durable{Stream: own}
	if m, known := r.aside[own]; known {
		r.own = m
	}
	return r, nil
}

// owns reports whether a stream's sender is this one, by whatever id.
func (u *Uplink) owns(id record.SenderID) bool { return id == u.o.Identity.Sender || u.o.Own(id) }

// verified says that the own streams have come to the receiver's marks, or were never behind them.
func (r *resume) verified() bool {
	return r.ownVerified() && r.aside[r.other].Seq >= r.marks[r.other].Seq
}

func (r *resume) ownVerified() bool { return r.own.Seq >= r.marks[r.own.Stream].Seq }

// next says whether c must be sent. An error wraps record.ErrEpoch.
func (r *resume) next(c *record.Chunk) (send bool, err error) {
	s := c.Source.Stream
	if !r.owns(s.Sender) {
		return c.Seq > r.marks[s].Seq, nil
	}
	if s != r.own.Stream {
		if r.own.Epoch == r.now.Epoch && !r.ownVerified() { // it ended meanwhile, for a reason that another destination had
			return false, r.differs(r.own)
		}
		if err := r.ended(r.own); err != nil {
			return false, err
		}
		r.turn(s)
	}
	mark := r.marks[s]
	if c.Seq <= r.own.Seq { // behind where this began: the receiver has proved to hold it
		return false, nil
	}
	if c.Seq > mark.Seq && !r.ownVerified() {
		return false, r.differs(r.own)
	}
	r.add(c)
	if c.Seq == mark.Seq && r.own.Chain != mark.Chain {
		return false, r.differs(r.own)
	}
	if c.Seq > mark.Seq {
		return true, nil
	}
	if r.whole[s] = c.Source.BootID == r.boot; r.whole[s] && mark.Seq > r.given { // as ended says, and it may never come to an end
		return false, r.differs(r.own)
	}
	return false, nil
}

// add advances the own stream over c. At the receiver's mark it turns out whether that goes on from what was acknowledged, or
// began there with an empty disk.
func (r *resume) add(c *record.Chunk) {
	r.own = r.own.Add(c)
	s := r.own.Stream
	d, known := r.anew[s]
	if mark := r.marks[s]; !known || c.Seq > mark.Seq {
		return
	} else if d = d.Add(c); d.Seq == mark.Seq && d.Chain == mark.Chain {
		r.own = d
	}
	r.anew[s] = d
}

// at says where the own streams stand behind chunks, the latest that next has passed.
func (r *resume) at(chunks []record.Chunk) (marks []record.Durable) {
	seen := map[record.Stream]bool{}
	for i := range chunks {
		s := chunks[i].Source.Stream
		if seen[s] || !r.owns(s.Sender) {
			continue
		}
		seen[s] = true
		d := r.aside[s]
		if s == r.own.Stream {
			d = r.own
		}
		marks = append(marks, d)
	}
	return marks
}

// turn makes s the own stream that is gone over.
func (r *resume) turn(s record.Stream) {
	r.aside[r.own.Stream] = r.own
	r.own = r.aside[s]
	r.own.Stream = s
}

// differs makes the error that demands a new epoch, as own does not come to the receiver's mark.
func (r *resume) differs(own record.Durable) error {
	m := r.marks[own.Stream]
	return fmt.Errorf("resume epoch %d: receiver holds checksum %016x at sequence %d, got %016x at %d: %w",
		own.Epoch, uint64(m.Chain), m.Seq, uint64(own.Chain), own.Seq, record.ErrEpoch)
}
