package queue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// backlog is a cursor or a branch, as tests read them.
type backlog interface {
	record.Backlog
	read(limit int64) (record.Batch, bool, error)
}

// sent is what was appended with one sequence.
type sent struct {
	targets []string
	off     int64 // of its extent; 0: none
	size    uint64
}

// dest is a destination that takes each sequence of a stream once, as ingest does by its mark: what comes after a later
// one of its stream is thrown away unseen.
type dest struct {
	name    string
	marks   map[uint64]uint64 // by epoch
	got     map[uint64]int    // by sequence
	gapped  map[uint64]bool
	renamed uint64            // sequences up to here may come twice: their epoch changed while they were under way
	way     [2][]record.Batch // under way, by lane
	taken   [2][]record.Batch // received and not acknowledged yet
}

// history is a sender's life with a few destinations.
type history struct {
	t        *testing.T
	rnd      *rand.Rand
	o        Options
	q        *Queue
	clock    clocks
	sent     map[uint64]sent
	released map[int64]bool
	dests    map[string]*dest
	branches int // that were begun
	joins    int
	bound    int64
}

func newHistory(t *testing.T, rnd *rand.Rand) *history {
	h := &history{t: t, rnd: rnd, sent: map[uint64]sent{}, released: map[int64]bool{}, dests: map[string]*dest{}}
	h.o = options(fastDir(t))
	h.o.SegmentEntries, h.o.CommitEvery = 1+rnd.IntN(12), time.Duration(rnd.IntN(2))*time.Hour
	h.clock = clocks{wall: time.Unix(1e9, 0)}
	h.clock.use(&h.o)
	h.o.Expire = func(string) time.Duration { return time.Hour }
	h.o.Bound = func(string) int64 { return h.bound }
	h.o.Release = func(list []record.Extent) {
		for _, e := range list {
			if h.released[e.Off] {
				t.Fatalf("extent %d was released twice", e.Off)
			}
			h.released[e.Off] = true
		}
	}
	h.open()
	for _, name := range []string{"a", "b"} {
		h.add(name)
	}
	return h
}

func (h *history) open() {
	h.q, _ = open(h.t, h.o)
	for _, d := range h.dests {
		d.disconnect(h)
	}
}

func (h *history) add(name string) {
	cursor(h.t, h.q, name)
	h.dests[name] = &dest{name: name, marks: map[uint64]uint64{}, got: map[uint64]int{}, gapped: map[uint64]bool{}}
}

// lane returns the cursor or the branch of d; nil where there is no branch.
func (h *history) lane(d *dest, i int) backlog {
	c := cursor(h.t, h.q, d.name)
	if i == 0 {
		return c
	}
	if b, ok := c.Branched().(*Branch); ok {
		return b
	}
	return nil
}

func (d *dest) disconnect(h *history) {
	for i := range 2 {
		d.way[i], d.taken[i] = nil, nil
		if b := h.lane(d, i); b != nil {
			b.Rewind()
		}
	}
}

func (h *history) append() {
	var chunks []record.Chunk
	var list []sent
	for range 1 + h.rnd.IntN(4) {
		c := inline([]string{"r", "s"}[h.rnd.IntN(2)], "text")
		s := sent{size: 4}
		if h.rnd.IntN(3) > 0 {
			s.off, s.size = int64(len(h.sent)+len(list)+1), 10
			c = spooled(c.File.Rule, 1, s.off, 10)
		}
		s.targets = [][]string{nil, nil, nil, {"a"}, {"b"}, {"nobody"}}[h.rnd.IntN(6)]
		c.Targets, c.Time = s.targets, h.clock.wall.UnixNano()
		chunks, list = append(chunks, c), append(list, s)
	}
	appendAll(h.t, h.q, chunks...)
	for i := range chunks {
		h.sent[chunks[i].Seq] = list[i]
	}
}

// read puts the next batch of a lane under way.
func (h *history) read(d *dest, i int, limit int64) bool {
	b := h.lane(d, i)
	if b == nil {
		return false
	}
	was := h.lane(d, 1) != nil
	batch, ok, err := b.read(limit)
	if err != nil {
		h.t.Fatal(err)
	}
	if was && h.lane(d, 1) == nil { // the rest of the old part was not for d
		h.join(d)
		i = 0
	}
	if !ok {
		return false
	}
	for k := range batch.Chunks {
		for _, e := range batch.Chunks[k].Extents {
			if h.released[e.Off] {
				h.t.Fatalf("%s reads sequence %d, whose room was given free", d.name, batch.Chunks[k].Seq)
			}
		}
	}
	d.way[i] = append(d.way[i], batch)
	return true
}

// arrive brings the oldest batch under way of a lane to its destination.
func (h *history) arrive(d *dest, i int) {
	if len(d.way[i]) == 0 {
		return
	}
	b := d.way[i][0]
	d.way[i], d.taken[i] = d.way[i][1:], append(d.taken[i], b)
	for k := range b.Chunks {
		h.put(d, &b.Chunks[k])
	}
}

func (h *history) put(d *dest, c *record.Chunk) {
	epoch, first := c.Source.Epoch, c.Seq
	if c.Gap != nil {
		first = c.Gap.First
	}
	known := func(seq uint64) bool { return d.got[seq] > 0 || d.gapped[seq] || !h.wants(d, seq) }
	if c.Seq <= d.marks[epoch] {
		for seq := first; seq <= c.Seq; seq++ {
			if !known(seq) {
				h.t.Fatalf("%s: lost sequence %d: epoch %d had come to %d already", d.name, seq, epoch, d.marks[epoch])
			}
		}
		return
	}
	d.marks[epoch] = c.Seq
	for seq := first; seq <= c.Seq; seq++ {
		switch {
		case c.Gap == nil:
			if d.got[seq]++; d.got[seq] > 1 && seq > d.renamed || d.gapped[seq] {
				h.t.Fatalf("%s: got sequence %d %d times, gap before %v", d.name, seq, d.got[seq], d.gapped[seq])
			}
		case h.wants(d, seq):
			if d.got[seq] > 0 && seq > d.renamed {
				h.t.Fatalf("%s: a gap %v denies sequence %d, which had come", d.name, c.Gap.Reason, seq)
			}
			d.gapped[seq] = true
		}
	}
}

func (h *history) wants(d *dest, seq uint64) bool {
	s := h.sent[seq]
	return s.targets == nil || slices.Contains(s.targets, d.name)
}

// ack acknowledges some of what a lane's destination has received.
func (h *history) ack(d *dest, i, n int) {
	b := h.lane(d, i)
	if n = min(n, len(d.taken[i])); n == 0 {
		return
	}
	if b == nil { // the two have joined
		b = h.lane(d, 0)
	}
	last := d.taken[i][n-1]
	d.taken[i] = d.taken[i][n:]
	c := &last.Chunks[len(last.Chunks)-1]
	was := h.lane(d, 1) != nil
	if err := b.Ack(last.Last, record.Durable{Stream: c.Source.Stream, Seq: c.Seq}); err != nil {
		h.t.Fatal(err)
	}
	if was && h.lane(d, 1) == nil { // the cursor goes on where the branch was
		h.join(d)
	}
}

// join has the cursor go on where the branch was.
func (h *history) join(d *dest) {
	h.joins++
	if len(d.way[0])+len(d.taken[0]) > 0 {
		h.t.Fatalf("%s: joined with %d batches of the old part under way", d.name, len(d.way[0])+len(d.taken[0]))
	}
	d.way[0], d.taken[0], d.way[1], d.taken[1] = d.way[1], d.taken[1], nil, nil
}

func (h *history) branch(d *dest) {
	c := cursor(h.t, h.q, d.name)
	was := c.Branched() != nil
	b, err := c.Branch()
	switch {
	case errors.Is(err, record.ErrRefused) && c.rec.Acked == h.q.last:
	case err != nil:
		h.t.Fatal(err)
	case !was:
		h.branches++
		if p, m := b.Acked(); p != h.q.last || m != (record.Durable{}) {
			h.t.Fatalf("a new branch stands at %d %v, want %d", p, m, h.q.last)
		}
	}
}

func (h *history) newEpoch(d *dest) {
	d.disconnect(h)
	before := h.q.Epoch()
	e, err := cursor(h.t, h.q, d.name).NewEpoch()
	if err != nil || e <= before {
		h.t.Fatalf("new epoch: got %d after %d, %v", e, before, err)
	}
	d.renamed = h.q.seq
}

// refuse drops an entry as an uplink does that cannot bring it over.
func (h *history) refuse(d *dest, i int) {
	d.disconnect(h)
	b := h.lane(d, i)
	if b == nil || !h.read(d, i, 1) {
		return
	}
	p := d.way[i][0]
	if c := &p.Chunks[len(p.Chunks)-1]; c.Seq <= d.marks[c.Source.Epoch] {
		d.disconnect(h) // it had come, and was acknowledged in vain
		return
	}
	if err := b.Drop(p.First, p.Last, record.Refused); err != nil {
		h.t.Fatal(err)
	}
	d.disconnect(h)
}

func (h *history) restart() {
	if h.rnd.IntN(3) == 0 {
		if err := h.q.Close(); err != nil {
			h.t.Fatal(err)
		}
	} else {
		if h.rnd.IntN(2) == 0 {
			if err := h.q.commit(false); err != nil {
				h.t.Fatal(err)
			}
		}
		crash(h.q)
	}
	if h.rnd.IntN(3) == 0 {
		h.inspect()
	}
	h.open()
}

// inspect looks at the stopped queue.
func (h *history) inspect() {
	s, problems, err := Status(h.o.Dir)
	if err != nil || len(problems) > 0 {
		h.t.Fatal(err, problems)
	}
	for _, c := range s.Cursors {
		for i := range c.Rules {
			if !c.Rules[i].Balanced() {
				h.t.Fatalf("stopped: %s does not add up: %+v", c.Name, c.Rules[i])
			}
		}
	}
	if r, err := Check(h.o.Dir, nil); err != nil || len(r.Problems) > 0 {
		h.t.Fatal(err, r.Problems)
	}
}

// drops makes one of the queue's own decisions to give something up.
func (h *history) drops() (err error) {
	switch h.rnd.IntN(4) {
	case 0:
		_, err = h.q.DropOldest(int64(h.rnd.IntN(60)), record.QueueFull)
	case 1:
		h.clock.pass(time.Duration(h.rnd.IntN(90)) * time.Minute)
		err = h.q.ExpireNow()
	case 2:
		h.bound = int64(h.rnd.IntN(400))
		err = h.q.BoundNow()
		h.bound = 0
	case 3:
		for range 2 {
			err = errors.Join(err, h.q.passOver(func() {}))
		}
	}
	return err
}

func (h *history) step() {
	names := h.q.Cursors()
	d, i := h.dests[names[h.rnd.IntN(len(names))]], h.rnd.IntN(2)
	switch n := h.rnd.IntN(100); {
	case n < 25:
		h.append()
	case n < 50:
		h.read(d, i, int64(h.rnd.IntN(60)))
	case n < 62:
		h.arrive(d, i)
	case n < 72:
		h.ack(d, i, 1+h.rnd.IntN(3))
	case n < 78:
		h.branch(d)
	case n < 82:
		d.disconnect(h)
	case n < 88:
		if err := h.drops(); err != nil {
			h.t.Fatal(err)
		}
	case n < 90:
		h.refuse(d, i)
	case n < 91:
		h.newEpoch(d)
	case n < 94:
		h.restart()
	case n < 95 && len(names) < 3:
		h.add(fmt.Sprint("later", len(h.sent)))
	case n < 96 && len(names) > 2:
		if err := h.q.RemoveCursor(names[2]); err != nil {
			h.t.Fatal(err)
		}
		delete(h.dests, names[2])
	default: // one that is well connected
		h.read(d, i, 1<<20)
		for len(d.way[i]) > 0 {
			h.arrive(d, i)
		}
		h.ack(d, i, 100)
	}
}

// check holds the books against the entries.
func (h *history) check() {
	h.t.Helper()
	list := holdsWhatItGets(h.t, h.q, h.q.Cursors())
	var held uint64
	at := 0
	for pos := h.q.lowest() + 1; pos <= h.q.last; pos++ {
		for at < len(list) && list[at].pos < pos {
			at++
		}
		if !h.q.needed(pos) {
			continue
		}
		if at == len(list) || list[at].pos != pos {
			h.t.Fatalf("position %d is needed and cannot be read", pos)
		}
		held += list[at].s.held
	}
	if h.q.held != held {
		h.t.Fatalf("got %d bytes held, want %d", h.q.held, held)
	}
	for _, c := range h.q.cursors {
		for _, g := range c.rec.Gaps {
			if b := c.rec.Branch; b != nil && g.First < b.From && g.Last >= b.From {
				h.t.Fatalf("%s: gap %d to %d lies across the branch at %d", c.rec.Name, g.First, g.Last, b.From)
			}
		}
	}
}

// finish delivers all that is left and holds what came against what was sent.
func (h *history) finish() {
	for name, d := range h.dests {
		d.disconnect(h)
		for more := true; more; {
			more = false
			for i := range 2 {
				more = h.read(d, i, 100) || more
				h.arrive(d, i)
				h.ack(d, i, 1)
			}
		}
		c := cursor(h.t, h.q, name)
		if c.rec.Acked != h.q.last || c.rec.Branch != nil {
			h.t.Fatalf("%s: stands at %d of %d with branch %+v when nothing is left", name, c.rec.Acked, h.q.last, c.rec.Branch)
		}
		if name == "a" || name == "b" {
			h.account(d)
		}
	}
	if err := h.q.commit(false); err != nil {
		h.t.Fatal(err)
	}
	for seq, s := range h.sent {
		if s.off != 0 && !h.released[s.off] && h.q.held != 0 {
			h.t.Fatalf("room of sequence %d was never given free", seq)
		}
	}
}

func (h *history) account(d *dest) {
	var delivered, dropped Tally
	for seq, s := range h.sent {
		one := Tally{s.size, 1}
		switch {
		case !h.wants(d, seq):
		case d.gapped[seq]:
			dropped = dropped.plus(one)
		case d.got[seq] > 0:
			delivered = delivered.plus(one)
		default:
			h.t.Errorf("%s: sequence %d never came", d.name, seq)
		}
	}
	for _, c := range h.q.Stats().Cursors {
		if c.Name != d.name {
			continue
		}
		var rows Row
		var gone Tally
		for _, r := range c.Rules {
			rows.Delivered, rows.Queued = rows.Delivered.plus(r.Delivered), rows.Queued.plus(r.Queued)
			for _, n := range r.Dropped {
				gone = gone.plus(n)
			}
		}
		if rows.Delivered != delivered || gone != dropped || rows.Queued != (Tally{}) {
			h.t.Errorf("%s: got %v delivered, %v dropped, %v queued, want %v, %v and nothing", d.name, rows.Delivered, gone, rows.Queued, delivered, dropped)
		}
	}
}

// TestBranchesOverRandomDropsAndCrashes branches, drops, kills and restarts at random. A destination gets everything that
// is for it once, or a gap; nothing comes after what is newer in its stream; and the books agree at every step.
func TestBranchesOverRandomDropsAndCrashes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	histories, steps := 20, 200
	if testing.Short() {
		histories = 5
	}
	if k, err := strconv.Atoi(os.Getenv("FTFUSE_SOAK")); err == nil && k > 0 {
		histories *= k
	}
	branches, joins := 0, 0
	for n := range histories {
		t.Run(fmt.Sprintf("seed %d-%d", seed, n), func(t *testing.T) {
			h := newHistory(t, rand.New(rand.NewPCG(seed, uint64(n))))
			for range steps {
				h.step()
				h.check()
			}
			h.finish()
			h.check()
			branches, joins = branches+h.branches, joins+h.joins
		})
	}
	t.Logf("%d branches, %d joined by an acknowledgement", branches, joins)
	if branches < 2*histories || joins < histories {
		t.Errorf("got %d branches and %d joins in %d histories: the test has done little", branches, joins, histories)
	}
}
