package ingest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ftfuse/internal/notice"
	"ftfuse/internal/wire"
)

// ahead is how much a peer with a rate may have under way: what passes in so much time. Its sender gives up what is not
// acknowledged in a minute.
const ahead = 10 * time.Second

// share is what the peers of one allowance have used of it. It stays while allowances change.
type share struct {
	connections int           // guarded by Server.mu
	limiter     *rate.Limiter // of bytes; its limit is Inf where there is none

	mu    sync.Mutex // guards what follows
	a     Allowance
	used  Usage
	spent bool // that the quota is used up has been said
}

// Usage is what was stored of a quota's period.
type Usage struct {
	Bytes int64     `json:"bytes"`
	Since time.Time `json:"since"` // the period's beginning: the first byte of it
}

func newShare() *share { return &share{limiter: rate.NewLimiter(rate.Inf, 0)} }

func (s *share) set(a Allowance) {
	limit, burst := rate.Inf, 0
	if a.Rate > 0 {
		limit, burst = rate.Limit(a.Rate), int(a.Rate)
	}
	if s.limiter.Limit() != limit {
		s.limiter.SetBurst(burst)
		s.limiter.SetLimit(limit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.a = a
}

// pay waits until n bytes more may come, or ctx ends.
func (s *share) pay(ctx context.Context, n int) error {
	for n > 0 && s.limiter.Limit() != rate.Inf {
		k := min(n, max(s.limiter.Burst(), 1))
		if err := s.limiter.WaitN(ctx, k); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// add counts what was stored, and reports whether that has used the quota up.
func (s *share) add(n uint64, now time.Time) (spent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.a.Quota == 0 {
		return false
	}
	if now.Sub(s.used.Since) >= s.a.Every || now.Before(s.used.Since) {
		s.used, s.spent = Usage{Since: now}, false
	}
	s.used.Bytes += int64(n)
	spent = !s.spent && s.used.Bytes >= s.a.Quota
	s.spent = s.spent || spent
	return spent
}

// bound lowers a credit to what the share allows now. why says why it is 0.
func (s *share) bound(credit uint64, now time.Time) (least uint64, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := s.a.Every - now.Sub(s.used.Since); s.a.Quota > 0 && s.used.Bytes >= s.a.Quota && left > 0 && !now.Before(s.used.Since) {
		return 0, fmt.Sprintf("peer %s has used its quota up: %d of %d bytes in %v; it goes on at %s, or when the quota is raised",
			s.a.Name, s.used.Bytes, s.a.Quota, s.a.Every, s.used.Since.Add(s.a.Every).Format(time.RFC3339))
	}
	if s.a.Rate > 0 {
		credit = min(credit, max(uint64(s.a.Rate)*uint64(ahead/time.Second), minCredit))
	}
	return credit, ""
}

// Usage returns what was stored of quotas, by allowance.
func (s *Server) Usage() map[string]Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Usage{}
	for name, sh := range s.shares {
		sh.mu.Lock()
		if sh.used.Bytes > 0 {
			all[name] = sh.used
		}
		sh.mu.Unlock()
	}
	return all
}

// Restore goes on with what Usage returned in another life. It comes before SetPeers and Serve.
func (s *Server) Restore(all map[string]Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, used := range all {
		sh := newShare()
		sh.used = used
		s.shares[name] = sh
	}
}

// pay has c wait until its peer may send n bytes more. Nothing is read meanwhile, so that they wait at the sender.
func (c *conn) pay(n int) error {
	e := c.entry.Load()
	if e.share == nil {
		return nil
	}
	c.held.Store(true)
	defer c.held.Store(false)
	if e.share.pay(c.reading, n) != nil && c.reading.Err() != nil {
		return context.Cause(c.reading)
	}
	return nil
}

// spend counts what c has stored against its quota.
func (c *conn) spend(bytes uint64) {
	if e := c.entry.Load(); e.share != nil && e.share.add(bytes, time.Now()) {
		_, why := e.share.bound(0, time.Now())
		c.s.o.Logger.Warn("quota of a peer is used up: its data waits at the senders", notice.PeerQuota, "peer", e.Name, "identity", c.who.Name, "detail", why)
	}
}

// grant tells the peer that everything through a batch is stored, and what may be under way from now on: nothing when its
// quota is used up. Then Regrant comes back to it. send makes the frame.
func (c *conn) grant(through uint64, send func(credit uint64) wire.Control) error {
	c.granting.Lock()
	defer c.granting.Unlock()
	return c.grantLocked(through, send)
}

func (c *conn) grantLocked(through uint64, send func(credit uint64) wire.Control) error {
	credit, why := c.s.credit(), ""
	if e := c.entry.Load(); e.share != nil {
		credit, why = e.share.bound(credit, time.Now())
	}
	c.window.grant(through, credit)
	c.through = through
	c.paused.Store(nil)
	if why != "" {
		c.paused.Store(&why)
	}
	return c.write(send(credit))
}

// Regrant gives credit to those whom a quota has left without, if it is over now. Whoever runs the server calls it about
// once a second. It returns when all have it or have been given up.
func (s *Server) Regrant() {
	s.mu.Lock()
	var paused []*conn
	for _, c := range s.peers {
		if c.paused.Load() != nil {
			paused = append(paused, c)
		}
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range paused {
		wg.Go(func() { _ = c.regrant() }) // failing, write ends the connection
	}
	wg.Wait()
}

func (c *conn) regrant() error {
	c.granting.Lock()
	defer c.granting.Unlock()
	if e := c.entry.Load(); c.paused.Load() == nil {
		return nil
	} else if e.share != nil {
		if _, why := e.share.bound(1, time.Now()); why != "" {
			return nil
		}
	}
	return c.grantLocked(c.through, func(credit uint64) wire.Control { return wire.Ack{Through: c.through, Credit: credit} })
}
