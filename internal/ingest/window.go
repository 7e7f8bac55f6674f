package ingest

import "sync"

// window is the credit of one connection. run takes, store grants. Credit is kept as a place in the sum of all
// bodies since the connection began: a smaller later grant does not take back what the peer has used in good faith.
type window struct {
	mu      sync.Mutex
	read    uint64   // bodies of all batches taken
	sums    []uint64 // read after each batch that is not acknowledged
	first   uint64   // number of the batch of sums[0]
	acked   uint64   // read after the last batch acknowledged
	granted uint64   // the highest that read may become
	credit  uint64   // granted last, for status
}

// take counts a batch's body; false when it goes beyond the credit. One batch is always allowed when none is under way.
func (w *window) take(number uint64, body int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.read+uint64(body) > w.granted && len(w.sums) > 0 {
		return false
	}
	if len(w.sums) == 0 {
		w.first = number
	}
	w.read += uint64(body)
	w.sums = append(w.sums, w.read)
	return true
}

// grant is called before an ACK is sent: everything to through is done, credit bytes may be under way behind it.
func (w *window) grant(through, credit uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sums) > 0 && through >= w.first {
		n := int(through - w.first + 1)
		w.acked = w.sums[n-1]
		w.sums = append(w.sums[:0], w.sums[n:]...)
		w.first = through + 1
	}
	w.credit = credit
	w.granted = max(w.granted, w.acked+credit)
}

// snapshot returns how many batches are acknowledged and the credit granted last.
func (w *window) snapshot() (acked, credit uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == 0 {
		return 0, w.credit
	}
	return w.first - 1, w.credit
}
