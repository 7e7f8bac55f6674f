package uplink

import (
	"sync/atomic"
	"time"
)

// smallBatch is what a batch has at most, in payload bytes, while nothing larger is known to get through: a link of a few KiB/s
// carries it within WriteTimeout, and within what a receiver allows for a frame.
const smallBatch = 64 << 10

// batchSize is how large batches may be now. On a link that is too slow for the largest ones no connection would ever get
// anything through; so one that got nothing through makes them small, and batches that are acknowledged soon make them larger.
type batchSize struct {
	most int           // Options.Batch
	soon time.Duration // an acknowledgement within this leaves room for twice as much
	now  atomic.Int64
}

func newBatchSize(most int, timeout time.Duration) *batchSize {
	b := &batchSize{most: most, soon: timeout / 8}
	b.now.Store(int64(most))
	return b
}

func (b *batchSize) get() int { return int(b.now.Load()) }

// stuck notes a connection that ended with batches under way, of which none was acknowledged.
func (b *batchSize) stuck() { b.now.Store(int64(min(smallBatch, b.most))) }

// acked notes that a batch was acknowledged so long after it was begun. Only one connection's receiving goroutine calls it.
func (b *batchSize) acked(after time.Duration) {
	if n := b.now.Load(); n < int64(b.most) && after < b.soon {
		b.now.Store(min(2*n, int64(b.most)))
	}
}
