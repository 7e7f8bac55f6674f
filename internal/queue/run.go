package queue

import (
	"context"
	"errors"
	"time"
)

// expireEvery is how often Run looks for expired data that nobody reads.
const expireEvery = 10 * time.Second

// Run commits cursors in time and drops what expires while a destination is away, until ctx ends. One call at a
// time. Without it cursors are committed by Ack and Close alone.
func (q *Queue) Run(ctx context.Context) error {
	expire := time.NewTicker(expireEvery)
	defer expire.Stop()
	bound := time.NewTicker(boundEvery)
	defer bound.Stop()
	due := time.NewTimer(q.o.CommitEvery)
	defer due.Stop()
	work := q.o.Pulses.Join("queue")
	defer q.o.Pulses.Leave(work)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.done:
			return nil
		case <-q.soiled: // an idle queue wakes nobody
			due.Reset(q.o.CommitEvery)
		case <-due.C:
			work.Begin()
			q.commitDirt(due)
			work.End()
		case <-bound.C:
			work.Begin()
			err := q.passOver(work.Beat)
			if err == nil {
				err = q.bound(work.Beat)
			}
			work.End()
			if err != nil {
				q.log.Warn("queue: cannot drop what is beyond a destination's bound", "error", err)
			}
		case <-expire.C:
			if !q.expires {
				continue
			}
			work.Begin()
			err := q.expire(work.Beat)
			work.End()
			if err != nil {
				q.log.Warn("queue: cannot drop what has expired", "error", err)
			}
		}
	}
}

// commitDirt commits what Ack has left, and sets the timer for another attempt if that fails.
func (q *Queue) commitDirt(again *time.Timer) {
	q.mu.Lock()
	dirty := q.dirty
	q.mu.Unlock()
	if !dirty {
		return
	}
	if err := q.commit(false); err != nil {
		q.log.Warn("queue: counters not committed yet", "error", err)
		again.Reset(q.o.CommitEvery)
	}
}

// ExpireNow drops, for each cursor, the oldest data that it has not handed out, as long as it has expired.
func (q *Queue) ExpireNow() error { return q.expire(func() {}) }

// expire calls step between two entries that it drops.
func (q *Queue) expire(step func()) error {
	q.mu.Lock()
	var lanes []*lane
	for _, c := range q.cursors {
		lanes = append(lanes, c.lanes()...)
	}
	q.mu.Unlock()
	for _, l := range lanes {
		for more := true; more; {
			step()
			q.mu.Lock()
			from, rec := l.unseen(), &l.c.rec
			for g, ok := rec.gapOver(from); ok; g, ok = rec.gapOver(from) {
				from = g.Last + 1
			}
			q.mu.Unlock()
			var err error
			if more, err = l.expireAt(from); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close ends the queue in order: calls in progress finish, cursors are committed, and the mark is left by which the
// next Open knows that the epoch goes on. Next returns record.ErrClosed. The queue must not be used afterwards.
func (q *Queue) Close() error {
	if q.isClosed() != nil {
		return nil
	}
	released := q.commit(true) // while no lock is held: this calls Options.Release
	q.rotating.Lock()          // waits for every Append
	defer q.rotating.Unlock()
	q.writing.Lock()
	defer q.writing.Unlock()
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	q.o.Pulses.Leave(q.pulse)
	close(q.done)
	q.mu.Unlock()
	var healed error
	if q.broken {
		healed = q.reopen(q.last) // entries of failed calls must not turn up as acknowledged ones
	}
	err := errors.Join(healed, q.signOff(errors.Join(healed, released) == nil))
	for _, s := range q.segs {
		s.end()
	}
	return errors.Join(err, q.lock.Close())
}

// signOff writes the last records, with the mark of a clean shutdown, and closes the meta database.
func (q *Queue) signOff(clean bool) error {
	q.metaMu.Lock()
	defer q.metaMu.Unlock()
	q.mu.Lock()
	rec, cursors := q.records(false)
	forgotten := q.forgotten
	q.mu.Unlock()
	rec.Clean = clean
	err := q.meta.write(rec, cursors, forgotten, true)
	q.meta.close()
	q.mu.Lock()
	q.meta = nil
	q.mu.Unlock()
	return err
}
