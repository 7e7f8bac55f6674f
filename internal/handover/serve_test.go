package handover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// serveWith serves handle on a new socket.
func serveWith(t *testing.T, handle func(context.Context, Request) error) (path string, stop func()) {
	t.Helper()
	path = socketPath(t)
	l := listen(t, path)
	return path, run(t, func(ctx context.Context) error { return Serve(ctx, l, handle, quiet) })
}

func TestMountIsHandedOver(t *testing.T) {
	handed := make(chan Request, 1)
	path, _ := serveWith(t, func(_ context.Context, r Request) error {
		if err := answerInit(int(r.Fuse.Fd())); err != nil {
			return err
		}
		handed <- r
		return nil
	})
	r := request(t)
	ok(t, Ask(t.Context(), path, r))
	got := <-handed
	if got.Name != r.Name || got.Dir != r.Dir || !slices.Equal(got.Options, r.Options) {
		t.Errorf("got %+v, want %+v", got, r)
	}
	var a, b unix.Stat_t
	ok(t, unix.Fstat(int(got.Below.Fd()), &a))
	ok(t, unix.Stat(r.Dir, &b))
	if a.Ino != b.Ino || a.Dev != b.Dev {
		t.Error("the directory below is another one")
	}
	ok(t, got.Fuse.Close())
	ok(t, got.Below.Close())
}

func TestRefusalTravels(t *testing.T) {
	refusal := &Refusal{"no such mount \"app\"\n", "add it"}
	path, _ := serveWith(t, func(_ context.Context, r Request) error {
		if r.Name == "plain" {
			return fmt.Errorf("serve: %w", unix.ENOSPC)
		}
		return fmt.Errorf("look: %w", refusal)
	})
	r := request(t)
	err := Ask(t.Context(), path, r)
	var got *Refusal
	if !errors.As(err, &got) || got.Text != "look: "+refusal.Text || got.Hint != refusal.Hint {
		t.Errorf("got %v, want %v", err, refusal)
	}
	r.Name = "plain"
	contains(t, "plain", Ask(t.Context(), path, r), path, "serve: no space left on device")
}

func TestHelperMustBeRoot(t *testing.T) {
	path, _ := serveWith(t, func(context.Context, Request) error { return errors.New("was called") })
	r := request(t)
	var err error
	asUser(t, 65534, func() { err = Ask(context.Background(), path, r) })
	contains(t, "nobody", err, "got user id 65534, want root")
}

// What is wrong in a request is said. TestMain sees descriptors that are not closed.
func TestBadRequests(t *testing.T) {
	var logs bytes.Buffer
	path := socketPath(t)
	l := listen(t, path)
	stop := run(t, func(ctx context.Context) error {
		return Serve(ctx, l, func(context.Context, Request) error { return errors.New("was called") }, slog.New(slog.NewTextHandler(&logs, nil)))
	})
	fuse, _ := superblock(t)
	open := func(name string, flags int) int {
		fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
		ok(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	dir, null := open("/tmp", unix.O_RDONLY), open("/dev/null", unix.O_RDWR)
	good := `{"name":"a","dir":"/x","later":1}`
	for name, c := range map[string]struct {
		packet string
		fds    []int
		want   string
	}{
		"not JSON":       {"hello", []int{fuse, dir}, "invalid character"},
		"no name":        {`{"dir":"/x"}`, []int{fuse, dir}, `got name ""`},
		"relative":       {`{"name":"a","dir":"x"}`, []int{fuse, dir}, `directory "x"`},
		"not clean":      {`{"name":"a","dir":"/x/../y"}`, []int{fuse, dir}, `want a name and a clean absolute path`},
		"none":           {good, nil, "got 0 descriptors"},
		"one":            {good, []int{fuse}, "got 1 descriptors"},
		"three":          {good, []int{fuse, dir, null}, "more than 2 descriptors"},
		"many":           {good, slices.Repeat([]int{null}, 100), "more than 2 descriptors"},
		"not fuse":       {good, []int{null, dir}, "device 1:3, want /dev/fuse (10:229)"},
		"swapped":        {good, []int{dir, fuse}, "want /dev/fuse"},
		"fuse by O_PATH": {good, []int{open("/dev/fuse", unix.O_PATH), dir}, "O_PATH"},
		"no directory":   {good, []int{fuse, null}, "want the directory below"},
		"too long":       {good + strings.Repeat(" ", maxPacket), []int{fuse, dir}, "more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
			ok(t, err)
			defer c2.Close()
			ok(t, send(c2, []byte(c.packet), c.fds...))
			b := make([]byte, maxPacket)
			n, _, err := receive(c2, b, 0)
			ok(t, err)
			r := &Refusal{}
			ok(t, json.Unmarshal(b[:n], r))
			contains(t, "answer", r, "read the mount helper's request: ", c.want)
		})
	}
	stop()
	if n := strings.Count(logs.String(), "mount refused"); n != 13 {
		t.Errorf("got %d log lines, want 13:\n%s", n, &logs)
	}
}

func TestNobodyAnswers(t *testing.T) {
	r := request(t)
	path := socketPath(t)
	if err := Ask(t.Context(), path, r); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: got %v, want ErrNotRunning", err)
	}
	l := listen(t, path)
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := Ask(t.Context(), path, r); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a socket that is left over: got %v, want ErrNotRunning", err)
	}
	ok(t, os.Remove(path))
	s, err := net.Listen("unix", path)
	ok(t, err)
	contains(t, "a stream socket", Ask(t.Context(), path, r), "want SOCK_SEQPACKET")
	s.Close()

	l = listen(t, path)
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	if err := Ask(t.Context(), path, r); !errors.Is(err, ErrEnded) {
		t.Errorf("closed: got %v, want ErrEnded", err)
	}
	<-done
}

// A sender that does not answer ends no helper's time, and learns that it has left.
func TestHelperLeaves(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	path, _ := serveWith(t, func(ctx context.Context, _ Request) error {
		close(asked)
		<-ctx.Done()
		close(left)
		return ctx.Err()
	})
	r := request(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if err := Ask(ctx, path, r); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("got %v, want ErrNoAnswer", err)
	}
	<-left
}

// The end of Serve ends what waits, and says so.
func TestServeEnds(t *testing.T) {
	asked := make(chan struct{})
	path, stop := serveWith(t, func(ctx context.Context, _ Request) error {
		close(asked)
		<-ctx.Done()
		return errors.New("the sender stops")
	})
	r := request(t)
	answer := make(chan error, 1)
	go func() { answer <- Ask(context.Background(), path, r) }()
	<-asked
	stop()
	contains(t, "answer", <-answer, "the sender stops")
}

// More helpers than are served at once are served one after the other.
func TestManyHelpers(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	full, closed := make(chan struct{}), false
	path, stop := serveWith(t, func(context.Context, Request) error {
		mu.Lock()
		now++
		if most = max(most, now); most == maxHelpers && !closed {
			closed = true
			close(full)
		}
		mu.Unlock()
		<-full
		mu.Lock()
		now--
		mu.Unlock()
		return &Refusal{Text: "seen"}
	})
	r := request(t)
	var all sync.WaitGroup
	for range 3 * maxHelpers {
		all.Go(func() { contains(t, "answer", Ask(t.Context(), path, r), "seen") })
	}
	all.Wait()
	stop()
	if most != maxHelpers {
		t.Errorf("%d were served at once, want %d", most, maxHelpers)
	}
}

func TestMatch(t *testing.T) {
	dir := tempDir(t)
	for _, d := range []string{"real", "real/app", "other"} {
		ok(t, os.Mkdir(dir+"/"+d, 0o755))
	}
	ok(t, os.Symlink("real", dir+"/link"))
	ok(t, os.Symlink("real/app", dir+"/direct"))
	ok(t, os.Symlink(dir+"/real/app", dir+"/absolute"))
	for configured, want := range map[string]string{
		dir + "/real/app": "", dir + "/link/app": "", dir + "/direct": "", dir + "/absolute": "",
		dir + "/other": "belongs on " + dir + "/other", dir + "/none/app": "belongs on", dir + "/real": "belongs on",
	} {
		err := Match(Request{Name: "app", Dir: dir + "/real/app"}, map[string]Place{"app": {Dir: configured}}, "sender.yaml")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", configured, err, want)
		}
	}
	var r *Refusal
	err := Match(Request{Name: "app", Dir: "/x"}, map[string]Place{"b": {Dir: "/b"}, "a": {Dir: "/a"}}, "sender.yaml")
	if !errors.As(err, &r) || r.Text != `sender.yaml has no mount "app", it has a, b` || !strings.Contains(r.Hint, "{name: app, path: /x}") {
		t.Errorf("got %+v", r)
	}
	closed := map[string]Place{"app": {"/x", true}}
	contains(t, "for all", Match(Request{Name: "app", Dir: "/x"}, closed, "sender.yaml"), "allow_other: false")
	ok(t, Match(Request{Name: "app", Dir: "/x", OwnerOnly: true}, closed, "sender.yaml"))
	contains(t, "none", Match(Request{Name: "app"}, nil, "sender.yaml"), "nor any other")
}

// What a helper sends is not believed: without descriptors nothing is a request, and names are names.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"name":"app","dir":"/var/log/app","options":["rw"],"owner_only":true}`))
	f.Add([]byte(`{"name":"","dir":"../x"}`))
	f.Add([]byte(`[{}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		err := checkRequest(&r, b, nil)
		if err == nil {
			t.Errorf("%q: got %+v without descriptors", b, r)
		}
		if strings.HasSuffix(err.Error(), "want /dev/fuse and the directory below") && (r.Name == "" || !strings.HasPrefix(r.Dir, "/") || strings.Contains(r.Dir, "/../")) {
			t.Errorf("%q: got as far as descriptors with %+v", b, r)
		}
		if r.Fuse != nil || r.Below != nil {
			t.Errorf("%q: got files", b)
		}
	})
}

// So is what a sender sends to the broker, and what the broker answers.
func FuzzBroker(f *testing.F) {
	f.Add(encode(opOpen, 0))
	f.Add(encode(opClose, 7))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := broker(b, nil, 0); err == nil {
			t.Errorf("%q: done without descriptors", b)
		}
		if _, err := broker(b, []int{0}, 0); err == nil {
			t.Errorf("%q: done on standard input", b)
		}
		if len(b) >= answerSize {
			if x, y := decode(b); string(encode(x, y)) != string(b[:answerSize]) {
				t.Errorf("%q: read as %d, %d", b, x, y)
			}
		}
	})
}
