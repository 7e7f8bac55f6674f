package carry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/ingest"
	"ftfuse/internal/probe"
	"ftfuse/internal/record"
)

// store is a receiver's output: it keeps all bytes of each stream, and where it holds them.
type store struct {
	mu      sync.Mutex
	data    map[record.Stream][]byte
	marks   map[record.Stream]record.Durable
	chunks  []record.Chunk // without Data
	paths   []string
	discard bool // only counts
	slow    time.Duration
	bytes   int64 // all that came
	refuse  error
}

func (s *store) Mark(_ context.Context, st record.Stream) (record.Durable, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[st], nil
}

func (s *store) Put(_ context.Context, chunks []record.Chunk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	time.Sleep(s.slow)
	for _, c := range chunks {
		st := c.Source.Stream
		s.marks[st] = s.marks[st].Add(&c)
		s.bytes += int64(c.Len)
		if !s.discard {
			s.data[st] = append(s.data[st], c.Data...)
			s.paths = append(s.paths, c.File.Path)
			c.Data = nil
			s.chunks = append(s.chunks, c)
		}
	}
	return nil
}

// got is how many bytes have come.
func (s *store) got() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// all is everything that came, stream after stream in the order in which they began.
func (s *store) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	seen := map[record.Stream]bool{}
	for i := range s.chunks {
		if st := s.chunks[i].Source.Stream; !seen[st] {
			seen[st] = true
			b.Write(s.data[st])
		}
	}
	return b.String()
}

// receiver serves a store at a socket of its own until the test ends.
func receiver(t testing.TB) (*store, probe.Way) {
	t.Helper()
	s := &store{data: map[record.Stream][]byte{}, marks: map[record.Stream]record.Durable{}}
	return s, serve(t, s, record.SenderID{7})
}

func serve(t testing.TB, s *store, id record.SenderID) probe.Way {
	t.Helper()
	srv, err := ingest.New(ingest.Options{Output: s, ID: id, Name: "rx", RetryMin: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return probe.Way{Network: "tcp", Address: ln.Addr().String()}
}

func options(t testing.TB, dir string, to probe.Way) Options {
	t.Helper()
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Folder: f, To: to, Name: "rx"}
}

var as = As{Host: "h", Mount: "send", Path: "a.log", Rule: "send"}

// send sends and wants bytes sent and had.
func send(t *testing.T, o Options, file string, sent, had uint64) {
	t.Helper()
	r, err := o.File(t.Context(), file, as)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent != sent || r.Had != had {
		t.Fatalf("got %d bytes sent, %d had, want %d and %d", r.Sent, r.Had, sent, had)
	}
}

func put(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file that is sent again brings what is new, also behind a line that was not finished, and by another process.
func TestAgain(t *testing.T) {
	s, to := receiver(t)
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "a.log")
	put(t, file, "one\ntwo\nthr")
	send(t, options(t, dir, to), file, 11, 0)
	send(t, options(t, dir, to), file, 0, 11)
	add(t, file, "ee\nfour\n")
	send(t, options(t, dir, to), file, 8, 11)
	send(t, options(t, dir, to), file, 0, 19)
	if got, want := s.all(), "one\ntwo\nthree\nfour\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if c := s.chunks; len(c) != 2 || c[0].Records != 3 || c[1].Records != 2 || c[0].Flags != 0 || c[1].Flags != record.Continues {
		t.Errorf("got chunks %+v", c)
	}
	o := options(t, dir, to)
	o.Again = true
	send(t, o, file, 19, 0)
	if got := s.all(); got != strings.Repeat("one\ntwo\nthree\nfour\n", 2) {
		t.Errorf("got %q", got)
	}
	send(t, options(t, dir, to), file, 0, 19)
}

// What a file was is no longer what it is: said, and nothing is sent.
func TestChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, file string)
		want   string
	}{
		"truncated":        {func(t *testing.T, file string) { put(t, file, "one\n") }, "it has 4 bytes, and up to 8 were sent"},
		"begins otherwise": {func(t *testing.T, file string) { put(t, file, "ONE\ntwo\nthree\n") }, "begins with other bytes"},
		"in the middle": {func(t *testing.T, file string) {
			put(t, file, strings.Repeat("x", beginning)+"0\n")
		}, "are others now"},
	} {
		t.Run(name, func(t *testing.T) {
			s, to := receiver(t)
			dir, file := t.TempDir(), filepath.Join(t.TempDir(), "a.log")
			put(t, file, "one\ntwo\n")
			if name == "in the middle" {
				put(t, file, strings.Repeat("x", beginning)+"1\n")
			}
			o := options(t, dir, to)
			if _, err := o.File(t.Context(), file, as); err != nil {
				t.Fatal(err)
			}
			was := s.all()
			c.change(t, file)
			touch(t, file)
			_, err := o.File(t.Context(), file, as)
			if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if s.all() != was {
				t.Errorf("it was sent")
			}
			o.Again = true
			if _, err := o.File(t.Context(), file, as); err != nil {
				t.Fatal(err)
			}
			now, _ := os.ReadFile(file)
			if s.all() != was+string(now) {
				t.Errorf("got %q", s.all())
			}
		})
	}
}

// touch moves the modification time on: clocks of file systems are coarse.
func touch(t *testing.T, file string) {
	t.Helper()
	at := time.Now().Add(time.Hour)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

// Another file under the same name is another file.
func TestReplaced(t *testing.T) {
	s, to := receiver(t)
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "a.log")
	put(t, file, "one\n")
	send(t, options(t, dir, to), file, 4, 0)
	put(t, file+".new", "one\ntwo\n")
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	send(t, options(t, dir, to), file, 8, 0)
	if got := s.all(); got != "one\none\ntwo\n" {
		t.Errorf("got %q", got)
	}
}

// The receiver was replaced by one that is empty: it gets all of it. One that forgot is not believed.
func TestOtherReceiver(t *testing.T) {
	s, to := receiver(t)
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "a.log")
	put(t, file, "one\n")
	send(t, options(t, dir, to), file, 4, 0)
	fresh := &store{data: map[record.Stream][]byte{}, marks: map[record.Stream]record.Durable{}}
	send(t, options(t, dir, serve(t, fresh, record.SenderID{8})), file, 4, 0)
	s.mu.Lock()
	clear(s.marks)
	s.mu.Unlock()
	o := options(t, dir, to)
	if _, err := o.File(t.Context(), file, as); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "knows nothing of them now") {
		t.Errorf("got %v", err)
	}
}

// A receiver that was set back gets what it lost.
func TestSetBack(t *testing.T) {
	s, to := receiver(t)
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "a.log")
	put(t, file, "one\n")
	send(t, options(t, dir, to), file, 4, 0)
	s.mu.Lock()
	var backup record.Durable
	for _, backup = range s.marks {
	}
	s.mu.Unlock()
	add(t, file, "two\n")
	send(t, options(t, dir, to), file, 4, 4)
	s.mu.Lock()
	s.marks[backup.Stream] = backup
	s.data[backup.Stream] = s.data[backup.Stream][:4]
	s.mu.Unlock()
	var warned []string
	o := options(t, dir, to)
	o.Warn = func(text string) { warned = append(warned, text) }
	add(t, file, "three\n")
	send(t, o, file, 10, 4)
	if got := s.all(); got != "one\ntwo\nthree\n" || len(warned) != 1 {
		t.Errorf("got %q, warned %q", got, warned)
	}
	send(t, options(t, dir, to), file, 0, 14)
}

// Two at once: the second is told. A file of no bytes, and what is no file.
func TestOddFiles(t *testing.T) {
	s, to := receiver(t)
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "a.log")
	o := options(t, dir, to)
	put(t, file, "")
	send(t, o, file, 0, 0)
	add(t, file, "one\n")
	src, err := openSource(file)
	if err != nil {
		t.Fatal(err)
	}
	defer src.f.Close()
	e, err := o.Folder.open(as.key(src.key, record.SenderID{7}.String()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.File(t.Context(), file, as); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	e.close()
	send(t, o, file, 4, 0)
	if _, err := o.File(t.Context(), dir, as); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("got %v", err)
	}
	if _, err := o.File(t.Context(), file+".none", as); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if got := s.all(); got != "one\n" {
		t.Errorf("got %q", got)
	}
}

// A receiver that does not store is given up after a while, one that refuses at once.
func TestGivenUp(t *testing.T) {
	s, to := receiver(t)
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "a.log")
	put(t, file, "one\n")
	o := options(t, dir, to)
	o.Stall = 200 * time.Millisecond
	s.refuse = errors.New("disk is away")
	if _, err := o.File(t.Context(), file, as); !errors.Is(err, ErrStalled) {
		t.Errorf("got %v, want ErrStalled", err)
	}
	s.mu.Lock()
	s.refuse = fmt.Errorf("no such thing: %w", record.ErrRefused)
	s.mu.Unlock()
	o.Stall = time.Minute
	if _, err := o.File(t.Context(), file, as); err == nil || !strings.Contains(err.Error(), "can never take them") {
		t.Errorf("got %v", err)
	}
	s.mu.Lock()
	s.refuse = nil
	s.mu.Unlock()
	send(t, o, file, 4, 0)
	o.To.Address = closed(t)
	var refused *Refused
	if _, err := o.File(t.Context(), file, as); !errors.As(err, &refused) || !strings.Contains(refused.Step.Hint, "ftfuse-receiver.socket") {
		t.Errorf("got %v", err)
	}
}

// closed is an address where nobody listens, and nobody else can until the test ends.
func closed(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	at, err2 := unix.Getsockname(fd)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
}

// Long lines, lines across chunks, no line end, bytes that are no lines: all arrive as they are, in chunks that end with lines.
func TestCuts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var text bytes.Buffer
	for text.Len() < 5<<20 {
		n := random.IntN(200)
		if random.IntN(2000) == 0 {
			n = 2<<20 + random.IntN(1<<20)
		}
		text.Write(bytes.Repeat([]byte{byte('a' + random.IntN(26))}, n))
		text.WriteByte('\n')
	}
	text.WriteString("no end")
	for _, unit := range []record.Unit{record.Line, record.Binary} {
		for _, how := range []string{"file", "pipe"} {
			t.Run(unit.String()+" "+how, func(t *testing.T) {
				s, to := receiver(t)
				file := filepath.Join(t.TempDir(), "a")
				put(t, file, text.String())
				as := as
				as.Unit = unit
				o := options(t, t.TempDir(), to)
				var r Result
				var err error
				if how == "file" {
					r, err = o.File(t.Context(), file, as)
				} else {
					r, err = o.Pipe(t.Context(), bytes.NewReader(text.Bytes()), as)
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := s.all(); got != text.String() {
					t.Fatalf("got %d bytes, want %d", len(got), text.Len())
				}
				checkChunks(t, s, unit, text.Bytes(), r)
			})
		}
	}
}

func checkChunks(t *testing.T, s *store, unit record.Unit, text []byte, r Result) {
	t.Helper()
	records, open := uint64(0), false
	for i := range s.chunks {
		c := &s.chunks[i]
		records += uint64(c.Records)
		if unit != record.Line {
			continue
		}
		last := i == len(s.chunks)-1
		ends := text[c.Seq-1] == '\n'
		if open != (c.Flags&record.Continues != 0) || (!ends && !last) != (c.Flags&record.Continued != 0) {
			t.Fatalf("chunk %d at %d has flags %v", i, c.Offset, c.Flags)
		}
		open = !ends
	}
	if unit == record.Line {
		if want := uint64(bytes.Count(text, []byte{'\n'}) + 1); records != want {
			t.Errorf("got %d records, want %d", records, want)
		}
	}
	if r.Records != records {
		t.Errorf("got %d records in the result, want %d", r.Records, records)
	}
}

// Lines that come slowly are sent as they come.
func TestPipeLive(t *testing.T) {
	t.Parallel() // it waits
	s, to := receiver(t)
	in, out := io.Pipe()
	o := options(t, t.TempDir(), to)
	o.Stall = 3 * time.Second // waiting for input is none
	done := make(chan error, 1)
	go func() { _, err := o.Pipe(context.Background(), in, as); done <- err }()
	sent := ""
	for i := range 3 {
		line := fmt.Sprintf("line %d\n", i)
		sent += line
		if _, err := io.WriteString(out, line+"x"); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); s.all() != sent; {
			if time.Now().After(end) {
				t.Fatalf("got %q, want %q", s.all(), sent)
			}
			time.Sleep(time.Millisecond)
		}
		sent += "x"
	}
	time.Sleep(o.Stall + 200*time.Millisecond) // longer than it may stand still with something to send
	out.Close()
	if err := <-done; err != nil || s.all() != sent {
		t.Errorf("got %q, %v", s.all(), err)
	}
	if _, err := o.Pipe(t.Context(), strings.NewReader(""), as); err != nil {
		t.Error(err)
	}
	if _, err := o.Pipe(t.Context(), io.MultiReader(strings.NewReader("a\n"), failing{}), as); err == nil || !strings.Contains(err.Error(), "wires crossed") {
		t.Errorf("got %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("wires crossed") }

// TestMain is also the process that TestKilled kills.
func TestMain(m *testing.M) {
	if args := os.Getenv("FTFUSE_CARRY"); args != "" {
		a := strings.Split(args, "\n")
		f, err := OpenFolder(a[0])
		if err == nil {
			_, err = Options{Folder: f, To: probe.Way{Network: "tcp", Address: a[1]}, Name: "rx", Window: 1}.File(context.Background(), a[2], as) // a chunk at a time
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Killed at any moment, and the file grows in between: each line arrives once.
func TestKilled(t *testing.T) {
	k := &killing{t: t, dir: t.TempDir(), file: filepath.Join(t.TempDir(), "a.log")}
	k.s, k.to = receiver(t)
	k.s.slow = 25 * time.Millisecond // so that a process can be killed midway
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k.random = rand.New(rand.NewPCG(seed, 0))
	put(t, k.file, "")
	for range 5 {
		k.grow()
		for range 1 + k.random.IntN(2) {
			k.run()
		}
	}
	if k.midway == 0 {
		t.Error("none was killed with a part delivered")
	}
	if _, err := options(t, k.dir, k.to).File(t.Context(), k.file, as); err != nil {
		t.Fatal(err)
	}
	want, _ := os.ReadFile(k.file)
	if got := k.s.all(); got != string(want) {
		t.Errorf("got %d bytes of %d streams, want %d of one", len(got), len(k.s.data), len(want))
	}
	t.Logf("%d killed, %d of them midway, %d MiB", k.killed, k.midway, len(want)>>20)
}

type killing struct {
	t              *testing.T
	s              *store
	to             probe.Way
	dir, file      string
	random         *rand.Rand
	lines          int
	killed, midway int
}

// grow adds lines; one of them may be in the making when the file is sent.
func (k *killing) grow() {
	var b strings.Builder
	for range 60_000 + k.random.IntN(60_000) {
		fmt.Fprintf(&b, "line %d %s\n", k.lines, strings.Repeat("x", k.lines%97))
		k.lines++
	}
	text := b.String()
	cut := k.random.IntN(len(text))
	add(k.t, k.file, text[:cut])
	if k.random.IntN(2) == 0 {
		k.run()
	}
	add(k.t, k.file, text[cut:])
}

// run sends by another process, and kills it when the receiver has got to a random place, or a moment after that.
func (k *killing) run() {
	k.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FTFUSE_CARRY="+strings.Join([]string{k.dir, k.to.Address, k.file}, "\n"))
	var said bytes.Buffer
	cmd.Stderr = &said
	st, err := os.Stat(k.file)
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	had := k.s.got()
	goal := had + 1 + k.random.Int64N(max(1, st.Size()-had-record.MaxChunk))
	moment := time.Duration(k.random.IntN(2000)) * time.Microsecond
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-time.After(100 * time.Microsecond):
			if k.s.got() >= goal {
				time.Sleep(moment)
				_ = cmd.Process.Kill()
			}
		}
	}
	switch {
	case err == nil:
	case cmd.ProcessState.ExitCode() == -1:
		k.killed++
		if now := k.s.got(); now > had && now < st.Size() {
			k.midway++
		}
	default:
		k.t.Fatalf("%v: %s", err, &said)
	}
}
