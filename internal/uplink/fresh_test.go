package uplink_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/queue"
	"ftfuse/internal/record"
	"ftfuse/internal/uplink"
)

// fresher is a pair whose backlog is a real queue that is split after an outage.
type fresher struct {
	*pair
	dir   string
	queue *queue.Queue
	cur   *queue.Cursor
	lines []string
	epoch uint64 // new ones that the uplinks began
}

func newFresher(t *testing.T) *fresher {
	f := &fresher{pair: newPair(t), dir: t.TempDir()}
	f.options.Batch, f.options.Window = 200, 2000
	f.open()
	return f
}

func (f *fresher) open() {
	f.t.Helper()
	var err error
	f.queue, _, err = queue.Open(queue.Options{Dir: f.dir, Source: source, Logger: f.options.Logger, SegmentEntries: 50, WriteBuffer: 64 << 10})
	if err == nil {
		f.cur, err = f.queue.Cursor("out")
	}
	if err != nil {
		f.t.Fatal(err)
	}
	q := f.queue
	f.t.Cleanup(func() { q.Close() })
	both := f.cur.FreshFirst(1000)
	f.options.Backlog, f.options.Begin, f.options.Epoch, f.options.Streams = both, both.Begin, q.Epoch, f.cur.Streams
}

func (f *fresher) append(n int) {
	f.t.Helper()
	for range n {
		line := fmt.Sprintf("line %06d\n", len(f.lines))
		f.lines = append(f.lines, line)
		err := f.queue.Append([]record.Chunk{{Source: source, File: file, Writer: writer, Records: 1, Data: []byte(line), Len: uint32(len(line)), CRC: record.CRC([]byte(line))}})
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fresher) drained() {
	f.t.Helper()
	until(f.t, "all is acknowledged", func() bool {
		last, _ := f.cur.Acked()
		return last == uint64(len(f.lines)) && f.cur.Branched() == nil
	})
}

// came returns the lines at the receiver, as they came.
func (f *fresher) came() []string {
	l := strings.SplitAfter(string(f.out.bytes()), "\n")
	return l[:len(l)-1]
}

// everythingOnce fails unless each line has come once.
func (f *fresher) everythingOnce() {
	f.t.Helper()
	got := f.came()
	slices.Sort(got)
	if !slices.Equal(got, f.lines) {
		f.t.Errorf("got %d lines, want the %d that were written, each once", len(got), len(f.lines))
	}
}

// After an outage what is written now comes before the end of what waited, which moves on as well.
func TestFreshDataGoesPastABacklog(t *testing.T) {
	f := newFresher(t)
	f.append(300)
	block := make(chan struct{})
	first := make(chan struct{}, 1)
	f.out.fail = func([]record.Chunk) error { // the receiver takes nothing until there is something fresh
		select {
		case first <- struct{}{}:
		default:
		}
		<-block
		return nil
	}
	f.receive()
	f.send()
	<-first
	f.append(100)
	close(block)
	f.drained()
	f.everythingOnce()
	came := f.came()
	last := slices.Index(came, f.lines[399])
	if old := last + 1 - 100; old < 25 || old > 150 {
		t.Errorf("%d of 300 old lines came before the last of 100 fresh ones, want a quarter of the line, and what was under way", old)
	}
	if st := f.up.Status(); st.Epochs > 0 || st.Failures > 0 {
		t.Errorf("got %+v, want no failure and no new epoch but the queue's", st)
	}
	f.append(10)
	f.drained()
	f.everythingOnce()
}

// Cuts, restarts of both sides and outages at random moments: each line comes once, and no checksum ever differs.
func TestFreshFirstOverCutsAndRestarts(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	f := newFresher(t)
	faults := rand.New(rand.NewPCG(seed, 1)) // used with the output's lock held
	f.out.fail = func([]record.Chunk) error {
		if faults.IntN(60) == 0 {
			return fmt.Errorf("the disk of the receiver has failed")
		}
		return nil
	}
	stopReceiver, stopSender := f.receive(), f.send()
	for range 40 {
		f.append(rnd.IntN(120))
		switch rnd.IntN(6) {
		case 0, 1:
			f.cut()
		case 2:
			stopReceiver()
			f.append(rnd.IntN(200))
			stopReceiver = f.receive()
		case 3:
			stopSender()
			f.ended()
			if err := f.queue.Close(); err != nil {
				t.Fatal(err)
			}
			f.open()
			f.append(rnd.IntN(200))
			stopSender = f.send()
		case 4:
			before := f.up.Status().AckedChunks
			until(t, "something is acknowledged", func() bool {
				last, _ := f.cur.Acked()
				return f.up.Status().AckedChunks > before || last == uint64(len(f.lines))
			})
		}
	}
	f.drained()
	stopSender()
	f.ended()
	f.everythingOnce()
	if f.epoch > 0 {
		t.Errorf("the uplinks began %d epochs, want none: no content has ever differed", f.epoch)
	}
	f.out.mu.Lock()
	n := len(f.out.marks)
	f.out.mu.Unlock()
	if n < 3 { // each branch has one; an orderly restart has none
		t.Errorf("got %d streams at the receiver, want at least 3: the test has done little", n)
	}
	row := f.queue.Stats().Cursors[0].Rules[0]
	if row.Delivered.Records != uint64(len(f.lines)) || !row.Balanced() {
		t.Errorf("got %+v, want %d records delivered", row, len(f.lines))
	}
	t.Logf("%d lines in %d streams", len(f.lines), n)
}

func (f *fresher) ended() {
	st := f.up.Status()
	if st.State != uplink.Stopped {
		f.t.Fatalf("got state %v, want stopped", st.State)
	}
	f.epoch += st.Epochs
}

// An entry whose payload cannot be read is found and given up, whichever part it is of.
func TestDamageBesideFreshData(t *testing.T) {
	f := newFresher(t)
	f.append(150)
	f.both(t, func(pos uint64) { f.spooled(pos) })
	f.receive()
	f.send()
	f.drained()
	row := f.queue.Stats().Cursors[0].Rules[0]
	if d := row.Dropped[record.SpoolLost.String()]; d.Records != 2 || row.Delivered.Records != uint64(len(f.lines))-2 {
		t.Fatalf("got %+v, want two entries given up", row)
	}
	if st := f.up.Status(); st.Drops != 2 || st.Epochs > 0 {
		t.Fatalf("got %+v", st)
	}
}

// both puts a lost entry in the older part, another in the fresh one.
func (f *fresher) both(t *testing.T, lose func(pos uint64)) {
	t.Helper()
	lose(uint64(len(f.lines)))
	f.append(20)
	if _, err := f.cur.Branch(); err != nil {
		t.Fatal(err)
	}
	f.append(20)
	lose(uint64(len(f.lines)))
	b, err := f.cur.Branched().Next(context.Background(), 1) // it is in use: Begin leaves it where it is
	if err != nil || b.Last == 0 {
		t.Fatal(b, err)
	}
	f.append(20)
}

// spooled appends an entry of a spool that is not there.
func (f *fresher) spooled(pos uint64) {
	f.t.Helper()
	f.lines = append(f.lines, "")
	err := f.queue.Append([]record.Chunk{{Source: source, File: file, Writer: writer, Records: 1, Len: 10, Extents: []record.Extent{{Spool: 99, Off: int64(pos), Len: 10}}}})
	if err != nil {
		f.t.Fatal(err)
	}
}
