package queue

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// childEnv names the queue's folder to the child process of TestKill.
const childEnv = "FTFUSE_QUEUE_TEST_CHILD"

// branchEnv is set for children that branch.
const branchEnv = "FTFUSE_QUEUE_TEST_BRANCH"

func childOptions(dir string) Options {
	o := options(dir)
	o.SegmentEntries, o.WriteBuffer, o.CommitEvery = 40, 4<<10, time.Millisecond
	return o
}

// runChild appends and delivers until it is killed. It says on standard output, in whole lines: "A text" when Append
// has returned, "D epoch first seq text" when a chunk has reached the destination, "K position" before it acknowledges.
func runChild(dir string) int {
	q, _, err := Open(childOptions(dir))
	if err != nil {
		fmt.Println("E", err)
		return 1
	}
	c, err := q.Cursor("a")
	if err != nil {
		fmt.Println("E", err)
		return 1
	}
	var out sync.Mutex
	say := func(format string, a ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", a...)
	}
	go q.Run(context.Background())
	for g := range 3 {
		go func() {
			for n := 0; ; n++ {
				text := fmt.Sprintf("%d/%d/%d", os.Getpid(), g, n)
				if err := q.Append([]record.Chunk{inline("r", text), inline("s", text+"s")}); err != nil {
					say("E %v", err)
					return
				}
				say("A %s", text)
			}
		}()
	}
	for n := 0; ; n++ {
		lane := backlog(c)
		if os.Getenv(branchEnv) != "" {
			if lane = either(c, n); lane == nil {
				continue // nothing waits yet
			}
		}
		b, err := lane.Next(context.Background(), 200)
		if err != nil {
			say("E %v", err)
			return 1
		}
		for i := range b.Chunks {
			k := &b.Chunks[i]
			first := k.Seq
			if k.Gap != nil {
				first = k.Gap.First
			}
			say("D %d %d %d %s", k.Source.Epoch, first, k.Seq, k.Data)
		}
		if n%4 == 3 { // later than it could: more is in flight
			say("K %d", b.Last)
			if err := lane.Ack(b.Last, record.Durable{Stream: b.Chunks[0].Source.Stream, Seq: b.Chunks[len(b.Chunks)-1].Seq}); err != nil {
				say("E %v", err)
				return 1
			}
		}
	}
}

// either splits c where it is whole, and returns one of the two parts that has something to read, nil if none has.
func either(c *Cursor, n int) backlog {
	b, err := c.Branch()
	if err != nil {
		return nil
	}
	l := c.main
	if n%3 > 0 {
		l = b.(*Branch).l
	}
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	switch {
	case l.next > l.last():
		return nil
	case l == c.main:
		return c
	}
	return b.(*Branch)
}

// life collects what the children of one queue have said.
type life struct {
	t     *testing.T
	env   []string
	acked map[string]bool
	got   map[string]int
	marks map[uint64]uint64 // by epoch
	last  uint64            // sequence
	cut   uint64            // last position that a child wanted to acknowledge
}

func (l *life) line(s string) {
	kind, rest, _ := strings.Cut(s, " ")
	switch kind {
	case "A":
		l.acked[rest], l.acked[rest+"s"] = true, true
	case "D":
		var epoch, first, seq uint64
		var text string
		if n, _ := fmt.Sscanf(rest, "%d %d %d %s", &epoch, &first, &seq, &text); n < 3 {
			l.t.Fatalf("child said %q", s)
		}
		l.deliver(epoch, first, seq, text)
	case "K":
		var p uint64
		fmt.Sscanf(rest, "%d", &p)
		l.cut = max(l.cut, p)
	default:
		l.t.Fatalf("child said %q", s)
	}
}

func (l *life) deliver(epoch, first, seq uint64, text string) {
	if seq <= l.marks[epoch] {
		return // again, after a kill
	}
	if len(l.env) == 0 && first != l.last+1 || text == "" {
		l.t.Fatalf("epoch %d: got %d-%d %q after sequence %d: a hole, a repeat or a gap", epoch, first, seq, text, l.last)
	}
	l.marks[epoch], l.last = seq, seq
	l.got[text]++
}

// TestKill kills a real process at random points of its work, 30 times on one queue.
func TestKill(t *testing.T) { killChildren(t) }

// TestKillWithBranches is TestKill of a process that reads old and new beside each other all the time.
func TestKillWithBranches(t *testing.T) { killChildren(t, branchEnv+"=1") }

func killChildren(t *testing.T, env ...string) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	dir := fastDir(t)
	l := &life{t: t, env: env, acked: make(map[string]bool), got: make(map[string]int), marks: make(map[uint64]uint64)}
	kills, branches := 30, 0
	if testing.Short() {
		kills = 8
	}
	for range kills {
		l.run(dir, 1+rnd.IntN(600))
		q, r, err := Open(childOptions(dir))
		if err != nil {
			t.Fatal(err)
		}
		if r.Clean || r.Quarantined != "" || r.Lost != 0 {
			t.Fatalf("after a kill: got %+v", r)
		}
		c := cursor(t, q, "a")
		if p, _ := c.Acked(); p > l.cut {
			t.Fatalf("cursor stands at %d, acknowledged was %d", p, l.cut)
		}
		if c.Branched() != nil {
			branches++
		}
		balanced(t, q)
		crash(q)
	}
	if len(env) > 0 && branches < kills/3 {
		t.Errorf("got %d branches after %d kills: the test has done little", branches, kills)
	}
	q, _ := open(t, childOptions(dir))
	c := cursor(t, q, "a")
	all, _ := drain(t, c, 1000)
	if b, ok := c.Branched().(*Branch); ok {
		for {
			k, ok, err := b.read(1000)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			all = append(all, k.Chunks...)
		}
	}
	for i := range all {
		k := &all[i]
		if k.Gap != nil {
			t.Fatalf("got gap %+v", k.Gap)
		}
		l.deliver(k.Source.Epoch, k.Seq, k.Seq, string(k.Data))
	}
	for text := range l.acked {
		if l.got[text] != 1 {
			t.Errorf("%s: got it %d times, want once", text, l.got[text])
		}
	}
	if len(l.acked) < 30*kills {
		t.Errorf("got %d acknowledged chunks, want at least %d: the test has done nothing", len(l.acked), 30*kills)
	}
	t.Logf("%d chunks acknowledged, %d delivered, %d epochs, %d branches", len(l.acked), len(l.got), len(l.marks), branches)
}

// run starts a child, reads n lines, kills it and reads what it had said until then.
func (l *life) run(dir string, n int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+dir), l.env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	sc := bufio.NewScanner(out)
	for i := 0; ; i++ {
		if i == n {
			cmd.Process.Kill()
		}
		if !sc.Scan() {
			break
		}
		l.line(sc.Text())
	}
	cmd.Wait()
}
