package ingest

import (
	"context"
	"sync"
)

// pending holds the batches of a connection that are read and not being stored yet. run adds; the storer, a goroutine that
// lives while there are any, takes.
type pending struct {
	mu     sync.Mutex // guards items and works
	items  []*item
	works  bool          // a storer is at work
	room   chan struct{} // holds a token when items were taken
	storer sync.WaitGroup
}

func newPending() pending { return pending{room: make(chan struct{}, 1)} }

// hand gives it to the storer, when there is room.
func (c *conn) hand(it *item) error {
	if c.pending.add(it, c.store) {
		return nil
	}
	c.held.Store(true)
	defer c.held.Store(false)
	for !c.pending.add(it, c.store) {
		select {
		case <-c.pending.room:
		case <-c.reading.Done():
			c.release(it)
			return context.Cause(c.reading)
		}
	}
	return nil
}

// add returns false when there is no room. It starts the storer unless one is at work.
func (p *pending) add(it *item, store func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.items) >= queueLen {
		return false
	}
	p.items = append(p.items, it)
	if !p.works {
		p.works = true
		p.storer.Go(store)
	}
	return true
}

// take moves batches of up to groupMax bytes, and at least one, to group: they are stored, and made durable, at once.
// With none left it says so, and the storer must end.
func (p *pending) take(group []*item) []*item {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, bytes := 0, uint64(0)
	for n < len(p.items) && bytes < groupMax {
		bytes += p.items[n].payload
		n++
	}
	if n == 0 {
		p.works, p.items = false, nil // an idle connection keeps no room for them
		return group
	}
	group = append(group, p.items[:n]...)
	left := copy(p.items, p.items[n:])
	clear(p.items[left:])
	p.items = p.items[:left]
	select {
	case p.room <- struct{}{}:
	default:
	}
	return group
}
