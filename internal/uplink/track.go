package uplink

import (
	"sync"
	"time"

	"ftfuse/internal/record"
)

// piece is something sent, or skipped, in the order of the queue.
type piece struct {
	number  uint64 // of the batch; a skipped piece has the number of the batch before it
	sent    bool
	body    int64
	chunks  uint64
	bytes   uint64
	records uint64
	at      time.Time
	span    span           // queue positions it belongs to
	whole   bool           // the last piece of its positions: acknowledging it acknowledges them
	single  bool           // of one entry only
	mark    record.Durable // of the sender's own stream behind it
}

// tracker knows what is under way on one connection. The sending goroutine adds and waits for room, the receiving one
// acknowledges.
type tracker struct {
	window  int64
	batches int
	changed chan struct{} // one token: something was acknowledged or granted

	mu      sync.Mutex // guards the fields below
	list    []piece
	bytes   int64 // sent and not acknowledged
	old     int64 // of those, what is old
	count   int
	credit  uint64
	through uint64
	held    bool           // resume is not verified: nothing may be acknowledged to the queue yet
	mark    record.Durable // of the own stream behind the last whole piece that is done; at first, where to go on
}

func newTracker(window int64, batches int, credit uint64, mark record.Durable) *tracker {
	return &tracker{window: window, batches: batches, credit: credit, mark: mark, changed: make(chan struct{}, 1)}
}

func (t *tracker) signal() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// room says whether a batch with that body may be sent now. What is old has a quarter of the window: what is fresh comes
// behind it.
func (t *tracker) room(body int64, old bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == 0 {
		return t.credit > 0
	}
	if old && t.old > 0 && t.old+body > t.window/4 {
		return false
	}
	return t.count < t.batches && t.bytes+body <= t.window && uint64(t.bytes+body) <= t.credit
}

func (t *tracker) add(p piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.sent {
		t.bytes += p.body
		t.count++
		if p.span.old {
			t.old += p.body
		}
	}
	t.list = append(t.list, p)
}

// retract takes back a batch that was added last, unless a receiver that never got it has acknowledged it.
func (t *tracker) retract(p *piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.number <= t.through {
		return
	}
	t.bytes -= p.body
	t.count--
	if p.span.old {
		t.old -= p.body
	}
	t.list = t.list[:len(t.list)-1]
}

func (t *tracker) hold(held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = held
}

// acknowledge notes an ACK and returns the pieces that are done, oldest first. ok is false for an ACK of what was never sent.
func (t *tracker) acknowledge(through, credit uint64, sent uint64) (done []piece, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if through > sent || through < t.through {
		return nil, false
	}
	for i := range t.list { // also of what is held: there may have to be room for what ends that
		if p := &t.list[i]; p.sent && p.number > t.through && p.number <= through {
			t.bytes -= p.body
			t.count--
			if p.span.old {
				t.old -= p.body
			}
		}
	}
	t.through, t.credit = through, credit
	return t.pop(), true
}

// settle returns pieces that are done without an ACK: skipped ones with nothing under way before them.
func (t *tracker) settle() []piece {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pop()
}

func (t *tracker) pop() []piece {
	n := 0
	for ; n < len(t.list) && t.list[n].number <= t.through && !t.held; n++ {
		if p := &t.list[n]; p.whole {
			t.mark = p.mark
		}
	}
	done := append([]piece(nil), t.list[:n]...)
	t.list = append(t.list[:0], t.list[n:]...)
	return done
}

// find returns the piece sent as batch number.
func (t *tracker) find(number uint64) (piece, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.list {
		if t.list[i].sent && t.list[i].number == number {
			return t.list[i], true
		}
	}
	return piece{}, false
}

// done returns the mark of the own stream where what is done ends.
func (t *tracker) done() record.Durable {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mark
}

// empty says that nothing is under way.
func (t *tracker) empty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count == 0
}

func (t *tracker) snapshot() (credit uint64, bytes int64, batches int, oldest time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.list {
		if t.list[i].sent && t.list[i].number > t.through {
			oldest = t.list[i].at
			break
		}
	}
	return t.credit, t.bytes, t.count, oldest
}
