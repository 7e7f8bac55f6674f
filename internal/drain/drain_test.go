package drain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftfuse/internal/ledger"
	"ftfuse/internal/output"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

var (
	source = &record.Source{Stream: record.Stream{Sender: record.SenderID{1}}, Host: "h"}
	file   = &record.File{Mount: "m", Path: "a.log", Rule: "r"}
	writer = &record.Writer{}
)

// spools is a store whose ranges can be made unreadable.
type spools struct {
	mu   sync.Mutex
	text []byte
	gone map[int64]bool
}

func (s *spools) ReadExtent(e record.Extent, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for off := range s.gone {
		if off >= e.Off && off < e.Off+int64(e.Len) {
			return fmt.Errorf("read at %d: %w", off, record.ErrGone)
		}
	}
	copy(p, s.text[e.Off:])
	return nil
}

// add returns a chunk whose payload lies in the spool.
func (s *spools) add(text string) record.Chunk {
	c := record.Chunk{Source: source, File: file, Writer: writer, Handle: 1, Offset: uint64(len(s.text)), Time: time.Now().UnixNano(), Records: 1,
		CRC: record.CRC([]byte(text)), Len: uint32(len(text)), Extents: []record.Extent{{Spool: 1, Off: int64(len(s.text)), Len: uint32(len(text))}}}
	s.text = append(s.text, text...)
	return c
}

type rig struct {
	t    *testing.T
	dir  string
	q    *queue.Queue
	out  *output.Output
	book *ledger.Ledger
}

func open(t *testing.T, dir string) *rig {
	r := &rig{t: t, dir: dir}
	var err error
	if r.q, _, err = queue.Open(queue.Options{Dir: filepath.Join(dir, "queue"), Source: source, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if r.book, _, err = ledger.Open(ledger.Options{Dir: filepath.Join(dir, "ledger"), Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	r.out, err = output.Open(output.Options{Name: "o", Base: filepath.Join(dir, "out"), Path: "{path}", Format: "raw", Book: r.book.Book("o")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) close() {
	if err := errors.Join(r.out.Close(), r.q.Close(), r.book.Close()); err != nil {
		r.t.Fatal(err)
	}
}

// drain runs until the cursor has acknowledged everything.
func (r *rig) drain(s record.Store, sink record.Sink) *Drain {
	r.t.Helper()
	c, err := r.q.Cursor("o")
	if err != nil {
		r.t.Fatal(err)
	}
	d := New(Options{Name: "o", Backlog: c, Store: s, Sink: sink, Logger: slog.New(slog.DiscardHandler), Batch: 1 << 10, Min: time.Millisecond, Max: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	for deadline := time.Now().Add(60 * time.Second); r.q.Held() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%d bytes are still queued: %+v", r.q.Held(), d.Status())
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) text() string {
	b, err := os.ReadFile(filepath.Join(r.dir, "out/a.log"))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// flaky fails every second time, sometimes after the output has taken the chunks.
type flaky struct {
	record.Sink
	n int
}

func (f *flaky) Put(ctx context.Context, chunks []record.Chunk) error {
	f.n++
	switch f.n % 4 {
	case 1:
		return errors.New("disk is tired")
	case 3:
		return errors.Join(f.Sink.Put(ctx, chunks), errors.New("told too late"))
	}
	return f.Sink.Put(ctx, chunks)
}

func TestOnceOverFailuresAndRestarts(t *testing.T) {
	dir, s := t.TempDir(), &spools{}
	var want strings.Builder
	for life := range 3 {
		r := open(t, dir)
		if _, err := r.q.Cursor("o"); err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			line := fmt.Sprintf("life %d line %d\n", life, i)
			want.WriteString(line)
			if err := r.q.Append([]record.Chunk{s.add(line)}); err != nil {
				t.Fatal(err)
			}
		}
		d := r.drain(s, &flaky{Sink: r.out})
		if got := r.text(); got != want.String() {
			t.Fatalf("life %d: the file has %d bytes, want %d: every line once and in order", life, len(got), want.Len())
		}
		if d.Status().Failed == 0 {
			t.Fatal("nothing failed: the test tests nothing")
		}
		r.close()
	}
}

func TestWhatCannotBeReadIsDroppedAlone(t *testing.T) {
	s := &spools{gone: map[int64]bool{}}
	r := open(t, t.TempDir())
	defer r.close()
	if _, err := r.q.Cursor("o"); err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for i := range 100 {
		c := s.add(fmt.Sprintf("line %d\n", i))
		if i == 41 {
			s.gone[c.Extents[0].Off] = true
		} else {
			fmt.Fprintf(&want, "line %d\n", i)
		}
		if err := r.q.Append([]record.Chunk{c}); err != nil {
			t.Fatal(err)
		}
	}
	r.drain(s, r.out)
	if got := r.text(); got != want.String() {
		t.Fatalf("got %q, want all lines but the one whose spool is gone", got)
	}
	row := r.q.Stats().Cursors[0].Rules[0]
	if row.Dropped["spool_lost"].Records != 1 || row.Delivered.Records != 99 || !row.Balanced() {
		t.Fatalf("got %+v, want 99 delivered and one lost with its spool", row)
	}
}
