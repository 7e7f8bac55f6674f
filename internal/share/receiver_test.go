package share_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/share"
)

var errAway = errors.New("nobody answers")

// site is all receivers, and who has proved to hold what.
type site struct {
	t         testing.TB
	mu        sync.Mutex           // guards everything of receivers too
	receivers map[string]*receiver // by address
	answered  map[uint64]bool      // sequences that a receiver has answered for while it held them
	copies    map[uint64]map[place]bool
	told      map[uint64]bool // sequences of gaps that were stored
}

// place is where a chunk was stored, and under which name.
type place struct {
	r *receiver
	s record.Stream
}

// receiver keeps one mark for each stream and drops what that covers, as ingest does.
type receiver struct {
	site  *site
	name  string
	id    record.SenderID
	up    bool
	delay time.Duration // for a batch
	marks map[record.Stream]uint64
	holds map[uint64]bool
	order map[uint64]uint64 // of a handle: the sequence stored last
	epoch map[uint64]uint64
	bad   map[uint64]bool // sequences that it refuses
	conns map[*conn]bool
	lives int // connections that still store something
	idle  chan struct{}
	again bool // it demands a new epoch once
}

func newSite(t testing.TB, names ...string) *site {
	s := &site{t: t, receivers: map[string]*receiver{}, answered: map[uint64]bool{}, copies: map[uint64]map[place]bool{}, told: map[uint64]bool{}}
	for i, name := range names {
		s.receivers[name] = &receiver{site: s, name: name, id: record.SenderID{byte(i + 1)}, up: true, bad: map[uint64]bool{}, conns: map[*conn]bool{}}
		s.receivers[name].wipe()
	}
	return s
}

// wipe is another receiver with an empty disk at the same address.
func (r *receiver) wipe() {
	r.marks, r.holds, r.order, r.epoch = map[record.Stream]uint64{}, map[uint64]bool{}, map[uint64]uint64{}, map[uint64]uint64{}
}

// set lets a receiver come or go; going cuts its connections.
func (s *site) set(name string, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.receivers[name]
	r.up = up
	if !up {
		for c := range r.conns {
			c.cut(errAway)
		}
	}
}

// put stores chunks. Called with mu held.
func (r *receiver) put(list []record.Chunk) error {
	for i := range list {
		c := &list[i]
		st := c.Source.Stream
		if c.Seq <= r.marks[st] {
			continue
		}
		if r.bad[c.Seq] && c.Gap == nil {
			return record.ErrRefused
		}
		r.marks[st] = c.Seq
		if c.Gap != nil {
			r.site.told[c.Seq] = true
			r.holds[c.Seq] = true
			continue
		}
		r.holds[c.Seq] = true
		if last := r.order[c.Handle]; c.Seq <= last && r.epoch[c.Handle] == st.Epoch {
			r.site.t.Errorf("receiver %s, handle %d: got sequence %d behind %d", r.name, c.Handle, c.Seq, last)
		}
		r.order[c.Handle], r.epoch[c.Handle] = c.Seq, st.Epoch
		if r.site.copies[c.Seq] == nil {
			r.site.copies[c.Seq] = map[place]bool{}
		}
		r.site.copies[c.Seq][place{r, st}] = true
	}
	return nil
}

// answer is about to acknowledge chunks. Called with mu held.
func (r *receiver) answer(list []record.Chunk) {
	for i := range list {
		seq := list[i].Seq
		if !r.holds[seq] && !r.site.answered[seq] {
			r.site.t.Errorf("receiver %s: sequence %d counts as acknowledged, nobody holds it", r.name, seq)
		}
		r.site.answered[seq] = true
	}
}

// conn is a member's connection, as an uplink keeps it.
type conn struct {
	r       *receiver
	lane    *share.Lane
	ctx     context.Context
	cut     context.CancelCauseFunc
	giving  context.Context
	halt    context.CancelFunc
	mu      sync.Mutex // held over Ack
	pending int        // batches under way; guarded by mu
	closed  bool
	under   chan record.Batch
	refused uint64 // position of the batch; set before the cut
}

// connect is the Run of a Share whose members are receivers of the site.
func (l *life) connect(ctx context.Context, m share.Member, lane *share.Lane) error {
	limit := int64(1 << 20)
	for ctx.Err() == nil {
		lane.Rewind()
		err := l.session(ctx, m, lane, &limit)
		if ctx.Err() != nil {
			err = nil
		}
		lane.Down(err)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func (l *life) session(ctx context.Context, m share.Member, lane *share.Lane, limit *int64) error {
	s := l.site
	c, err := s.dial(ctx, m.Address, lane)
	if err != nil {
		return err
	}
	defer close(c.under)
	defer c.close()
	asked := l.share.Streams(l.backlog.streams())
	s.mu.Lock()
	again := c.r.again
	c.r.again = false
	var marks []record.Durable
	for _, st := range asked {
		if seq := c.r.marks[st]; seq > 0 {
			marks = append(marks, record.Durable{Stream: st, Seq: seq})
		}
	}
	id := c.r.id
	for seq := range c.r.holds { // WELCOME answers for it
		s.answered[seq] = true
	}
	s.mu.Unlock()
	if again {
		_, err := lane.NewEpoch()
		return err
	}
	if err := lane.Up(id, marks); err != nil {
		return err
	}
	if err = c.send(*limit); !errors.Is(err, record.ErrRefused) {
		return err
	}
	if *limit > 1 {
		*limit = 1 // to find which
		return err
	}
	*limit = 1 << 20
	if err := lane.Drop(c.refused, c.refused, record.Refused); err != nil {
		return err
	}
	return err
}

func (s *site) dial(ctx context.Context, address string, lane *share.Lane) (*conn, error) {
	s.mu.Lock()
	r := s.receivers[address]
	for r != nil && r.up && r.lives > 0 { // the former connection is replaced, and what it brought is still being stored
		for c := range r.conns {
			c.cut(errAway)
		}
		idle := r.idle
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-idle:
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if r == nil || !r.up {
		return nil, errAway
	}
	c := &conn{r: r, lane: lane, under: make(chan record.Batch, 3)}
	c.ctx, c.cut = context.WithCancelCause(context.WithoutCancel(ctx))
	c.giving, c.halt = context.WithCancel(c.ctx)
	context.AfterFunc(ctx, c.halt)
	r.conns[c] = true
	r.lives++
	r.idle = make(chan struct{})
	go c.receive()
	return c, nil
}

// send gives what the receiver lacks until nothing more is to be given, and waits for what is under way.
func (c *conn) send(limit int64) error {
	for {
		b, err := c.lane.Next(c.giving, limit)
		if err != nil {
			break
		}
		c.mu.Lock()
		c.pending++
		c.mu.Unlock()
		select {
		case c.under <- b:
		case <-c.ctx.Done():
		}
	}
	c.empty()
	return context.Cause(c.ctx)
}

// empty waits until nothing is under way, at most some time.
func (c *conn) empty() {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && c.ctx.Err() == nil; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		done := c.pending == 0
		c.mu.Unlock()
		if done {
			return
		}
	}
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut(nil)
	c.halt()
	c.closed = true
}

// receive is the receiver's side. What lies in its socket when the connection ends, it may store or not.
func (c *conn) receive() {
	s := c.r.site
	rest := 0
	for b := range c.under {
		s.mu.Lock()
		delay := c.r.delay
		s.mu.Unlock()
		time.Sleep(delay)
		if c.ctx.Err() != nil {
			if rest++; rest > int(delay)%4 {
				continue
			}
		}
		s.mu.Lock()
		err := c.r.put(b.Chunks)
		s.mu.Unlock()
		if err != nil {
			if c.ctx.Err() == nil {
				c.refused = b.First
			}
			c.cut(err)
			rest = 4
		}
		if err == nil && rest == 0 {
			c.ack(b)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(c.r.conns, c)
	if c.r.lives--; c.r.lives == 0 {
		close(c.r.idle)
	}
}

func (c *conn) ack(b record.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.ctx.Err() != nil {
		return
	}
	c.r.site.mu.Lock()
	c.r.answer(b.Chunks)
	c.r.site.mu.Unlock()
	c.pending--
	if err := c.lane.Ack(b.Last, record.Durable{}); err != nil {
		c.r.site.t.Error(err)
	}
}

// leave has a receiver say that it goes; it does when all is done.
func (s *site) leave(name string) {
	s.mu.Lock()
	var list []*conn
	for c := range s.receivers[name].conns {
		list = append(list, c)
	}
	s.receivers[name].up = false
	s.mu.Unlock()
	for _, c := range list {
		c.mu.Lock()
		if !c.closed {
			c.lane.Leaving()
		}
		c.mu.Unlock()
		c.halt()
	}
}

// life is one life of the sending process.
type life struct {
	site    *site
	backlog *backlog
	share   *share.Share
	stop    context.CancelFunc
	ended   chan error
}

func (s *site) live(st *store, o share.Options, members []share.Member) *life {
	l := s.prepare(st.open(), o, members)
	l.begin()
	return l
}

// prepare makes what shares a backlog out, for begin.
func (s *site) prepare(b *backlog, o share.Options, members []share.Member) *life {
	l := &life{site: s, backlog: b, ended: make(chan error, 1)}
	o.Backlog, o.Sender, o.Handed, o.Run = l.backlog, self, l.backlog.sent, l.connect
	var err error
	if l.share, err = share.New(o); err != nil {
		s.t.Fatal(err)
	}
	if err := l.share.SetMembers(members); err != nil {
		s.t.Fatal(err)
	}
	return l
}

func (l *life) begin() {
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	go func() { l.ended <- l.share.Run(ctx) }()
}

func (l *life) end() {
	l.stop()
	if err := <-l.ended; err != nil {
		l.site.t.Error(err)
	}
}

// kill ends the process in the middle of all.
func (l *life) kill(rng *rand.Rand) {
	l.backlog.kill(rng.Uint64N(20))
	l.site.mu.Lock()
	for _, r := range l.site.receivers {
		for c := range r.conns {
			c.cut(errors.New("killed"))
		}
	}
	l.site.mu.Unlock()
	l.end()
}

// await waits until all is acknowledged.
func (l *life) await(what string) {
	for end := time.Now().Add(30 * time.Minute); !l.backlog.done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			l.site.t.Fatalf("%s: not all is acknowledged; %+v", what, l.share.Status())
		}
	}
}

// quiet waits until receivers have stored what is left of connections that have ended.
func (s *site) quiet() {
	for _, r := range s.receivers {
		s.mu.Lock()
		lives, idle := r.lives, r.idle
		s.mu.Unlock()
		if lives > 0 {
			<-idle
		}
	}
}

func (s *site) doubles() (n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.copies {
		n += uint64(len(at) - 1)
	}
	return n
}

// complete checks that a receiver has answered for everything that was not dropped.
func (s *site) complete(st *store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for seq := uint64(1); seq <= st.seq; seq++ {
		if !s.answered[seq] && !st.lost[seq] {
			s.t.Errorf("sequence %d was lost", seq)
		}
	}
	for _, e := range st.entries {
		if e[0].Gap != nil && !s.told[e[0].Seq] {
			s.t.Errorf("the gap up to sequence %d was told to nobody", e[0].Seq)
		}
	}
}

func members(names ...string) (list []share.Member) {
	for _, n := range names {
		list = append(list, share.Member{Name: n, Address: n})
	}
	return list
}
