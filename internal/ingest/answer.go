package ingest

import (
	"context"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// End is somebody behind the output who must answer before this receiver does: the receivers to which a relay hands on.
// Where nobody has to at the moment, Ends reports false and Await returns nil at once.
type End interface {
	Ends() bool
	// Answered returns how far it answers for streams, for each in their order, never less than before, whatever is killed: the
	// peer gives up what it is told. It returns nil where nobody has to answer. An error says that it cannot tell just now.
	Answered([]record.Stream) ([]record.Durable, error)
	// Await returns nil when it answers for everything up to ends, which the output has taken: for good too. It returns ctx.Err() when
	// ctx ends first. alive is called now and then while it waits with reason to believe that it does not wait in vain.
	Await(ctx context.Context, ends []record.Durable, alive func()) error
}

// promisesLen bounds the groups of one connection that are stored and not acknowledged. The window bounds their bytes.
const promisesLen = 64

// aliveEvery is how often a peer is told that its batches are being waited for.
const aliveEvery = 5 * time.Second

// promise is a group of batches that the output has taken.
type promise struct {
	last uint64           // number of its last batch
	ends []record.Durable // where its streams end; nil: nobody has to answer
}

// answers are the promises of one connection that wait for an answer, kept by a goroutine of their own.
type answers struct {
	promises chan promise
	ctx      context.Context // ends when nobody waits for acknowledgements any more
	give     context.CancelFunc
	done     chan struct{}
	short    bool // a promise was left out: none behind it may be kept; of store
}

// end waits until all are kept, or gives them up. a may be nil.
func (a *answers) end(wait bool) {
	if a == nil {
		return
	}
	defer a.give()
	if !wait {
		a.give()
	}
	close(a.promises)
	<-a.done
}

// ends returns the last sequence of each stream in chunks, nil where nobody has to answer for them.
func (c *conn) ends(chunks []record.Chunk) (ends []record.Durable) {
	if c.s.o.End == nil || c.answers == nil && !c.s.o.End.Ends() {
		return nil
	}
	for i := range chunks {
		ch := &chunks[i]
		if n := len(ends); n > 0 && ends[n-1].Stream == ch.Source.Stream {
			ends[n-1].Seq = max(ends[n-1].Seq, ch.Seq)
			continue
		}
		ends = append(ends, record.Durable{Stream: ch.Source.Stream, Seq: ch.Seq})
	}
	return ends
}

// promise acknowledges a group, or has it acknowledged when somebody else has answered for it: meanwhile the next ones are
// stored, so that a long way costs no more than what is under way.
func (c *conn) promise(p promise) {
	if p.ends == nil && c.answers == nil {
		c.acknowledge(p.last)
		return
	}
	if c.answers == nil {
		a := &answers{promises: make(chan promise, promisesLen), done: make(chan struct{})}
		a.ctx, a.give = context.WithCancel(c.storing)
		c.answers = a
		go func() { // end waits for it
			defer close(a.done)
			c.keepPromises(a)
		}()
	}
	if c.answers.short {
		return
	}
	select {
	case c.answers.promises <- p:
		return
	default:
	}
	c.held.Store(true)
	defer c.held.Store(false)
	select {
	case c.answers.promises <- p:
	case <-c.gone: // the connection ends, with what it has promised before; what is stored is stored
		c.answers.short = true
	case <-c.storing.Done():
		c.answers.short = true
	}
}

// acknowledge says that this receiver answers for everything up to a batch. Failing, it interrupts run; what is stored is
// stored.
func (c *conn) acknowledge(last uint64) {
	_ = c.grant(last, func(credit uint64) wire.Control { return wire.Ack{Through: last, Credit: credit} })
}

// keepPromises acknowledges groups in their order, each when it is answered for, until there are no more.
func (c *conn) keepPromises(a *answers) {
	var acked uint64
	every := min(aliveEvery, c.s.o.IdleTimeout/3)
	said := time.Now()
	alive := func() {
		if now := time.Now(); now.Sub(said) >= every {
			said = now
			c.acknowledge(acked) // nothing new; the peer sees that what it waits for is not forgotten
		}
	}
	for p := range a.promises {
		if a.ctx.Err() != nil || c.s.o.End.Await(a.ctx, p.ends, alive) != nil {
			a.give() // what comes later is not acknowledged before this
			continue
		}
		acked, said = p.last, time.Now()
		c.acknowledge(p.last)
	}
}
