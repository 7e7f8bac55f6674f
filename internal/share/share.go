package share

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ftfuse/internal/record"
)

// Policy says which of a target's members gets what.
type Policy uint8

const (
	Failover Policy = iota // all to the first member that is well
	Balance                // by weight and least backlog
	Hash                   // by a key of the chunk and the members' weights: rendezvous hashing
)

func (p Policy) String() string { return [...]string{"failover", "balance", "hash"}[min(p, Hash)] }

// Options of a Share. Zero values take the defaults in brackets.
type Options struct {
	Policy  Policy
	Backlog record.Backlog  // of the target; nobody else may use it
	Sender  record.SenderID // the id that this sender's own streams bear in Backlog
	// Handed says when Run begins which is the last position that may have been sent before, in an earlier life of the process
	// or by whoever had the backlog until now [0]. What lies up to there and no member proves to hold may be doubled.
	Handed func() uint64
	Key    func(*record.Chunk) string // of Hash: what decides where a chunk goes; the same in every life for the same chunk
	By     string                     // of Hash: Key's name

	Replicas    int           // of Hash: how many others may stand in for a member that is away; 0: all
	HandOver    time.Duration // how long a member may be away before others stand in [10 s]
	ReturnAfter time.Duration // how long it must be well before it takes back [30 s]
	Bound       int64         // bytes that one member may hold, unacknowledged ones and what a chunk takes in memory included [24 MiB]

	// Run keeps a member's connection, with lane as its backlog and watcher, until ctx ends. It returns nil then, after what
	// was under way. Any other return ends the Share.
	Run    func(ctx context.Context, m Member, lane *Lane) error
	Logger *slog.Logger // [slog.Default()]
}

// Member is a receiver of a target. One whose address changes is another member.
type Member struct {
	Name    string // unique in its target
	Address string // for Run and for people
	Weight  int    // of Balance and Hash, relative to the others' [1]
}

// overhead is what a chunk takes in memory beside payload, roughly, in bytes.
const overhead = 512

// Share takes what waits in one backlog and gives it to the members of a target, each of which has a Lane. It acknowledges
// the backlog when all up to a position is acknowledged by whoever had it. docs/targets.md says what it promises and why.
//
// Two goroutines and one per member belong to Run: dispatch alone reads and turns the backlog, mind alone follows time.
// Everything else happens under mu, in whoever brings the news.
type Share struct {
	o     Options
	parts []*part                  // their number never changes
	own   map[record.SenderID]bool // own ids of parts

	acking sync.Mutex // held over Backlog.Ack and a rewind, before mu

	mu        sync.Mutex // guards everything below, and the fields of members, parts, lanes
	members   []*member  // in the order of the configuration; those that are leaving stay until they have ended
	taken     []*taken   // what was read and is not acknowledged, in order
	done      uint64     // all up to here is acknowledged by members
	committed uint64     // and by us, to the backlog
	given     uint64     // what was read up to here is with members
	handed    uint64     // what Options.Handed has said
	doubt     span       // positions that may have been sent before, nobody knows to whom, or under another name
	maybe     uint64     // positions up to here may have been sent before
	suspect   uint64     // positions up to here are read one by one: one of them was refused or is damaged
	top       uint64     // position read last
	held      holdings
	renamed   uint64 // epoch that a member demanded last; 0: none did
	frozen    bool   // lanes give nothing out: what they hold is about to be taken back
	acts      []*act
	interrupt context.CancelFunc // of dispatch's reading
	running   bool
	ctx       context.Context // of the members' connections; set by Run
	err       error
	count     Counters

	reading chan struct{} // one token: dispatch has something to look at
	minding chan struct{} // one token: mind has
	stop    context.CancelCauseFunc
	wg      sync.WaitGroup // members' connections
}

// taken is a run of positions that was read from the backlog.
type taken struct {
	first, last uint64
	left        int  // entries that are not acknowledged, and one while it is being given out
	single      bool // it is one position that the backlog has something at
}

// span is a run of positions.
type span struct{ first, last uint64 }

// act is something that only dispatch may do, as a member asked for it.
type act struct {
	do   func() error
	done chan error
}

// New checks the options. It starts nothing.
func New(o Options) (*Share, error) {
	if o.Backlog == nil || o.Run == nil || o.Policy > Hash {
		return nil, fmt.Errorf("new share: got policy %d and no backlog or run, want both, and a policy up to %d", o.Policy, Hash)
	}
	if o.Policy == Hash && (o.Key == nil || o.By == "") {
		return nil, errors.New("new share: got no key to hash by, want one and its name")
	}
	if o.HandOver < 0 || o.ReturnAfter < 0 || o.Bound < 0 || o.Replicas < 0 {
		return nil, fmt.Errorf("new share: got hand-over %v, return after %v, bound %d, replicas %d, want none below 0", o.HandOver, o.ReturnAfter, o.Bound, o.Replicas)
	}
	o.HandOver = or(o.HandOver, 10*time.Second)
	o.ReturnAfter = or(o.ReturnAfter, 30*time.Second)
	o.Bound = or(o.Bound, 24<<20)
	if o.Handed == nil {
		o.Handed = func() uint64 { return 0 }
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Share{o: o, own: map[record.SenderID]bool{},
		reading: make(chan struct{}, 1), minding: make(chan struct{}, 1)}
	for n := range o.parts() {
		s.parts = append(s.parts, newPart(n, o.label(n)))
		s.own[s.parts[n].id(o.Sender)] = true
	}
	return s, nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Run gives out what comes until ctx ends; then the members finish what is under way. It returns nil then, or the error of
// a backlog that is closed.
func (s *Share) Run(ctx context.Context) error {
	lives, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	handed := s.o.Handed() // not before: another Share may have had the backlog since New
	acked, _ := s.o.Backlog.Acked()
	s.mu.Lock()
	s.ctx, s.stop, s.running = lives, stop, true
	s.handed, s.maybe, s.doubt = handed, handed, span{1, handed}
	s.committed, s.done, s.top, s.given = acked, acked, acked, acked
	s.mu.Unlock()
	s.o.Backlog.Rewind()
	var minder sync.WaitGroup
	minder.Go(func() { s.mind(lives) })
	ended := make(chan struct{})
	go func() { // ends with the last connection, which dispatch waits for
		minder.Wait()
		s.wg.Wait()
		close(ended)
	}()
	s.dispatch(lives, ended)
	<-ended
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	if err := s.err; err != nil {
		return fmt.Errorf("run share: %w", err)
	}
	return nil
}

// fail ends Run with an error. Called with mu held.
func (s *Share) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.stop(err)
}

// Own reports whether id is one of those under which the sender's own data travels here.
func (s *Share) Own(id record.SenderID) bool { return s.own[id] }

// Streams gives a list of the backlog's streams the ids that they have here, each part's.
func (s *Share) Streams(list []record.Stream) []record.Stream {
	named := make([]record.Stream, 0, len(list)*len(s.parts))
	for _, st := range list {
		for _, p := range s.parts {
			named = append(named, record.Stream{Sender: p.id(st.Sender), Epoch: st.Epoch})
		}
	}
	return named
}

// poke leaves a token.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
