package queue

import (
	"cmp"
	"slices"
	"time"

	"ftfuse/internal/record"
)

// A mark says how far a relayed stream has been appended: what comes again up to there is known. Restarts of senders begin new
// streams for ever, so marks are forgotten:
//
//   - by age, on the terms of the receiver's ledger (internal/ledger): a stream that nothing came of for Options.Forget, when a
//     newer one of the same sender is known;
//   - by number: beyond Options.MostMarks, those that nothing came of for longest, until three quarters of that are left. First
//     go those that a newer one has followed and nothing came of lately, then any.
//
// A stream of which a destination is still to answer for something is never forgotten. Which stream of a sender is the newer one
// is seen by when something came of it last: the numbers of epochs are of the sender's clock, which may be in 1970.
//
// Forgetting loses no data. A sender that comes back with what it has no answer for gives it once more; files and the next hop drop
// that by marks of their own, unless it comes under the name of a new epoch, and plug-ins get it twice.
const (
	forgetAfter = 90 * 24 * time.Hour
	mostMarks   = 1 << 17        // about a fifth of a database is its head then
	lately      = 24 * time.Hour // how long a sender that was killed may take to give the rest of a stream under its old name
)

// mark is that of one relayed stream.
type mark struct {
	behind
	touched int64 // when something was appended to it, by the clock of marks
}

// markClock is wall time that is never set back, in ns since 1970: it begins with the latest that is known, and goes on with
// Options.Uptime. So what is touched now was touched last, also on a machine that boots in 1970. Guarded by Queue.mu.
type markClock struct {
	start int64         // what it was
	at    time.Duration // at that uptime
	given int64         // to the mark that was touched last
}

// markNow reads the clock of marks. Called with mu held.
func (q *Queue) markNow() int64 { return q.clock.start + int64(q.o.Uptime()-q.clock.at) }

// loadMarks takes over the marks of a head. Those of older versions have no time: they count as touched now.
func (q *Queue) loadMarks(list []headMark) {
	newest := int64(0)
	for i := range list {
		newest = max(newest, list[i].touched())
	}
	q.clock = markClock{start: max(q.o.Now().UnixNano(), newest), at: q.o.Uptime()}
	for i := range list {
		d, at := list[i].durable(), list[i].touched()
		if at <= 0 {
			at = q.clock.start // the same for all: the higher epoch of a sender is the newer then
		}
		if d.Stream != (record.Stream{}) {
			q.marks[d.Stream] = mark{behind{d.Seq, d.Chain}, at}
		}
	}
}

// packMarks is what a head says of the marks. If the wall clock was set forward since Open, they move with it, so that the
// next Open finds the same ages. Called with writing held, without which marks do not change.
func (q *Queue) packMarks() []headMark {
	q.mu.Lock()
	ahead := max(q.o.Now().UnixNano()-q.markNow(), 0)
	q.mu.Unlock()
	list := make([]headMark, 0, len(q.marks))
	for s, m := range q.marks {
		list = append(list, headMark{packMark(m.durable(s)), (m.touched + ahead) / int64(time.Second)})
	}
	return list
}

func (m mark) durable(s record.Stream) record.Durable {
	return record.Durable{Stream: s, Seq: m.seq, Chain: m.chain}
}

// touch sets a mark, as of now, and later than any before. Called with writing and mu held, or while nobody else has the queue.
func (q *Queue) touch(d record.Durable) {
	q.clock.given = max(q.markNow(), q.clock.given+1)
	q.marks[d.Stream] = mark{behind{d.Seq, d.Chain}, q.clock.given}
}

// Adopt lets relayed streams begin behind marks, where the queue knows less of them: who relays does not give it what
// lies before. It holds until the queue is closed and, once something of the stream is appended, for good. touched is when
// the marks came to be.
func (q *Queue) Adopt(marks []record.Durable, touched time.Time) {
	q.writing.Lock() // no entry may be in the making
	defer q.writing.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.markNow() - max(int64(q.o.Now().Sub(touched)), 0)
	for _, d := range marks {
		if m := q.marks[d.Stream]; d.Seq > m.seq {
			q.marks[d.Stream] = mark{behind{d.Seq, d.Chain}, max(at, m.touched)}
		}
	}
	q.boundMarks()
}

// boundMarks forgets marks if there are too many. Called with writing and mu held.
func (q *Queue) boundMarks() {
	if len(q.marks) > q.marksDue {
		q.forgetMarks()
	}
}

// forgetMarks forgets what is too old, and then what is too much. Called with writing and mu held, or while nobody else has
// the queue.
func (q *Queue) forgetMarks() {
	newest, now := q.newestMarks(), q.markNow()
	for s, m := range q.marks {
		if newest[s.Sender].stream != s && time.Duration(now-m.touched) > q.o.Forget && !q.owes(s) {
			delete(q.marks, s)
		}
	}
	q.marksDue = q.o.MostMarks
	if len(q.marks) > q.o.MostMarks {
		q.forgetOldest(newest, now)
		q.marksDue = max(q.marksDue, len(q.marks)+q.o.MostMarks/4) // where so much is owed, not again for each that comes
	}
}

// oldMark is a mark that may be forgotten.
type oldMark struct {
	stream  record.Stream
	touched int64
	ended   bool // a newer one of the sender is known, and it was not touched lately
}

// compare tells the older of two.
func (o oldMark) compare(p oldMark) int {
	return cmp.Or(cmp.Compare(o.touched, p.touched), cmp.Compare(o.stream.Epoch, p.stream.Epoch))
}

// newestMarks is the stream of each sender that was touched last. Called with mu held.
func (q *Queue) newestMarks() map[record.SenderID]oldMark {
	newest := make(map[record.SenderID]oldMark)
	for s, m := range q.marks {
		o := oldMark{stream: s, touched: m.touched}
		if was, known := newest[s.Sender]; !known || o.compare(was) > 0 {
			newest[s.Sender] = o
		}
	}
	return newest
}

// forgetOldest forgets until three quarters of Options.MostMarks are left, or what is owed. Called with mu held.
func (q *Queue) forgetOldest(newest map[record.SenderID]oldMark, now int64) {
	var list []oldMark
	for s, m := range q.marks {
		if !q.owes(s) {
			list = append(list, oldMark{s, m.touched, newest[s.Sender].stream != s && time.Duration(now-m.touched) > lately})
		}
	}
	slices.SortFunc(list, func(a, b oldMark) int {
		switch {
		case a.ended == b.ended:
			return a.compare(b)
		case a.ended:
			return -1
		}
		return 1
	})
	open := 0
	for _, o := range list[:min(len(q.marks)-q.o.MostMarks*3/4, len(list))] {
		if !o.ended {
			open++
		}
		delete(q.marks, o.stream)
	}
	if open > 0 {
		q.log.Warn("queue: got more streams than can be known at a time: of some that may go on, what is under way may come twice",
			"streams", open, "known", len(q.marks), "most", q.o.MostMarks)
	}
}

// owes says whether a destination is still to answer for something of a stream; without destinations all that is queued waits for
// whoever comes. Called with mu held.
func (q *Queue) owes(s record.Stream) bool {
	if len(q.cursors) == 0 {
		return true
	}
	for _, c := range q.cursors {
		if _, owes := c.owed.by[s]; owes {
			return true
		}
	}
	return false
}
