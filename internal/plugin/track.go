package plugin

import (
	"fmt"
	"sync"

	"ftfuse/internal/record"
)

// tracker knows what one life of the child was given and how far it has come. Bytes and lines count from the start of
// that life; where the format has no lines, a record is one.
type tracker struct {
	backlog record.Backlog
	acks    bool // positions are acknowledged by lines, else by bytes

	mu      sync.Mutex // guards everything below; held over Backlog.Ack, so that these come in order
	batches []batch    // not acknowledged, oldest first; the last one may be open
	written int64      // bytes that the pipe has taken
	taken   int64      // of those, bytes that the child has read, as far as is known
	quiet   int64      // of those, bytes after which it had nothing to read for a while
	lines   int64      // rendered, an unfinished one included
	done    int64      // lines that the child answers for
	err     error      // of the last Backlog.Ack that failed
	changed chan struct{}
}

// batch is one batch of the backlog on its way.
type batch struct {
	last   uint64
	mark   record.Durable
	start  int64 // bytes before it
	end    int64 // bytes up to its end
	lines  int64 // lines up to its end
	closed bool  // all of it is rendered
	time   int64 // of its first chunk, ns since 1970
	chunks []place
}

// place is where a chunk begins.
type place struct {
	origin       record.Origin
	bytes, lines int64
	skipped      int64 // bytes, or lines with acknowledgements, of its rendering that an earlier life had
}

// resume says where the next life goes on: in this chunk, behind so much of its rendering. Nothing before it is given again.
type resume struct {
	known  bool
	origin record.Origin
	skip   int64 // bytes, or lines with acknowledgements
}

func newTracker(b record.Backlog, acks bool) *tracker {
	return &tracker{backlog: b, acks: acks, changed: make(chan struct{}, 1)}
}

// open begins a batch.
func (t *tracker) open(b *record.Batch, mark record.Durable, bytes, lines int64) {
	n := batch{last: b.Last, mark: mark, start: bytes, end: bytes, lines: lines}
	if len(b.Chunks) > 0 {
		n.time = b.Chunks[0].Time
	}
	t.mu.Lock()
	t.batches = append(t.batches, n)
	t.mu.Unlock()
}

// place adds a chunk to the open batch.
func (t *tracker) place(p place) {
	t.mu.Lock()
	b := &t.batches[len(t.batches)-1]
	b.chunks = append(b.chunks, p)
	t.mu.Unlock()
}

// rendered says how far the open batch reaches, and that it ends there if whole.
func (t *tracker) rendered(bytes, lines int64, whole bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := &t.batches[len(t.batches)-1]
	b.end, b.lines, b.closed = bytes, lines, whole
	t.lines = lines
	t.settle()
}

// wrote says that the pipe has taken n bytes more and that so many in it are unread.
func (t *tracker) wrote(n int) {
	t.mu.Lock()
	t.written += int64(n)
	t.mu.Unlock()
}

// left says that so many of the bytes written are still unread.
func (t *tracker) left(unread int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = max(t.taken, t.written-unread)
	t.settle()
}

// finished says that the child has done its first n lines.
func (t *tracker) finished(n int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > t.lines {
		return fmt.Errorf("it acknowledged %d lines, want at most %d, as many as it was given", n, t.lines)
	}
	t.done = max(t.done, n)
	t.settle()
	return nil
}

// settle acknowledges what is done. Called with mu held.
func (t *tracker) settle() {
	n := 0
	for n < len(t.batches) && t.batches[n].closed {
		b := &t.batches[n]
		if t.acks && b.lines > t.done || !t.acks && b.end > t.taken {
			break
		}
		n++
	}
	if n == 0 {
		return
	}
	b := &t.batches[n-1]
	if t.err = t.backlog.Ack(b.last, b.mark); t.err != nil {
		return
	}
	t.batches = append(t.batches[:0], t.batches[n:]...)
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// flight returns how many bytes were rendered and not acknowledged, and the time of the oldest of them.
func (t *tracker) flight() (bytes, since int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.batches) == 0 {
		return 0, 0
	}
	return t.batches[len(t.batches)-1].end - t.batches[0].start, t.batches[0].time
}

// progress returns the bytes written, those of them that were read, and those of these that the child must be done with.
func (t *tracker) progress() (written, taken, quiet int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.written, t.taken, t.quiet
}

// rested says that the child has had nothing to read for a while.
func (t *tracker) rested() {
	t.mu.Lock()
	t.quiet = t.written
	t.mu.Unlock()
}

// stop returns where the next life goes on, and how many bytes were written that come again.
func (t *tracker) stop() (r resume, again int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.batches {
		for _, p := range t.batches[i].chunks {
			came := t.taken - p.bytes
			if t.acks {
				came = t.done - p.lines
			}
			if came <= 0 && r.known {
				break
			}
			r = resume{known: true, origin: p.origin, skip: p.skipped + max(came, 0)}
			again = max(t.written-p.bytes-max(came, 0), 0)
			if t.acks {
				again = max(t.written-p.bytes, 0)
			}
		}
	}
	return r, again
}
