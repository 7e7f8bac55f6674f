package uplink_test

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// slowLink is a connection that lets so many bytes a second out.
type slowLink struct {
	net.Conn
	rate int

	mu  sync.Mutex
	end time.Time // of writing
}

func (c *slowLink) SetDeadline(t time.Time) error {
	_ = c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

func (c *slowLink) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = t
	return nil
}

func (c *slowLink) Write(b []byte) (n int, err error) {
	c.mu.Lock()
	end := c.end
	c.mu.Unlock()
	for n < len(b) {
		piece := b[n:min(n+16<<10, len(b))]
		takes := time.Duration(len(piece)) * time.Second / time.Duration(c.rate)
		if !end.IsZero() && time.Until(end) < takes {
			time.Sleep(time.Until(end))
			return n, os.ErrDeadlineExceeded
		}
		time.Sleep(takes)
		m, err := c.Conn.Write(piece)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// A link on which a whole batch takes longer than writing may: batches become small enough for it, and all arrives.
func TestSlowLink(t *testing.T) {
	p := newPair(t)
	p.options.WriteTimeout = 1100 * time.Millisecond // the smallest batches take a thirteenth of it
	p.options.Dial = func(ctx context.Context) (net.Conn, error) {
		nc, err := p.dial(ctx)
		if err != nil {
			return nil, err
		}
		return &slowLink{Conn: nc, rate: 800 << 10}, nil
	}
	p.receive()
	want := fill(p.backlog, p.spools, 40, 3, 10_000) // 1.2 MB, in entries of 30 kB
	p.send()
	p.delivered()
	p.arrived(want)
	if st := p.up.Status(); st.Failures == 0 {
		t.Errorf("got %+v, want a connection that failed on a batch of 1 MiB, or nothing was tested", st)
	}
}
