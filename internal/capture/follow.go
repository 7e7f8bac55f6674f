package capture

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

const (
	hotPoll   = time.Millisecond       // a spool that grows is looked at this often: polling costs its writer nothing
	coolAfter = 300 * time.Millisecond // a spool that has not grown for so long is watched instead
	tidyEvery = 200 * time.Millisecond
	leaseWait = time.Second // how often the kernel is asked whether an adopted spool is still open
	window    = record.MaxChunk
	perTurn   = 16      // windows of one spool before the next has its turn
	maxBatch  = 4096    // chunks that are registered together
	maxHeld   = 1 << 18 // extents or marks of partial records, of all streams: about 10 MiB
	ageEvery  = 10 * time.Millisecond
)

// pass is the follower's state; only its goroutine uses it.
type pass struct {
	pulse     *pulse.Pulse
	buf       []byte
	batch     []record.Chunk
	bytes     int64
	hot       map[*raw]*tail
	order     []*raw  // hot ones in the order of their opening: of two handles on one file, the earlier comes first
	looking   []*raw  // order as it was when the turn began
	partly    []*File // of which a closed handle has left more than a turn's: what later ones have written waits for it
	idle      map[*raw]*tail
	segs      []*segment // in order of making
	streams   map[uint64]*stream
	loud      []*stream // streams that were fed since the last flush, in that order
	aging     []*stream // streams in which something waits
	aged      time.Time // when those were looked at
	due       time.Time // when the first of them is to be; zero: none is
	grown     int       // extents and marks that came to wait since then
	shed      shed
	patterns  patterns
	ended     []*raw // read to the end, which is not registered yet
	watch     *watcher
	tidied    time.Time
	since     int64 // bytes registered since then
	retry     time.Duration
	untrimmed map[*File]bool // views that hold what may go as soon as it is released
	pressed   bool           // room is short: nothing is kept for readers
	round     uint64         // of housekeeping
	dropAt    time.Time      // when the queue is asked again for data to drop
	dropped   int64          // bytes dropped and not yet spoken of
	dropSaid  time.Time
	graves    []uint64         // spools whose deletion may not be on disk yet
	buried    time.Time        // when graves was empty last
	older     int              // segments of earlier processes that are not read to the end
	sources   []*record.Source // of earlier boots
	changed   map[*File]bool   // views that are not saved
	fading    map[*File]bool   // files to forget when no spool tells of them any more
	picked    bool             // of which some say how far a file below the mount is taken
	saveAt    time.Time        // when they may be saved
}

// tail is the follower's view of one raw spool.
type tail struct {
	s     *stream
	grown time.Time // when it last grew
	asked time.Time // when the lease was last tried
	fresh bool      // no byte seen yet: the writer may still exec
	fails int       // reads that failed in a row
	again time.Time // when the next may be tried
}

func (p *pass) init() {
	p.pulse = new(pulse.Pulse) // nobody watches before Run
	p.buf, p.patterns = make([]byte, window), patterns{}
	p.hot, p.idle = map[*raw]*tail{}, map[*raw]*tail{}
	p.streams, p.untrimmed, p.changed, p.fading = map[uint64]*stream{}, map[*File]bool{}, map[*File]bool{}, map[*File]bool{}
}

// Run follows the spools until ctx ends, then registers what is there and returns.
func (c *Capture) Run(ctx context.Context) error {
	w, err := newWatcher(c.wakeUp)
	if err != nil {
		c.o.Logger.Warn("no inotify: idle spools are polled", "error", err)
	}
	c.pass.watch, c.pass.pulse = w, c.o.Pulses.Join("capture")
	defer c.o.Pulses.Leave(c.pass.pulse)
	defer w.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		c.pass.pulse.Begin()
		busy := c.turn(ctx, time.Now())
		c.pass.pulse.End()
		timer.Reset(c.pause(busy))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.wake:
		}
	}
	return c.finish()
}

// pause returns how long the follower may sleep. Looking at very many hot spools is done less often: 128 of them cost
// about 50 us.
func (c *Capture) pause(busy bool) time.Duration {
	switch {
	case busy:
		return 0
	case len(c.pass.hot) > 0:
		return hotPoll * time.Duration(1+len(c.pass.hot)/128)
	case len(c.pass.idle) > 0 && c.pass.watch == nil:
		return 50 * time.Millisecond
	}
	return c.pass.patience(time.Now())
}

// turn looks at everything once. busy says that more is waiting.
func (c *Capture) turn(ctx context.Context, now time.Time) (busy bool) {
	p := &c.pass
	c.arrivals(now)
	busy = c.readLog(ctx, now)
	p.looking = append(p.looking[:0], p.order...) // when the queue refuses, housekeeping is done between, by which idle spools become hot
	for _, r := range p.looking {
		t := p.hot[r]
		if t == nil || len(p.partly) > 0 && slices.Contains(p.partly, r.file) {
			continue
		}
		p.pulse.Beat()
		if c.readRaw(ctx, r, t, now) {
			busy = true
			if r.released.Load() && r.file != nil {
				p.partly = append(p.partly, r.file)
			}
		}
	}
	clear(p.looking)
	clear(p.partly)
	p.partly = p.partly[:0]
	if len(p.order) > len(p.hot) {
		p.order = slices.DeleteFunc(p.order, func(r *raw) bool { return p.hot[r] == nil })
	}
	c.flushStreams(now)
	c.put(ctx)
	c.settle(now)
	if now.Sub(p.tidied) >= tidyEvery || c.o.MaxSize > 0 && p.since > c.o.MaxSize/16 {
		p.tidied, p.since = now, 0
		c.tidy(now)
	}
	return busy
}

// arrivals takes over new and released spools, new log segments, and spools that woke.
func (c *Capture) arrivals(now time.Time) {
	p := &c.pass
	c.mu.Lock()
	lost, tails := c.lost, c.tail
	c.lost, c.tail = nil, nil
	clear(c.lostAt)
	c.mu.Unlock()
	p.segs = append(p.segs, c.log.take()...)
	for _, h := range tails {
		if c.log.finish(h) != nil {
			c.later(h)
		}
	}
	c.add(lost)
	c.rouse(now)
}

// rouse has all spools polled that are new, released, or written to after a rest.
func (c *Capture) rouse(now time.Time) {
	p := &c.pass
	c.mu.Lock()
	ev := c.events
	c.events = nil
	c.mu.Unlock()
	for _, r := range ev {
		c.heat(r, now)
	}
	// After the new ones were taken: else what was written before one of them was opened could come behind it.
	woken, all := p.watch.woken()
	if all { // the kernel had no room for its events
		for r := range p.idle {
			woken = append(woken, r)
		}
	}
	for _, r := range woken {
		c.heat(r, now)
	}
}

// heat makes a spool one that is polled.
func (c *Capture) heat(r *raw, now time.Time) {
	p := &c.pass
	if p.hot[r] != nil || slices.Contains(p.ended, r) {
		return
	}
	t := p.idle[r]
	if t == nil {
		r.mu.Lock()
		gone, seen := r.done, r.seen
		r.mu.Unlock()
		if gone {
			return
		}
		t = &tail{s: c.streamFor(r.meta, uint64(seen)), fresh: seen == 0}
	}
	delete(p.idle, r)
	p.watch.forget(r)
	t.grown, t.asked = now, now
	p.hot[r] = t
	if i, found := slices.BinarySearchFunc(p.order, r, func(a, b *raw) int { return cmp.Compare(a.id, b.id) }); !found {
		p.order = slices.Insert(p.order, i, r)
	}
}

// readRaw feeds what has been appended. busy says that it stopped before the end, for others to have their turn.
func (c *Capture) readRaw(ctx context.Context, r *raw, t *tail, now time.Time) (busy bool) {
	released := r.released.Load() // before the size: what is there then is all
	if now.Before(t.again) {
		return false
	}
	size, err := r.size()
	if err == nil && r.seen < size {
		err = r.warm()
	}
	if err != nil {
		c.unreadable(r, t, 0, now, err)
		return false
	}
	for n := 0; r.seen < size; n++ {
		if c.stuck(ctx) {
			return false
		}
		if n == perTurn {
			return true
		}
		buf := c.pass.buf[:min(size-r.seen, t.step())]
		if err := r.readAt(buf, r.seen); err != nil {
			c.unreadable(r, t, len(buf), now, err)
			return false
		}
		t.fails = 0
		if t.fresh {
			t.fresh = false
			w := *c.o.Refresh(&r.meta.Writer)
			r.meta.Writer = w
		}
		c.show(r)
		at := piece{spool: r.id, off: r.seen, data: buf, at: time.Now().UnixNano(), writer: &r.meta.Writer}
		c.feed(ctx, t.s, at, now)
		r.mu.Lock()
		r.seen += int64(len(buf))
		r.mu.Unlock()
		t.grown = now
	}
	if released {
		c.endRaw(r, t)
	} else if now.Sub(t.grown) >= coolAfter {
		c.cool(r, t, now)
	}
	return false
}

// step returns how much is read at once: after a failure only a block, so that no more is given up than is bad.
func (t *tail) step() int64 {
	if t.fails > 0 {
		return block
	}
	return window
}

// maxFails is how often a block is tried, once a second, before it is given up.
const maxFails = 30

// unreadable waits for a disk that fails, and in the end gives up n bytes, counted.
func (c *Capture) unreadable(r *raw, t *tail, n int, now time.Time, err error) {
	if t.fails == 0 {
		c.o.Logger.Error("spool cannot be read", notice.SpoolUnreadable, "error", err)
	}
	t.fails++
	t.again = now.Add(time.Second)
	if t.fails <= maxFails || n == 0 {
		return
	}
	c.damaged(r.path, err)
	c.hole(t.s, uint64(n))
	r.free(r.seen, r.seen+int64(n))
	r.mu.Lock()
	r.seen += int64(n)
	r.mu.Unlock()
}

// show lets readers of the file see what the spool holds.
func (c *Capture) show(r *raw) {
	if f := r.file; f != nil {
		f.mu.Lock()
		f.lookAt(r)
		f.mu.Unlock()
	}
}

// stuck reports whether the follower is to stop and the queue does not take what it has: no more is read then.
func (c *Capture) stuck(ctx context.Context) bool { return c.pass.bytes >= window && ctx.Err() != nil }

// endRaw emits the rest of a spool that no writer holds. What it emits is registered at the end of the turn.
func (c *Capture) endRaw(r *raw, t *tail) {
	c.flushLoud() // what is before it goes first
	c.add(t.s.end(nil))
	delete(c.pass.hot, r)
	c.pass.ended = append(c.pass.ended, r)
}

// cool stops polling a quiet spool. Adopted spools, whose RELEASE nobody will see, are asked for by lease.
func (c *Capture) cool(r *raw, t *tail, now time.Time) {
	if r.adopted.Load() && now.Sub(t.asked) >= leaseWait {
		t.asked = now
		if held, err := r.held(); err != nil {
			c.o.Logger.Error("spool cannot be leased", "error", err)
		} else if !held {
			r.released.Store(true) // the next look sees the end
			return
		}
	}
	if t.s.waits() {
		return // what waits must age
	}
	if !c.pass.watch.add(r) && c.pass.watch != nil {
		t.grown = now // no room for a watch: polled on
		return
	}
	r.rest()
	delete(c.pass.hot, r)
	c.pass.idle[r] = t
	if size, err := r.size(); err == nil && size > r.seen { // grown before the watch was there
		c.heat(r, now)
	}
}

// feed gives bytes to a stream and registers when enough has come together.
func (c *Capture) feed(ctx context.Context, s *stream, p piece, now time.Time) {
	had := s.cost()
	c.add(s.feed(p, now, nil))
	if !s.loud {
		s.loud = true
		c.pass.loud = append(c.pass.loud, s)
	}
	if c.pass.grown += max(s.cost()-had, 0); c.pass.grown > maxHeld {
		c.ageStreams(now)
	}
	if c.pass.bytes >= window || len(c.pass.batch) >= maxBatch {
		c.put(ctx)
	}
}

func (c *Capture) add(chunks []record.Chunk) {
	if len(chunks) == 0 {
		return
	}
	chunks = c.o.Refine(chunks)
	for i := range chunks {
		c.pass.bytes += int64(chunks[i].Len)
	}
	c.pass.batch = append(c.pass.batch, chunks...)
}

// flushLoud emits the complete records of the streams that were fed.
func (c *Capture) flushLoud() {
	p := &c.pass
	for _, s := range p.loud {
		c.add(s.flush(nil))
		s.loud = false
		if !s.aging && s.waits() {
			s.aging = true
			p.aging = append(p.aging, s)
			p.dueBy(s.due())
		}
	}
	p.loud = p.loud[:0]
}

// flushStreams emits the complete records of all streams, and what has waited long enough.
func (c *Capture) flushStreams(now time.Time) {
	c.flushLoud()
	if now.Sub(c.pass.aged) >= ageEvery {
		c.ageStreams(now)
	}
}

// settle marks spools whose end is registered.
func (c *Capture) settle(now time.Time) {
	p := &c.pass
	if len(p.batch) > 0 {
		return
	}
	c.giveBackShed(now)
	for _, r := range p.ended {
		r.rest()
		r.mu.Lock()
		r.done = true
		r.mu.Unlock()
		if r.file != nil {
			r.file.unlive(r)
		}
	}
	p.ended = p.ended[:0]
}

// finish registers what is there, when nothing will be written any more.
func (c *Capture) finish() error {
	c.log.seal(true)
	ctx, cancel := context.WithTimeout(context.Background(), c.o.Stop)
	defer cancel()
	now := time.Now()
	for c.turn(ctx, now) && ctx.Err() == nil {
	}
	c.releaseAll(ctx, now)
	if n := len(c.pass.batch); n > 0 {
		return fmt.Errorf("stop capture: %d chunks not registered; they wait in the spools: %w", n, ctx.Err())
	}
	c.tidy(time.Now())
	return c.saveAll()
}
