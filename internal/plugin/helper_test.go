package plugin

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftfuse/internal/journald/journaldtest"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

func TestMain(m *testing.M) {
	if err := ExecLimited(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(127)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for something that another process or goroutine does.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 60 s for: %s", what)
		}
	}
}

var (
	me     = record.SenderID{1}
	writer = &record.Writer{Kind: record.Opener, PID: 7, Comm: "sh"}
)

// spool is a Store in memory, one long run of bytes.
type spool struct {
	mu   sync.Mutex
	data []byte
	bad  func(e record.Extent) error // asked first, if set
}

func (s *spool) ReadExtent(e record.Extent, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad != nil {
		if err := s.bad(e); err != nil {
			return err
		}
	}
	copy(p, s.data[e.Off:])
	return nil
}

// rig is a queue, a cursor and a journald, for one or more plug-ins.
type rig struct {
	Options
	t     testing.TB
	dir   string
	queue *queue.Queue
	spool *spool
	file  *record.File
	jd    *journaldtest.Journald
	log   *lines
	lines int // appended
}

// lines is a log or a standard error that can be read meanwhile.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, dir: t.TempDir(), spool: &spool{}, file: &record.File{Mount: "m", Path: "a.log", Rule: "r"}, log: &lines{}, jd: journaldtest.New(t)}
	r.jd.Start()
	logger := slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	r.queue, _, err = queue.Open(queue.Options{Dir: t.TempDir(), Logger: logger,
		Source: &record.Source{Stream: record.Stream{Sender: me}, Host: "h", BootID: "b"}})
	must(t, err)
	t.Cleanup(func() { r.queue.Close() })
	r.Options = Options{Name: "out", Store: r.spool, Sender: me, Socket: r.jd.Path, Stdout: Discard, Logger: logger, Directory: r.dir,
		RestartMin: time.Millisecond, RestartMax: 20 * time.Millisecond, StopTimeout: 20 * time.Second}
	return r
}

func (r *rig) cursor(name string) *queue.Cursor {
	r.t.Helper()
	c, err := r.queue.Cursor(name)
	must(r.t, err)
	return c
}

// append adds one entry of the queue with one chunk.
func (r *rig) append(data []byte) {
	r.t.Helper()
	r.spool.mu.Lock()
	off := int64(len(r.spool.data))
	r.spool.data = append(r.spool.data, data...)
	r.spool.mu.Unlock()
	n := uint32(len(data))
	c := record.Chunk{Source: &record.Source{Stream: record.Stream{Sender: me}, Host: "h", BootID: "b"}, File: r.file, Writer: writer, Time: time.Now().UnixNano(), Offset: uint64(off),
		Records: uint32(bytes.Count(data, lineEnd)), CRC: record.CRC(data), Len: n}
	if len(data)%2 == 0 {
		c.Extents = []record.Extent{{Off: off, Len: n / 2}, {Off: off + int64(n/2), Len: n - n/2}}
	} else {
		c.Data = data
	}
	must(r.t, r.queue.Append([]record.Chunk{c}))
}

// number appends n lines "1", "2", ..., of at least width bytes, so many an entry.
func (r *rig) number(n, each, width int) {
	r.t.Helper()
	var b []byte
	for i := 1; i <= n; i++ {
		r.lines++
		b = fmt.Appendf(b, "%d", r.lines)
		for pad := width - len(fmt.Sprint(r.lines)); pad > 0; pad-- {
			b = append(b, '.')
		}
		if b = append(b, '\n'); i%each == 0 || i == n {
			r.append(b)
			b = nil
		}
	}
}

// running is a plug-in with its Run.
type running struct {
	*Plugin
	t    testing.TB
	stop context.CancelFunc
	done chan error
	once sync.Once
}

func (r *rig) start() *running {
	r.t.Helper()
	if r.Backlog == nil {
		r.Backlog = r.cursor("out")
	}
	p, err := New(r.Options)
	must(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{Plugin: p, t: r.t, stop: cancel, done: make(chan error, 1)}
	go func() { run.done <- p.Run(ctx) }()
	r.t.Cleanup(func() { run.end() })
	return run
}

// end stops it and waits.
func (r *running) end() {
	r.t.Helper()
	r.once.Do(func() {
		r.stop()
		if err := <-r.done; err != nil {
			r.t.Errorf("Run: got %v, want nil", err)
		}
	})
}

func (r *rig) sh(script string) { r.Command = []string{"sh", "-c", script} }

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) read(name string) string {
	b, err := os.ReadFile(r.path(name))
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	return string(b)
}

// drained says whether everything appended was acknowledged.
func (r *rig) drained(name string) bool {
	for _, c := range r.queue.Stats().Cursors {
		if c.Name == name {
			return c.Behind == 0
		}
	}
	return false
}

// numbers returns how often each line that number made is in text; torn is what is none.
func numbers(text string) (got map[int]int, torn []string) {
	got = map[int]int{}
	for _, l := range strings.SplitAfter(text, "\n") {
		n, err := strconv.Atoi(strings.TrimRight(strings.TrimSuffix(l, "\n"), "."))
		if err == nil && strings.HasSuffix(l, "\n") {
			got[n]++
		} else if l != "" {
			torn = append(torn, l)
		}
	}
	return got, torn
}
