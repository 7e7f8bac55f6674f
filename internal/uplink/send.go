package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"ftfuse/internal/pace"
	"ftfuse/internal/payload"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// maxTries is how often payload is read that fails with an error that may pass, before it counts as damaged.
const maxTries = 5

// send takes from the backlog and sends until nothing more is to be begun (nil) or something fails.
func (s *session) send() error {
	for {
		limit := int64(s.u.size.get())
		single := s.u.suspect.last != 0
		if single {
			limit = 1 // one entry: whatever is wrong is wrong with that
		}
		b, err := s.u.o.Backlog.Next(s.giving, limit)
		if s.giving.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("next batch: %w", err)
		}
		if single && !s.u.suspect.holds(b.First) && s.u.suspect.old == (b.Part == record.Old) {
			s.u.suspect = span{}
		}
		if err = s.resume.enter(b.Part); err == nil {
			err = s.deliver(b, single)
		}
		var damage *payload.Bad
		if errors.As(err, &damage) {
			err = s.damaged(b, single, damage)
		}
		if s.giving.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// damaged deals with payload that cannot be read. The entry is dropped if it is known which one it is; otherwise the
// positions are read again one by one.
func (s *session) damaged(b record.Batch, single bool, damage *payload.Bad) error {
	if err := s.empty(s.ctx); err != nil { // the queue rewinds to what is acknowledged
		return err
	}
	if !single {
		s.u.suspect = spanOf(b)
		return s.again(damage)
	}
	why, v := payload.Judge(damage)
	if v == payload.Doubtful {
		if s.u.tries[b.First]++; s.u.tries[b.First] >= maxTries {
			v = payload.Final
		}
	}
	if v != payload.Final {
		return damage // the next connection tries again, after a pause
	}
	if err := s.u.drop(spanOf(b), why, damage); err != nil {
		return err
	}
	return s.again(damage)
}

// again goes over what is not acknowledged once more. Where several streams are gone over in turn, the receiver says best
// where each stands: at the next connection.
func (s *session) again(why error) error {
	if len(s.resume.aside) > 0 || s.u.o.Several {
		return why
	}
	s.resume.own = s.track.done()
	s.u.o.Backlog.Rewind()
	return nil
}

// deliver sends what the receiver lacks of b, in pieces that it takes, and notes all of b as under way.
func (s *session) deliver(b record.Batch, single bool) error {
	at := spanOf(b)
	chunks := b.Chunks
	for first := true; first || len(chunks) > 0; first = false {
		skipped, err := s.skip(&chunks)
		if err != nil {
			return err
		}
		if skipped.chunks > 0 || len(chunks) == 0 {
			skipped.span, skipped.single, skipped.whole = at, single, len(chunks) == 0
			if err := s.settle(skipped); err != nil {
				return err
			}
		}
		if len(chunks) == 0 {
			return nil
		}
		piece, rest := s.cut(chunks)
		chunks = rest
		if err := s.ship(piece, at, single, len(rest) == 0); err != nil {
			return err
		}
	}
	return nil
}

// skip passes over the chunks at the front that the receiver has.
func (s *session) skip(chunks *[]record.Chunk) (piece, error) {
	p := piece{number: s.number.Load()}
	list := *chunks
	for len(list) > 0 {
		before := s.resume.own
		send, err := s.resume.next(&list[0])
		if err != nil {
			return p, err
		}
		if send {
			s.resume.own = before // cut goes over it again
			break
		}
		p.chunks++
		p.bytes += uint64(list[0].Len)
		list = list[1:]
	}
	*chunks = list
	p.mark = s.resume.own
	s.u.status.skippedChunks.Add(p.chunks)
	s.u.status.skippedBytes.Add(p.bytes)
	return p, nil
}

// settle notes a skipped piece; with nothing under way before it, it is done at once.
func (s *session) settle(p piece) error {
	s.track.add(p)
	s.track.hold(!s.resume.verified())
	return s.commit(s.track.settle())
}

// cut splits off the longest run at the front that is to be sent and fits one batch, at least one chunk.
func (s *session) cut(chunks []record.Chunk) (run, rest []record.Chunk) {
	payload, head, marks, most := 0, 64, 0, s.u.size.get()
	for i := range chunks {
		c := &chunks[i]
		var before *record.Chunk
		if i > 0 {
			before = &chunks[i-1]
		}
		payload += int(c.Len)
		head += headBound(c, before)
		marks += len(c.Marks)
		if i > 0 && (payload > most || marks > wire.MaxMarks || uint64(i) >= s.limits.Chunks || uint64(payload+head) > s.limits.Body) {
			return chunks[:i], chunks[i:]
		}
		own := s.resume.own
		if send, err := s.resume.next(c); err != nil || !send {
			s.resume.own = own // skip comes to the same end, and acts upon it
			return chunks[:i], chunks[i:]
		}
	}
	return chunks, nil
}

// headBound is the most that a chunk adds to a head: its row, and its table lines unless it shares them with the chunk before.
func headBound(c, before *record.Chunk) int {
	n := 128 + 14*len(c.Marks)
	if before == nil || before.Source != c.Source {
		n += 64 + len(c.Source.Host) + len(c.Source.BootID)
	}
	if f := c.File; f != nil && (before == nil || before.File != f) {
		n += 32 + len(f.Mount) + len(f.Path) + len(f.Rule)
	}
	if w := c.Writer; w != nil && (before == nil || before.Writer != w) {
		n += 64 + len(w.Comm) + len(w.Exe) + len(w.Unit) + len(w.Container)
	}
	return n
}

// ship reads the payload of chunks and sends them as one batch, when there is room in the window.
func (s *session) ship(chunks []record.Chunk, at span, single, whole bool) error {
	if err := s.load.Load(chunks); err != nil {
		return err
	}
	codec := s.u.o.Codec
	if s.limits.Codecs&(1<<codec) == 0 {
		codec = wire.None
	}
	number := s.number.Load() + 1
	frame, size, err := s.enc.Batch(number, chunks, codec)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := s.room(int64(size), at.old); err != nil {
		return err
	}
	p := piece{number: number, sent: true, body: int64(size), chunks: uint64(len(chunks)), at: time.Now(), span: at, whole: whole, single: single, mark: s.resume.own}
	for i := range chunks {
		p.bytes += uint64(chunks[i].Len)
		p.records += uint64(chunks[i].Records)
	}
	s.number.Store(number)
	s.u.status.sentBatches.Add(1) // all this before the write: the ACK may be quicker than its return
	s.u.status.sentChunks.Add(p.chunks)
	s.u.status.sentBytes.Add(p.bytes)
	s.u.status.sentRecords.Add(p.records)
	s.track.add(p)
	s.track.hold(!s.resume.verified())
	if s.u.o.Several {
		s.u.memory.sent(number, s.resume.at(chunks))
	}
	n, err := s.writeBatch(frame)
	switch {
	case errors.Is(err, errHalted):
		s.retract(&p)
		return s.cause(err)
	case err != nil && s.giving.Err() != nil: // by then nobody waits for what the receiver has to say of it
		return s.cause(err)
	case err != nil:
		return s.broken(fmt.Errorf("send batch %d: %w", number, err))
	}
	s.u.status.wireBytes.Add(uint64(n))
	return nil
}

// retract takes back what ship has noted of the batch that it has noted last, nothing of which was sent.
func (s *session) retract(p *piece) {
	s.track.retract(p)
	s.u.status.sentBatches.Add(^uint64(0))
	s.u.status.sentChunks.Add(-p.chunks)
	s.u.status.sentBytes.Add(-p.bytes)
	s.u.status.sentRecords.Add(-p.records)
}

// writeBatch writes a frame. An error that wraps errHalted says that nothing of it was written.
func (s *session) writeBatch(frame net.Buffers) (n int64, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	defer func() {
		if err != nil && !errors.Is(err, errHalted) {
			s.torn.Store(true)
		}
	}()
	if s.torn.Load() {
		return 0, s.behindTorn()
	}
	if s.u.o.Line != nil {
		return s.writePaced(frame)
	}
	if err := s.nc.SetWriteDeadline(time.Now().Add(s.u.o.WriteTimeout)); err != nil {
		return 0, err
	}
	write := func() (int64, error) { return frame.WriteTo(s.nc) }
	if c, ok := s.nc.(interface {
		WriteBuffers(net.Buffers) (int64, error)
	}); ok { // TLS has no writev(2)
		write = func() (int64, error) { return c.WriteBuffers(frame) }
	}
	n, err = write()
	s.wrote.Store(time.Now().UnixNano())
	return n, err
}

// behindTorn is the fate of what is to be written behind a part of a frame, whose rest it would be taken for: whoever could not
// write that ends the connection, and says why.
func (s *session) behindTorn() error {
	<-s.ctx.Done()
	return context.Cause(s.ctx)
}

// writePaced writes a frame piece by piece, each when the line lets it pass. It is not begun when the session is to end; once
// it is, it has as long as what waits for its acknowledgement. Called with writing held.
func (s *session) writePaced(frame net.Buffers) (n int64, err error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	defer context.AfterFunc(s.giving, func() {
		wait(ctx, s.u.o.StopTimeout)
		cancel()
	})()
	begun := false // something may be on the wire
	for _, b := range frame {
		for len(b) > 0 {
			piece := b[:min(len(b), pace.Piece)]
			b = b[len(piece):]
			may := ctx
			if !begun {
				may = s.giving
			}
			err := s.u.o.Line.Do(may, s.u.o.Class, len(piece), func() error {
				begun = true
				if err := s.nc.SetWriteDeadline(time.Now().Add(s.u.o.WriteTimeout)); err != nil {
					return err
				}
				wrote, err := s.nc.Write(piece)
				n += int64(wrote)
				s.wrote.Store(time.Now().UnixNano())
				return err
			})
			if err != nil && !begun && s.giving.Err() != nil {
				return 0, errHalted
			}
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// broken waits a moment after a failed write: the receiver's reason may lie in the socket, unread, and is worth more.
func (s *session) broken(err error) error {
	wait(s.ctx, time.Second)
	return err
}

// room waits until a body of size may be under way. Being asked to stop ends the wait too: a batch that was not sent is not begun.
func (s *session) room(size int64, old bool) error {
	for !s.track.room(size, old) {
		select {
		case <-s.track.changed:
		case <-s.giving.Done():
			return s.cause(errHalted)
		}
	}
	return nil
}

// errHalted is returned up to send, which then returns nil.
var errHalted = errors.New("asked to stop")

// empty waits until nothing is under way.
func (s *session) empty(ctx context.Context) error {
	for !s.track.empty() {
		select {
		case <-s.track.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// drain waits for what is under way, at most StopTimeout, and says goodbye, unless a frame was cut: that had its time.
func (s *session) drain() error {
	if s.torn.Load() {
		return errDrained
	}
	s.u.status.set(Draining)
	ctx, cancel := context.WithTimeout(s.ctx, s.u.o.StopTimeout)
	defer cancel()
	if err := s.empty(ctx); err != nil && s.ctx.Err() == nil {
		s.u.o.Logger.Info("uplink: closed without the last acknowledgements", "waited", s.u.o.StopTimeout)
	}
	if s.ctx.Err() == nil {
		_ = s.write(wire.Goaway{Code: wire.GoingDown, Text: "the sender stops"}) // a courtesy
	}
	return errDrained
}
