package ingest

import (
	"sync"
	"time"

	"ftfuse/internal/wire"
)

// keeper pings, so that the peer knows us alive also while the output keeps us from reading. It is a timer, as a goroutine
// that sleeps costs some KiB.
type keeper struct {
	mu    sync.Mutex // held while a ping is written
	timer *time.Timer
	ended bool
}

func (c *conn) startPings() {
	c.keeper.mu.Lock()
	defer c.keeper.mu.Unlock()
	c.keeper.timer = time.AfterFunc(c.s.o.IdleTimeout/3, c.ping)
}

// stopPings waits for a ping that is being written.
func (c *conn) stopPings() {
	c.keeper.mu.Lock()
	defer c.keeper.mu.Unlock()
	c.keeper.ended = true
	c.keeper.timer.Stop()
}

func (c *conn) ping() {
	c.keeper.mu.Lock()
	defer c.keeper.mu.Unlock()
	if c.keeper.ended {
		return
	}
	now := time.Now().UnixNano()
	c.pinged.Store(now)
	if c.write(wire.Ping{Token: uint64(now)}) == nil {
		c.keeper.timer.Reset(c.s.o.IdleTimeout / 3)
	}
}
