package capture

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// What a record took that was too long is given back when its gap is registered, and, where the queue may lose the gap
// with the power, some time later. By both captures, nothing is left then.
func TestShedIsGivenBack(t *testing.T) {
	for _, disk := range []bool{false, true} {
		r, ctx := gatherRig(t)
		r.o.Disk = disk
		d := decision
		d.TooLong, d.MaxRecord, d.Readback = record.DropLong, 100, 0
		f := r.file(t, "a.log")
		sp, err := f.OpenSpool(d, "m", "a.log", &record.Writer{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := f.OpenLog(d, "m", "a.log", &record.Writer{})
		if err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("x", 4<<20) + "\n"
		w := kernel(t, sp)
		mustWrite(t, w, long)
		mustLog(t, l, long[:1000]+"\n")
		now := time.Now()
		r.sink.fail = errors.New("disk full")
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		r.turn(stopped, now)
		if n := sp.r.freed.len(); n > 0 {
			t.Fatalf("%d bytes given back before the gap is registered", n)
		}
		r.sink.fail = nil
		r.turn(ctx, now)
		if len(r.sink.gaps) < 2 || len(r.sink.all()) > 0 {
			t.Fatalf("got %q and gaps %+v", r.sink.all(), r.sink.gaps)
		}
		if got := sp.r.freed.len() > 0; got != disk {
			t.Fatalf("disk %v: %d bytes given back at once", disk, sp.r.freed.len())
		}
		if u := r.Usage().Unseen; u != 0 {
			t.Fatalf("disk %v: %d bytes count as unseen when all is registered", disk, u)
		}
		r.turn(ctx, now.Add(shedRest))
		r.tidy(now)
		if n, p := sp.r.freed.len(), sp.r.punched.len(); n != int64(len(long)) || p < 4<<20 || r.pending.Load() != 0 || r.use.resting.Load() != 0 {
			t.Fatalf("%d of %d bytes given back, %d punched; the log waits for %d", n, len(long), p, r.pending.Load())
		}
		bytes, records := uint64(0), uint64(0)
		for _, g := range r.sink.gaps {
			bytes, records = bytes+g.Bytes, records+g.Records
		}
		if bytes != uint64(len(long)+1001) || records != 2 {
			t.Fatalf("%d bytes and %d records in gaps", bytes, records)
		}
	}
}

// A process that begins anew does not give back at once what the one before it has kept: the machine may lose its power then as
// well, and with it what the queue has of the gap.
func TestShedRestsOverARestart(t *testing.T) {
	for _, kind := range []string{"open", "write"} {
		t.Run(kind, func(t *testing.T) {
			const length = punchStep + 2*block
			d := decision
			d.TooLong, d.MaxRecord, d.Readback = record.DropLong, 100, 0
			l := &framedLife{t: t, kind: kind, dir: t.TempDir(), path: below(t, ""), sink: newChain()}
			ctx, now := context.Background(), time.Now()
			gaps := func() (n uint64) {
				for range 3 {
					l.turn(ctx, now)
					now = now.Add(tidyEvery)
				}
				if got := len(l.sink.all()); got > 0 {
					t.Errorf("got %d bytes of a record that is dropped", got)
				}
				for _, g := range l.sink.gaps {
					n += g.Bytes
				}
				if l.spool == nil {
					return n // without its index the log would tell of nothing
				}
				b, err := os.ReadFile(l.spool.r.path)
				if kept := bytes.Count(b, []byte("x")); kept < length-1 {
					t.Errorf("%d of %d bytes are kept: %v", kept, length, err)
				}
				return n
			}
			l.begin(d)
			l.write(strings.Repeat("x", length-1) + "\n")
			l.end()
			if n := gaps(); n != length {
				t.Fatalf("gaps of %d bytes, want %d", n, length)
			}
			for _, life := range []struct {
				from Recovery
				want uint64
			}{{l.sink.replay(true), 0}, {Recovery{}, length}} {
				l.Close()
				l.sink = newChain()
				c, err := New(Options{Dir: l.dir, Source: &record.Source{}, Sink: l.sink})
				if err != nil {
					t.Fatal(err)
				}
				l.Capture, l.sink.store = c, c
				if err := c.Recover(life.from); err != nil {
					t.Fatal(err)
				}
				if n := gaps(); n != life.want {
					t.Errorf("gaps of %d bytes, want %d", n, life.want)
				}
			}
			for range 2 {
				l.turn(ctx, now.Add(shedRest))
				l.tidy(now)
			}
			if l.pending.Load() != 0 || l.use.resting.Load() != 0 || len(l.pass.shed.resting) > 0 {
				t.Errorf("the log waits for %d bytes, %d rest", l.pending.Load(), l.use.resting.Load())
			}
			l.Close()
		})
	}
}

// Too much that rests, or little room, and it is given back earlier.
func TestRestingIsBounded(t *testing.T) {
	r, _ := gatherRig(t)
	now := time.Now()
	shedMany := func(n int) {
		for i := range n {
			r.pass.shed.take(&record.Chunk{Gap: &record.Gap{}, Spent: []record.Extent{{Spool: 1, Off: int64(2 * i), Len: 1}}})
		}
		r.giveBackShed(now)
	}
	shedMany(maxResting)
	shedMany(1)
	if s := &r.pass.shed; len(s.resting) != 1 || s.extents != 1 {
		t.Fatalf("%d extents rest in %d groups", s.extents, len(s.resting))
	}
	r.pass.pressed = true
	if r.giveBackShed(now); r.pass.shed.extents != 0 || r.pass.shed.resting != nil {
		t.Fatalf("%d extents rest when room is short", r.pass.shed.extents)
	}
}
