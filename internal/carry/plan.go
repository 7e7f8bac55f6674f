package carry

import (
	"context"
	"fmt"

	"ftfuse/internal/probe"
	"ftfuse/internal/record"
)

// plan is where the sending of one file begins, and why it may.
type plan struct {
	o      *Options
	s      *source
	e      *entry
	stream record.Stream
}

// check holds the file against what is known of it. A file of which nothing was acknowledged may have changed.
func (p *plan) check(ctx context.Context, as As) error {
	e, s := p.e, p.s
	if e.Epoch == 0 || p.o.Again {
		return e.begin(s, as, p.o.Again)
	}
	if uint64(s.size) < e.reach() {
		return p.differs(ctx, as, fmt.Errorf("it has %d bytes, and up to %d were sent: %w", s.size, e.reach(), ErrChanged))
	}
	start, err := s.start(e.Begins)
	if err != nil {
		return err
	}
	if start != e.Start {
		return p.differs(ctx, as, fmt.Errorf("it begins with other bytes than what was sent: %w", ErrChanged))
	}
	if s.changed == e.Changed && uint64(s.size) == e.Acked {
		return nil
	}
	sum, err := s.sum(0, 0, int64(e.Acked), p.o.Progress)
	if err != nil {
		return err
	}
	if sum != e.Sum {
		return fmt.Errorf("its first %d bytes were sent, and are others now: %w", e.Acked, ErrChanged)
	}
	return nil
}

// differs is why, unless the receiver has nothing of the former content: then there is nothing to be kept apart.
func (p *plan) differs(ctx context.Context, as As, why error) error {
	if p.e.Acked > 0 {
		return why
	}
	former := record.Stream{Sender: p.o.Folder.id, Epoch: p.e.Epoch}
	r, err := p.o.ask(ctx, as.Host, former)
	if err != nil {
		return err
	}
	if r.Mark(former).Seq > 0 {
		return why
	}
	return p.e.begin(p.s, as, true)
}

// resume holds what the receiver says against what is known here, and sets where to begin. The receiver's mark is right where
// nothing speaks against it.
func (p *plan) resume(r *probe.Report) error {
	e, m := p.e, r.Mark(p.stream)
	switch {
	case m.Seq > uint64(p.s.size):
		return fmt.Errorf("the receiver holds %d bytes of it, and it has %d: %w", m.Seq, p.s.size, ErrChanged)
	case m.Seq == e.Acked && m.Chain != e.Chain:
		return fmt.Errorf("the receiver holds other data under its name: got checksum %016x at byte %d, want %016x: %w",
			uint64(m.Chain), m.Seq, uint64(e.Chain), ErrChanged)
	case m.Seq < e.Acked && m.Seq == 0:
		return fmt.Errorf("the receiver acknowledged %d bytes of it and knows nothing of them now: it was set back, or has forgotten what had been still for 90 days: %w",
			e.Acked, ErrChanged)
	case m.Seq < e.Acked:
		p.o.Warn(fmt.Sprintf("the receiver had acknowledged %d bytes and knows %d: it was set back; sending from there", e.Acked, m.Seq))
		sum, err := p.s.sum(0, 0, int64(m.Seq), p.o.Progress)
		if err != nil {
			return err
		}
		e.Acked, e.Chain, e.Sum, e.Ends = m.Seq, m.Chain, sum, nil
	}
	for len(e.Ends) > 0 && uint64(e.Ends[0]) <= e.Acked {
		e.Ends = e.Ends[1:]
	}
	if uint64(p.s.size) > e.reach() {
		e.Ends = append(e.Ends, p.s.size)
	}
	return nil
}
