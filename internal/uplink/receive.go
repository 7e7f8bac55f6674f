package uplink

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// maxRetryMillis bounds what a GOAWAY can ask for.
const maxRetryMillis = 10 * 60 * 1000

func (s *session) idle() time.Duration {
	return time.Duration(min(s.limits.IdleMillis, 24*3600*1000)) * time.Millisecond
}

// receive takes frames until the connection ends and says why. It never writes: a blocked write must not keep it from acknowledgements.
func (s *session) receive() error {
	dead := or(s.u.o.DeadAfter, s.idle())
	r := bufio.NewReaderSize(s.nc, 4<<10)
	for {
		if err := s.nc.SetReadDeadline(time.Now().Add(dead)); err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		f, buf, err := wire.ReadControl(r, s.buf)
		s.buf = buf
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("receive: got no frame for %v: the receiver or the way to it is dead", dead)
		case err == io.EOF:
			return fmt.Errorf("receive: the receiver has closed the connection")
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		s.u.status.latest.Store(time.Now().UnixNano())
		if err := s.take(f); err != nil {
			return err
		}
	}
}

func (s *session) take(f wire.Control) error {
	switch f := f.(type) {
	case wire.Ack:
		return s.acknowledged(f)
	case wire.Nack:
		return &refused{f}
	case wire.Ping:
		select {
		case s.pong <- f.Token:
		default: // several wait already: they show that this side lives
		}
	case wire.Pong:
		if at := s.pinged.Load(); at != 0 && f.Token == at {
			s.u.status.rtt.Store(time.Now().UnixNano() - int64(at))
		}
	case wire.Goaway:
		s.retry.Store(int64(min(f.RetryMillis, maxRetryMillis)) * int64(time.Millisecond))
		s.u.o.Logger.Info("uplink: the receiver goes away", "reason", string(f.Text))
		s.u.o.Watch.Leaving()
		s.halt()
	case wire.Unknown:
	default:
		return fmt.Errorf("receive: got %T from a receiver: %w", f, record.ErrCorrupt)
	}
	return nil
}

func (s *session) acknowledged(a wire.Ack) error {
	done, ok := s.track.acknowledge(a.Through, a.Credit, s.number.Load())
	if !ok {
		return fmt.Errorf("receive ACK: got batch %d, want at most %d and not less than before: %w", a.Through, s.number.Load(), record.ErrCorrupt)
	}
	s.heard.Store(time.Now().UnixNano())
	if s.u.o.Several {
		s.u.memory.acked(a.Through)
	}
	err := s.commit(done)
	s.track.signal()
	return err
}

// commit tells the queue what is done. Positions that came in several pieces are done with the last.
func (s *session) commit(done []piece) error {
	var last [2]*piece // of what is old, and of the rest
	for i := range done {
		p := &done[i]
		if p.whole && p.span.old {
			last[0] = p
		} else if p.whole {
			last[1] = p
		}
		if p.sent {
			s.u.status.ackedBatches.Add(1)
			s.u.status.ackedChunks.Add(p.chunks)
			s.u.status.ackedBytes.Add(p.bytes)
			s.u.status.ackedRecords.Add(p.records)
			s.acked.Store(true)
			s.u.size.acked(time.Since(p.at))
		}
	}
	if len(done) > 0 {
		s.u.status.well()
	}
	for _, p := range last {
		if p == nil {
			continue
		}
		if err := s.u.o.Backlog.Ack(p.span.last, p.mark); err != nil {
			return fmt.Errorf("acknowledge position %d: %w", p.span.last, err)
		}
	}
	return nil
}

// keep answers pings, pings when nothing else was sent, and watches the oldest batch.
func (s *session) keep() {
	every := s.idle() / 3
	check := time.NewTicker(max(every/4, time.Millisecond))
	defer check.Stop()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return
		case token := <-s.pong:
			err = s.write(wire.Pong{Token: token})
		case now := <-check.C:
			err = s.watch(now, every)
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

func (s *session) watch(now time.Time, every time.Duration) error {
	if _, _, n, oldest := s.track.snapshot(); n > 0 && now.Sub(oldest) > s.u.o.AckTimeout && now.Sub(time.Unix(0, s.heard.Load())) > s.u.o.AckTimeout {
		return fmt.Errorf("await ACK: got none for %v for %d batches", s.u.o.AckTimeout, n)
	}
	if now.Sub(time.Unix(0, s.wrote.Load())) < every {
		return nil
	}
	token := uint64(time.Now().UnixNano())
	s.pinged.Store(token)
	return s.write(wire.Ping{Token: token})
}

// write sends a control frame.
func (s *session) write(f wire.Control) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.torn.Load() {
		return s.behindTorn()
	}
	s.out = f.Append(s.out[:0])
	if err := s.nc.SetWriteDeadline(time.Now().Add(s.u.o.WriteTimeout)); err != nil {
		return fmt.Errorf("send %T: %w", f, err)
	}
	if _, err := s.nc.Write(s.out); err != nil {
		s.torn.Store(true)
		return s.broken(fmt.Errorf("send %T: %w", f, err))
	}
	s.wrote.Store(time.Now().UnixNano())
	return nil
}
