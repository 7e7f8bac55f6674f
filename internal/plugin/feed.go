package plugin

import (
	"context"
	"fmt"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/payload"
	"ftfuse/internal/record"
)

// feeder takes from the backlog, reads and renders, while the writer writes what was made before. One goroutine uses it.
type feeder struct {
	p       *Plugin
	track   *tracker
	out     *text
	payload []byte         // of a batch; raw reads into out instead
	resume  resume         // known until it has been come to
	mark    record.Durable // the own stream behind last
	last    uint64         // position up to which everything was given in this life, or was acknowledged before it
	suspect uint64         // up to here entries come one by one, as one of them cannot be read
	tries   int            // at the entry that comes next
}

// Doubtful payload is read so often, with a pause between two attempts.
const (
	maxTries = 5
	tryAgain = 200 * time.Millisecond
)

func newFeeder(p *Plugin, t *tracker, out *text) *feeder {
	f := &feeder{p: p, track: t, out: out, resume: p.back}
	f.last, f.mark = p.o.Backlog.Acked()
	p.o.Backlog.Rewind()
	return f
}

// run feeds until giving ends, which it looks at between two batches, or the life is over. It returns an error when the
// backlog gives nothing any more.
func (f *feeder) run(giving context.Context) error {
	defer f.out.close()
	for f.room(giving) && f.out.ready() {
		b, err := f.p.o.Backlog.Next(giving, f.limit())
		switch {
		case giving.Err() != nil:
			return nil
		case ended(err):
			return err
		case err != nil:
			f.p.log.Error("plugin: the queue cannot be read, trying again", "error", err)
			wait(giving, time.Second)
			continue
		}
		if b.Last <= f.last {
			continue // it comes again after a Rewind of ours
		}
		f.p.pulse.Begin()
		err = f.load(&b)
		f.p.pulse.End()
		if err == nil {
			f.give(&b)
		} else if err = f.bad(giving, &b, err); err != nil {
			return err
		}
	}
	return nil
}

// limit is how many bytes of payload the next batch may have.
func (f *feeder) limit() int64 {
	switch {
	case f.suspect > f.last:
		return 1 // one entry: whatever is wrong is wrong with that
	case f.p.o.Ack:
		return min(maxBatch, max(f.p.o.Window/4, minBatch))
	}
	return maxBatch
}

// room waits until there is room in the window.
func (f *feeder) room(giving context.Context) bool {
	for giving.Err() == nil {
		if n, _ := f.track.flight(); !f.p.o.Ack || n == 0 || n+f.limit() <= f.p.o.Window {
			return true
		}
		select {
		case <-f.track.changed:
		case <-giving.Done():
		}
	}
	return false
}

// load reads the payload of b.
func (f *feeder) load(b *record.Batch) (err error) {
	if f.p.o.Render == nil {
		f.out.buf, err = payload.Append(f.p.o.Store, b.Chunks, f.out.buf[:0])
		return err
	}
	if cap(f.payload) > tooLarge {
		f.payload = nil
	}
	f.payload, err = payload.Append(f.p.o.Store, b.Chunks, f.payload[:0])
	return err
}

// give renders a batch whose payload is there, and hands it to the writer.
func (f *feeder) give(b *record.Batch) {
	f.tries = 0
	f.advance(b)
	f.track.open(b, f.mark, f.out.total(), f.out.needed())
	chunks := b.Chunks
	skip, known := f.find(chunks)
	if f.p.o.Render == nil {
		f.raw(chunks, skip, known)
	} else {
		f.formatted(chunks[skip:], known)
	}
	if known {
		f.resume = resume{}
	}
	f.p.stats.add(b)
	f.out.flush(true)
}

// advance notes that b is given.
func (f *feeder) advance(b *record.Batch) {
	f.last = b.Last
	for i := range b.Chunks {
		if c := &b.Chunks[i]; c.Source.Sender == f.p.o.Sender {
			if c.Source.Stream != f.mark.Stream {
				f.mark = record.Durable{Stream: c.Source.Stream}
			}
			f.mark = f.mark.Add(c)
		}
	}
}

// find returns the chunk where to go on, if it is known and among these: earlier lives had those before it. If it should be
// here and is not, it has become a gap, and all is given.
func (f *feeder) find(chunks []record.Chunk) (int, bool) {
	if !f.resume.known {
		return 0, false
	}
	for i := range chunks {
		if chunks[i].Origin() == f.resume.origin {
			return i, true
		}
	}
	if f.suspect <= f.last {
		f.resume = resume{}
		return 0, false
	}
	return len(chunks), false // it came alone and lies before that chunk
}

// raw hands on the payload, which is in out, from the chunk skip on; of that one it leaves out what earlier lives had.
func (f *feeder) raw(chunks []record.Chunk, skip int, known bool) {
	begin, cut, skipped := 0, 0, int64(0)
	for i := range skip {
		begin += len(chunks[i].Data)
	}
	if known {
		cut, skipped = f.out.cut(chunks[skip].Data, f.resume.skip)
	}
	f.out.buf = f.out.buf[begin+cut:]
	end := -cut
	for i := skip; i < len(chunks); i++ {
		end += len(chunks[i].Data)
		f.track.place(place{chunks[i].Origin(), f.out.total(), f.out.lines, skipped})
		f.out.count(end)
		skipped = 0
	}
}

// formatted renders the chunks. If cut, what earlier lives had of the first is left out.
func (f *feeder) formatted(chunks []record.Chunk, cut bool) {
	for i := range chunks {
		c, at := &chunks[i], place{chunks[i].Origin(), f.out.total(), f.out.lines, 0}
		if cut && i == 0 {
			f.rest(c, at)
			continue
		}
		f.track.place(at)
		f.out.buf = f.p.o.Render.Append(f.out.buf, c, f.out.spill)
		f.out.object(len(f.out.buf))
		f.out.count(len(f.out.buf))
	}
}

// rest renders what earlier lives had not of c, which is the first of its batch.
func (f *feeder) rest(c *record.Chunk, at place) {
	skipping := true
	pass := func(p []byte) []byte {
		if !skipping {
			return f.out.spill(p)
		}
		if f.p.o.Cut { // in one piece
			var n int
			n, at.skipped = f.out.cut(p, f.resume.skip)
			p = append(p[:0], p[n:]...)
			skipping = false
			f.track.place(at)
			return f.out.spill(p)
		}
		if n := f.out.amount(p); at.skipped < f.resume.skip && at.skipped+n <= f.resume.skip {
			at.skipped += n
			return p[:0]
		}
		skipping = false
		f.track.place(at)
		return f.out.spill(p)
	}
	f.out.buf = f.p.o.Render.Append(f.out.buf, c, pass)
	if skipping {
		f.out.buf = pass(f.out.buf) // the last record
	}
	if skipping {
		f.track.place(at)
	}
	f.out.object(len(f.out.buf))
	f.out.count(len(f.out.buf))
}

// bad deals with payload that cannot be read. Nothing of b was given.
func (f *feeder) bad(giving context.Context, b *record.Batch, cause error) error {
	if f.suspect < b.Last {
		f.suspect = b.Last
		f.p.o.Backlog.Rewind()
		return nil
	}
	why, v := payload.Judge(cause)
	if v == payload.Doubtful {
		if f.tries++; f.tries >= maxTries {
			v = payload.Final
		}
	}
	if v != payload.Final {
		f.p.stats.failed(cause)
		wait(giving, tryAgain)
		f.p.o.Backlog.Rewind()
		return nil
	}
	f.tries = 0
	f.p.log.Error("plugin: gave up an entry of the queue", notice.DataRefused, "position", b.First, "reason", why.String(), "error", cause)
	if err := f.p.o.Backlog.Drop(b.First, b.Last, why); ended(err) {
		return fmt.Errorf("drop positions %d to %d: %w", b.First, b.Last, err)
	} else if err != nil {
		f.p.stats.failed(err)
		wait(giving, time.Second)
	}
	f.p.o.Backlog.Rewind()
	return nil
}
