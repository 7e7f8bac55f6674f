package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"ftfuse/internal/record"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(runChild(dir))
	}
	// mpoolDrain ends by itself one second after its database was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

var (
	quiet  = slog.New(slog.DiscardHandler)
	me     = record.SenderID{1}
	source = &record.Source{Stream: record.Stream{Sender: me}, Host: "h", BootID: "b"}
	writer = &record.Writer{Kind: record.Opener, PID: 7, Comm: "sh"}
)

func file(rule string) *record.File {
	return &record.File{Mount: "m", Path: "a/b.log", Rule: rule}
}

var files = map[string]*record.File{"r": file("r"), "s": file("s"), "t": file("t")}

// inline returns a chunk whose payload is text.
func inline(rule, text string) record.Chunk {
	return record.Chunk{Source: source, File: files[rule], Writer: writer, Time: 1e18, Records: 1,
		CRC: record.CRC([]byte(text)), Len: uint32(len(text)), Data: []byte(text)}
}

// spooled returns a chunk whose payload lies in a spool.
func spooled(rule string, spool uint64, off int64, n uint32) record.Chunk {
	return record.Chunk{Source: source, File: files[rule], Writer: writer, Time: 1e18, Records: 1,
		Len: n, Extents: []record.Extent{{Spool: spool, Off: off, Len: n}}}
}

func options(dir string) Options {
	return Options{Dir: dir, Source: source, Logger: quiet, WriteBuffer: 64 << 10}
}

func open(t testing.TB, o Options) (*Queue, *Recovery) {
	t.Helper()
	q, r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q, r
}

func cursor(t testing.TB, q *Queue, name string) *Cursor {
	t.Helper()
	c, err := q.Cursor(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func appendAll(t testing.TB, q *Queue, chunks ...record.Chunk) {
	t.Helper()
	if err := q.Append(chunks); err != nil {
		t.Fatal(err)
	}
}

// next returns the next batch, or false when there is none.
func next(t testing.TB, c *Cursor, limit int64) (record.Batch, bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b, ok, err := c.read(limit)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		if _, err := c.Next(ctx, limit); !errors.Is(err, context.Canceled) {
			t.Fatalf("Next without data: got %v, want canceled", err)
		}
	}
	return b, ok
}

// drain reads everything there is.
func drain(t testing.TB, c *Cursor, limit int64) (all []record.Chunk, last uint64) {
	t.Helper()
	for {
		b, ok := next(t, c, limit)
		if !ok {
			return all, last
		}
		all = append(all, b.Chunks...)
		last = b.Last
	}
}

// wholeSequence fails unless the chunks' own sequences, gaps included, run from first without holes, and returns the texts.
func wholeSequence(t testing.TB, chunks []record.Chunk, first uint64) (texts []string) {
	t.Helper()
	want := first
	for i := range chunks {
		c := &chunks[i]
		from := c.Seq
		if c.Gap != nil {
			from = c.Gap.First
		} else {
			texts = append(texts, string(c.Data))
			if len(c.Data) > 0 && record.CRC(c.Data) != c.CRC {
				t.Fatalf("sequence %d: payload does not have its checksum", c.Seq)
			}
		}
		if from != want {
			t.Fatalf("chunk %d: got sequence %d, want %d", i, from, want)
		}
		want = c.Seq + 1
	}
	return texts
}

func balanced(t testing.TB, q *Queue) {
	t.Helper()
	s := q.Stats()
	for _, c := range s.Cursors {
		for i := range c.Rules {
			if r := &c.Rules[i]; !r.Balanced() {
				t.Fatalf("cursor %s: does not add up: %+v", c.Name, *r)
			}
		}
	}
	if s.Mismatch != 0 {
		t.Fatalf("got %d mismatches at open, want 0", s.Mismatch)
	}
}

func lines(from, to int) (l []string) {
	for i := from; i <= to; i++ {
		l = append(l, fmt.Sprintf("line %d\n", i))
	}
	return l
}

// crash gives up the handle as kill -9 would: nothing more is written.
func crash(q *Queue) {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.metaMu.Lock()
	q.meta.close()
	q.metaMu.Unlock()
	for _, s := range q.segs {
		s.close()
	}
	q.lock.Close()
}

// fastDir is a temporary folder in memory where the machine has one: thousands of short lives need no disk.
func fastDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "queue")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// read returns the next batch of what there is; ok is false when there is nothing yet.
func (c *Cursor) read(limit int64) (record.Batch, bool, error) { return c.q.read(limit, c.way) }

func (b *Branch) read(limit int64) (record.Batch, bool, error) { return b.c.q.read(limit, b.way) }
