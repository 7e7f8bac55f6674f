package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// store hands on what is pending and acknowledges it, in order, until nothing is left. A batch that can not be stored ends
// the connection: custody stays with the peer.
func (c *conn) store() {
	c.pulse = c.s.o.Pulses.Join("ingest")
	defer c.s.o.Pulses.Leave(c.pulse)
	var joined []record.Chunk
	for group := c.pending.take(nil); len(group) > 0; group = c.pending.take(group[:0]) {
		if !c.dead {
			var err error
			if joined, err = c.storeGroup(group, joined); err != nil {
				var r *refusal
				if errors.As(err, &r) {
					c.refused = r
				}
				c.dead = true
				c.interrupt(err)
			}
		}
		for _, it := range group {
			c.release(it)
		}
	}
}

// storeGroup stores group as one; if the output refuses that, one by one, to find the batch that it means.
func (c *conn) storeGroup(group []*item, joined []record.Chunk) ([]record.Chunk, error) {
	chunks := group[0].chunks
	if len(group) > 1 {
		joined = joined[:0]
		for _, it := range group {
			joined = append(joined, it.chunks...)
		}
		chunks = joined
		defer clear(joined)
	}
	ends := c.ends(chunks) // before put, which leaves out what is known
	err := c.put(chunks)
	if errors.Is(err, record.ErrRefused) && len(group) > 1 {
		for i := range group {
			if _, err := c.storeGroup(group[i:i+1], nil); err != nil {
				return joined, err
			}
		}
		return joined, nil
	}
	last := group[len(group)-1].number
	if errors.Is(err, record.ErrRefused) {
		return joined, refuse(NotTaken, wire.NotTaken, last, "batch %d: %v", last, err)
	}
	if err != nil {
		return joined, err
	}
	c.promise(promise{last, ends})
	return joined, nil
}

// put stores chunks, or what is new of them, and tries again until it succeeds, is refused for good, or nobody
// waits any more. Nobody else stores chunks of the same streams meanwhile.
func (c *conn) put(chunks []record.Chunk) error {
	streams := streamsOf(chunks)
	if err := c.s.streams.lock(c.storing, streams); err != nil {
		return err
	}
	defer c.s.streams.unlock(streams)
	pause := c.s.o.RetryMin
	var known drops
	for {
		c.pulse.Begin() // the output asks its ledger
		marks, err := c.marks(streams)
		c.pulse.End()
		if err == nil {
			chunks = fresh(chunks, marks, &known)
		}
		if err == nil && len(chunks) > 0 { // many peers wait for their turn here, at an output that has a pulse of its own
			err = c.s.o.Output.Put(c.storing, chunks)
		}
		if err == nil {
			c.stored(chunks, known)
			return nil
		}
		if errors.Is(err, record.ErrRefused) || c.storing.Err() != nil {
			return err
		}
		c.failed(err)
		// Half of the pause is random, lest all peers try at once.
		if !c.pause(pause/2 + rand.N(pause/2+1)) {
			return err
		}
		pause = min(2*pause, c.s.o.RetryMax)
	}
}

// pause waits between attempts; false when there is no further attempt.
func (c *conn) pause(d time.Duration) bool {
	ctx, cancel := context.WithTimeout(c.storing, d)
	defer cancel()
	select {
	case <-ctx.Done():
		return c.storing.Err() == nil
	case <-c.gone:
		return false
	}
}

// drops counts what the marks cover.
type drops struct{ chunks, bytes, records uint64 }

// marks asks the output how far it holds each stream.
func (c *conn) marks(streams []record.Stream) (map[record.Stream]*uint64, error) {
	marks := make(map[record.Stream]*uint64, len(streams))
	for _, s := range streams {
		m, err := c.s.o.Output.Mark(c.storing, s)
		if err != nil {
			return nil, fmt.Errorf("mark of sender %v, epoch %d: %w", s.Sender, s.Epoch, err)
		}
		marks[s] = &m.Seq
	}
	return marks, nil
}

// fresh moves the chunks that no mark covers to the front and returns them; the others are counted in d. What it
// cuts off is not needed again: marks only grow.
func fresh(chunks []record.Chunk, marks map[record.Stream]*uint64, d *drops) []record.Chunk {
	var source *record.Source
	var mark *uint64
	n := 0
	for i := range chunks {
		ch := &chunks[i]
		if ch.Source != source {
			source = ch.Source
			mark = marks[source.Stream]
		}
		if ch.Seq <= *mark {
			d.chunks++
			d.bytes += uint64(ch.Len)
			d.records += uint64(ch.Records)
			continue
		}
		*mark = ch.Seq
		if n != i {
			chunks[n] = *ch
		}
		n++
	}
	return chunks[:n]
}

func (c *conn) stored(fresh []record.Chunk, d drops) {
	var bytes, records uint64
	for i := range fresh {
		bytes += uint64(fresh[i].Len)
		records += uint64(fresh[i].Records)
	}
	for _, f := range []*flow{&c.flow, &c.s.stats.flow} {
		f.storedChunks.Add(uint64(len(fresh)))
		f.storedBytes.Add(bytes)
		f.storedRecords.Add(records)
		f.duplicateChunks.Add(d.chunks)
		f.duplicateBytes.Add(d.bytes)
		f.duplicateRecords.Add(d.records)
	}
	c.spend(bytes)
	if c.trouble.Swap(nil) != nil {
		c.logRecovered()
	}
}

func (c *conn) failed(err error) {
	c.flow.failures.Add(1)
	c.s.stats.failures.Add(1)
	text := err.Error()
	if c.trouble.Swap(&text) == nil {
		c.logFailing(err)
	}
}
