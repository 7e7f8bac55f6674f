package plugin

import (
	"bytes"
	"context"
)

// text is what is made for the writer, piece by piece. The feeder uses it; pieces and free lead to the writer and back.
type text struct {
	track  *tracker
	over   context.Context // ends with the life: nobody writes any more
	pieces chan []byte
	free   chan []byte // buffers that come back, nil for those not made yet

	acks    bool // lines are counted and what is left out is counted in lines, else in bytes
	objects bool // there are no lines: a record counts as one

	buf     []byte // the piece that is being filled
	flushed int64  // bytes of the pieces before it
	lines   int64  // line ends, or records, in everything that is counted
	counted int    // bytes of buf that are in lines
	unended bool   // the last byte counted is no line end
	record  int    // where in buf the last record ends; only for objects
}

const (
	pieceSize = maxBatch
	tooLarge  = 4 * pieceSize // a buffer that grew beyond is not kept
	buffers   = 2             // one is written, one is filled
)

func newText(o *Options, track *tracker, over context.Context) *text {
	t := &text{over: over, track: track, pieces: make(chan []byte), free: make(chan []byte, buffers), acks: o.Ack, objects: o.Objects}
	for range buffers {
		t.free <- nil
	}
	return t
}

// close tells the writer that nothing more comes.
func (t *text) close() { close(t.pieces) }

// ready makes sure that there is a buffer; it returns false when the life is over.
func (t *text) ready() bool {
	if t.buf != nil {
		return true
	}
	select {
	case t.buf = <-t.free:
	case <-t.over.Done():
		return false
	}
	if t.buf == nil || cap(t.buf) > tooLarge {
		t.buf = make([]byte, 0, minBatch)
	}
	t.buf = t.buf[:0]
	return true
}

// flush hands the piece to the writer. If whole, the batch ends with it.
func (t *text) flush(whole bool) {
	t.count(len(t.buf))
	total := t.total()
	t.track.rendered(total, t.needed(), whole) // before the child can answer for it
	if len(t.buf) == 0 {
		return
	}
	select {
	case t.pieces <- t.buf:
	case <-t.over.Done():
	}
	t.buf, t.flushed, t.counted, t.record = nil, total, 0, 0
}

// spill is what a Renderer gets: it hands on a piece that is full.
func (t *text) spill(p []byte) []byte {
	t.object(len(p))
	if len(p) < pieceSize {
		return p
	}
	t.buf = p
	t.flush(false)
	if !t.ready() {
		t.buf = []byte{}
	}
	return t.buf
}

// object counts a record that ends at buf[:end], if there is one.
func (t *text) object(end int) {
	if t.objects && end > t.record {
		t.lines++
	}
	t.record = end
}

// count brings what is counted up to buf[:end].
func (t *text) count(end int) {
	if t.acks && !t.objects && end > t.counted {
		t.lines += int64(bytes.Count(t.buf[t.counted:end], lineEnd))
		t.unended = t.buf[end-1] != '\n'
	}
	t.counted = end
}

var lineEnd = []byte{'\n'}

// total is how many bytes are counted.
func (t *text) total() int64 { return t.flushed + int64(t.counted) }

// needed is how many lines the child must have done to have done everything that is counted.
func (t *text) needed() int64 {
	if t.unended {
		return t.lines + 1
	}
	return t.lines
}

// amount is what p counts for when it is left out.
func (t *text) amount(p []byte) int64 {
	switch {
	case !t.acks:
		return int64(len(p))
	case !t.objects:
		return int64(bytes.Count(p, lineEnd))
	case len(p) > 0:
		return 1
	}
	return 0
}

// cut returns how much of p, raw, earlier lives had when they had skip of it: whole lines, in bytes and as amount counts.
func (t *text) cut(p []byte, skip int64) (n int, amount int64) {
	if !t.acks {
		if n = len(p); skip < int64(n) {
			n = bytes.LastIndexByte(p[:skip], '\n') + 1
		}
		return n, int64(n)
	}
	for amount < skip {
		i := bytes.IndexByte(p[n:], '\n')
		if i < 0 {
			return len(p), amount
		}
		n += i + 1
		amount++
	}
	return n, amount
}
