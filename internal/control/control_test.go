package control

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// start serves handlers on a new socket until the test ends.
func start(t *testing.T, handlers Handlers) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "x.sock")
	l, err := Listen(Socket{Path: path, Mode: 0o660, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, handlers, quiet) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return path
}

func TestCall(t *testing.T) {
	path := start(t, Handlers{
		"GET /v1/explain": func(_ context.Context, q url.Values, _ []byte) (any, error) {
			var e Explanation
			e.Of(q.Get("path"))
			return e, nil
		},
		"POST /v1/echo": func(_ context.Context, _ url.Values, body []byte) (any, error) {
			return string(body), nil
		},
		"GET /v1/fail": func(context.Context, url.Values, []byte) (any, error) {
			return nil, &Error{Status: 409, Text: "no", Hint: "try later"}
		},
	})
	var e Explanation
	if err := Call(t.Context(), path, "GET", "/v1/explain?path="+url.QueryEscape("a b\xff"), nil, &e); err != nil || e.File() != "a b\xff" {
		t.Errorf("explain = %+v, %v", e, err)
	}
	var echo string
	if err := Call(t.Context(), path, "POST", "/v1/echo", []int{1}, &echo); err != nil || echo != "[1]\n" {
		t.Errorf("echo = %q, %v", echo, err)
	}
	var failure *Error
	err := Call(t.Context(), path, "GET", "/v1/fail", nil, nil)
	if !errors.As(err, &failure) || *failure != (Error{409, "no", "try later"}) {
		t.Errorf("fail = %v, want the handler's error", err)
	}
	err = Call(t.Context(), path, "GET", "/v1/unknown", nil, nil)
	if !errors.As(err, &failure) || failure.Status != 404 || failure.Hint == "" {
		t.Errorf("unknown = %v, want 404 with a hint", err)
	}
	err = Call(t.Context(), path, "POST", "/v1/echo", strings.Repeat("x", maxRequest+1), &echo)
	if !errors.As(err, &failure) || failure.Status != 413 {
		t.Errorf("too large = %v, want 413", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	if err := Call(t.Context(), path, "GET", PathStatus, nil, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v, want ErrNotRunning", err)
	}
	stale(t, path)
	if err := Call(t.Context(), path, "GET", PathStatus, nil, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("stale socket: %v, want ErrNotRunning", err)
	}
}

// stale leaves a socket file behind, as a killed process does.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	stale(t, path)
	l, err := Listen(Socket{Path: path, Mode: 0o620, GID: os.Getgid()})
	if err != nil {
		t.Fatalf("stale socket: %v, want it replaced", err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("mode = %v, %v, want 0620", info.Mode(), err)
	}
	if _, err := Listen(Socket{Path: path, Mode: 0o600, GID: -1}); !errors.Is(err, ErrInUse) {
		t.Errorf("second listener: %v, want ErrInUse", err)
	}
	file := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Socket{Path: file, Mode: 0o600, GID: -1}); err == nil || !strings.Contains(err.Error(), "got a file, want a socket") {
		t.Errorf("over a file: %v", err)
	}
	if text, err := os.ReadFile(file); string(text) != "data" {
		t.Errorf("the file is gone: %v", err)
	}
}

// A client that says nothing must not keep Serve from ending.
func TestServeEndsWithIdleClients(t *testing.T) {
	path := start(t, nil)
	for range maxConnections + 3 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
}

// A handler that takes longer than a stop gives answers, as a reload may, has ended when Serve returns: what it works on is
// closed then.
func TestServeWaitsForHandlers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	l, err := Listen(Socket{Path: path, Mode: 0o600, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	begun, left := make(chan struct{}), make(chan struct{})
	var ended atomic.Bool
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, Handlers{"POST /v1/slow": func(context.Context, url.Values, []byte) (any, error) {
			close(begun)
			<-left                            // the connection is closed: nobody waits for the answer
			time.Sleep(50 * time.Millisecond) // work
			ended.Store(true)
			return nil, nil
		}}, quiet)
	}()
	called := make(chan error, 1)
	go func() { called <- Call(context.Background(), path, "POST", "/v1/slow", nil, nil) }()
	<-begun
	stop()
	if err := <-called; err == nil {
		t.Error("got an answer from a handler that is at work")
	}
	close(left)
	if err := <-served; err != nil || !ended.Load() {
		t.Errorf("Serve = %v, the handler has ended: %v, want nil and true", err, ended.Load())
	}
}

func statuses() map[string]Status {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	head := func(role string) Status {
		return Status{Role: role, Version: "0.1.0", PID: 4711, Host: "web1.example.net", Since: ago(76 * time.Hour), Now: now}
	}
	sender, receiver, fresh := head("sender"), head("receiver"), head("sender")
	sender.Trouble = []string{"mount spare: /srv/spare: no such file or directory"}
	sender.Sender = &SenderStatus{
		Spools: 12, Unseen: 3 << 10,
		Mounts: []MountStatus{
			{Name: "log", Path: "/var/log/ftfuse", State: "serving", Opens: []OpenCount{
				{"open", "append only", 91234}, {"write", "opened for reading too", 12}, {"write", "rule", 3}, {"stored", "rule", 7},
			}},
			{Name: "spare", Path: "/srv/spare/with/quite/a/long/path/that/does/not/fit/into/a/terminal", State: "failed"},
		},
		Flows: []Flow{
			{Rule: "default", Target: "default", Captured: Count{123456789012, 987654321}, Delivered: Count{123456780000, 987654300}, Queued: Count{9012, 21}},
			{Rule: "debug", Target: "default", Captured: Count{3000, 30}, Queued: Count{1000, 10},
				Dropped: Drops{"expired": {1500, 15}, "queue_full": {500, 5}}},
			{Rule: "wrong", Target: "default", Captured: Count{3000, 30}},
			{Rule: "default", Target: "alarm", Captured: Count{5000, 50}, Filtered: Count{5000, 50}},
			{Rule: "noise", Target: "alarm", Captured: Count{7000, 70}, Filtered: Count{7000, 70}},
			{Rule: "noise", Target: "default", Captured: Count{7000, 70}, Filtered: Count{7000, 70}},
		},
		Outputs: []OutputStatus{
			{Name: "copy", Type: "file", State: "waiting", Base: "/srv/copies", Files: 2, Written: Count{5000, 50}, FileBytes: 5000},
			{Name: "alarm", Type: "plugin", State: "backing-off", Base: "/usr/local/bin/alarm --now", Written: Count{900, 9}, Oldest: ago(time.Minute), Uncertain: 70,
				Plugin: &PluginStatus{Starts: 4, Restarts: 3, LastExit: "exit status 2", ExitedAt: ago(2 * time.Second)}},
			{Name: "mail", Type: "plugin", State: "running", Base: "/usr/local/bin/mail", Plugin: &PluginStatus{PID: 77, Starts: 1, InFlight: 300}},
		},
		Queue: QueueStatus{Bytes: 7 << 30, MaxSize: 8 << 30, DiskFree: 40 << 30, MinFree: 512 << 20, Oldest: ago(200 * time.Second), Epoch: 3, State: "ok"},
		Targets: []TargetStatus{{Name: "default"}, {Name: "site", Policy: "failover", Oldest: ago(3 * time.Second), HandOvers: 2, Uncertain: Count{1 << 20, 9000},
			DNS: "resolve dns:logs.example.net:24747: server misbehaving", DNSSince: ago(time.Minute)}, {Name: "copies", Policy: "broadcast"}},
		Peers: []PeerStatus{
			{Target: "site", Member: "first", Address: "10.0.0.1:24747", State: "waiting", Role: "away", Since: ago(70 * time.Second), Waiting: Count{0, 0}, Sent: Count{5 << 20, 40000}, Acked: Count{4 << 20, 31000},
				Error: "connect: dial tcp 10.0.0.1:24747: connect: connection refused", ErrorAt: ago(2 * time.Second)},
			{Target: "site", Member: "10.0.0.2:24747", Address: "10.0.0.2:24747", State: "connected", Role: "active", Since: ago(time.Minute), Waiting: Count{3 << 20, 20000}, Oldest: ago(3 * time.Second), InFlight: 1 << 20,
				ByteRate: 4e6, Sent: Count{3 << 20, 25000}, Acked: Count{2 << 20, 16000}, Machine: "logs2"},
			{Target: "site", Member: "third", Address: "10.0.0.3:24747", State: "idle", Role: "standby"},
			{Target: "copies", Member: "here", Address: "10.0.0.1:24747", State: "connected", Since: ago(time.Minute)},
			{Target: "default", Address: "logs.example.net:24747", State: "connected", Since: ago(3 * time.Hour), RTT: 420 * time.Microsecond,
				InFlight: 1 << 20, ByteRate: 12.3e6, Old: Count{6 << 30, 5e7}, Fresh: Count{3 << 20, 3e4}, Sent: Count{9 << 30, 7654321}, Acked: Count{9<<30 - 1<<20, 7650000}, Reconnects: 4, Error: "read: connection reset\x1b[2J by peer", ErrorAt: ago(3 * time.Hour)},
		},
	}
	receiver.Receiver = &ReceiverStatus{
		Listen: []string{"127.0.0.1:24747"}, Memory: 3 << 20, Limit: 256 << 20, Refused: map[string]uint64{"too_many": 12, "slow": 1, "clone": 0},
		Peers: []SourceStatus{{Host: "web1.example.net", Address: "10.0.0.7:51234", State: "connected", Since: ago(time.Minute), Received: Count{5e9, 4e7}, Duplicates: Count{3 << 20, 1}, ByteRate: 4e5,
			Error: "put to output files: no space left on device\nput to output json: no space left on device"}},
		Outputs: []OutputStatus{{Name: "files", Base: "/var/log/ftfuse-received", Files: 12, Written: Count{5e9, 4e7}, FileBytes: 5e9,
			Gaps: 3, Missing: Drops{"queue_full": {1500, 15}, "expired": {1, 1}}, Unowned: 77, Uncertain: 5, Error: "write: no space left on device", ErrorAt: ago(5 * time.Second)}},
	}
	outputs := head("sender")
	outputs.Sender = &SenderStatus{Queue: QueueStatus{State: "ok"}, Outputs: []OutputStatus{
		{Name: "copies", Type: "file", State: "writing", Base: "below mount log: copies", Oldest: ago(2 * time.Second), Files: 3, Written: Count{5e9, 4e7}, FileBytes: 5e9},
		{Name: "journal", Type: "journal", State: "failing", Base: "the journal", Error: "journald does not read", ErrorAt: ago(5 * time.Second)},
		{Name: "count", Type: "plugin", State: "running", Base: "/usr/local/bin/count.sh --by first-word", Oldest: ago(70 * time.Second), Written: Count{3e6, 2e4}, Gaps: 1, Uncertain: 5,
			Plugin: &PluginStatus{PID: 815, Starts: 3, Restarts: 2, LastExit: "exit status 1\x1b[2J", ExitedAt: ago(3 * time.Hour), InFlight: 3000, Lag: 2 * time.Second, StderrLines: 12, LinesLost: 2}},
		{Name: "alarm", Type: "plugin", State: "backing-off", Base: "/usr/local/bin/alarm", Error: "stdout file: no space left on device", ErrorAt: ago(2 * time.Minute),
			Plugin: &PluginStatus{Starts: 12, Restarts: 12, LastExit: "killed by SIGSEGV, core dumped", ExitedAt: ago(20 * time.Second)}},
	}}
	outputs.Judge(5 * time.Minute)
	receiver.Receiver.Outputs = append(receiver.Receiver.Outputs, OutputStatus{Name: "store", Type: "plugin", State: "running", Base: "/usr/local/bin/store.py", Oldest: ago(time.Second), Written: Count{4e9, 3e7},
		Plugin: &PluginStatus{PID: 816, Starts: 1}})
	relay := head("receiver")
	relay.Receiver = &ReceiverStatus{Listen: []string{":24747"}, Limit: 32 << 20,
		Peers: []SourceStatus{{Host: "web1.example.net", Address: "10.0.0.7:51234", State: "connected", Since: ago(time.Hour), Received: Count{7000, 70}}},
		Queue: &QueueStatus{Bytes: 3700 << 20, MaxSize: 4 << 30, DiskFree: 40 << 30, MinFree: 512 << 20, Oldest: ago(time.Hour), Epoch: 1, State: "ok", LastLoss: ago(3 * time.Second)},
		Flows: []Flow{
			{Rule: "default", Target: "central", Captured: Count{3701 << 20, 2000}, Delivered: Count{500 << 10, 50}, Queued: Count{3700 << 20, 1900}, Filtered: Count{500 << 10, 40}, Dropped: Drops{"queue_full": {24 << 10, 10}}},
			{Rule: "web", Target: "central", Captured: Count{500, 5}, Delivered: Count{400, 4}, Dropped: Drops{"queue_full": {100, 1}}},
			{Rule: "default", Target: "site/a", Captured: Count{3701 << 20, 2000}, Filtered: Count{3701 << 20, 2000}},
			{Rule: "web", Target: "site/a", Captured: Count{500, 5}, Filtered: Count{500, 5}},
		},
		Targets: []TargetStatus{{Name: "central", Oldest: ago(time.Hour)}, {Name: "site", Policy: Broadcast}},
		Receivers: []PeerStatus{
			{Target: "central", Address: "logs.example.net:24747", State: "waiting", Since: ago(50 * time.Minute), Waiting: Count{3700 << 20, 1900}, Oldest: ago(time.Hour),
				Sent: Count{500 << 10, 54}, Acked: Count{500 << 10, 54}, Error: "connect: connection refused", ErrorAt: ago(time.Second)},
			{Target: "site", Member: "a", Address: "10.0.0.9:24747", State: "connected", Since: ago(time.Minute), ByteRate: 5000},
		}}
	relay.Judge(5 * time.Minute)
	fresh.Sender = &SenderStatus{Queue: QueueStatus{State: "ok"}}
	empty := head("receiver")
	empty.Receiver = &ReceiverStatus{Listen: []string{":1"}}
	return map[string]Status{"sender": sender, "receiver": receiver, "sender-outputs": outputs, "relay": relay, "sender-fresh": fresh, "receiver-fresh": empty}
}

func TestPrint(t *testing.T) {
	for name, s := range statuses() {
		var b bytes.Buffer
		if err := s.Print(&b, Style{Width: 80}); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(b.String(), "\n") {
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Errorf("%s: %d columns in %q, want at most 80", name, n, line)
			}
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("%s: escape sequences without colours", name)
		}
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || b.String() != string(want) {
			t.Errorf("%s: %v, got:\n%swant:\n%s", name, err, b.String(), want)
		}
	}
}

func TestHuman(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 1 << 30: "1.00 GiB", 1023 << 20: "1.00 GiB", 999 << 20: "999 MiB", 1 << 63: "8.00 EiB"} {
		if got := humanBytes(n); got != want {
			t.Errorf("humanBytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[uint64]string{999: "999", 1000: "1.00k", 999999: "1.00M", 98765: "98.8k"} {
		if got := humanCount(n); got != want {
			t.Errorf("humanCount(%d) = %q, want %q", n, got, want)
		}
	}
	got := fmt.Sprintln(humanFor(76*time.Hour), humanFor(420*time.Microsecond), humanFor(1500*time.Millisecond), humanFor(61*time.Second), humanFor(0))
	if want := "3d4h 420µs 1.5s 1m1s 0s\n"; got != want {
		t.Errorf("humanFor: got %q, want %q", got, want)
	}
}

func TestRecordsGiveWayToWhatWasDropped(t *testing.T) {
	many := Count{123456789012, 987654321}
	r := QueueReport{Flows: []Flow{{Rule: "default", Target: "default", Captured: many.Plus(many).Plus(many), Delivered: many, Queued: many,
		Dropped: Drops{"expired": many}}}}
	for width, want := range map[int]string{70: "115 GiB\n", 120: "115 GiB 988M\n"} {
		var b bytes.Buffer
		if err := r.Print(&b, Style{Width: width}); err != nil {
			t.Fatal(err)
		}
		if row := "default > default "; !strings.Contains(b.String(), row) || !strings.Contains(b.String()[strings.Index(b.String(), row):], want) || strings.Contains(b.String(), "…") {
			t.Errorf("%d columns: got %q, want the row of %s to end with %q, uncut", width, b.String(), row, want)
		}
	}
}

// What the DNS has never told has no last answer that could hold.
func TestDNSWithoutAnswer(t *testing.T) {
	now := time.Now()
	site := []TargetStatus{{Name: "site", Policy: "failover", DNS: "no such host", DNSSince: now.Add(-time.Minute)}}
	for _, c := range []struct {
		peers []PeerStatus
		want  string
	}{
		{nil, "does not tell, and there was no answer before: all waits: no such host"},
		{[]PeerStatus{{Target: "other"}}, "and there was no answer before"},
		{[]PeerStatus{{Target: "site", Member: "10.0.0.1:24747"}}, "does not tell, its last answer holds: no such host"},
	} {
		said := fmt.Sprint(targetTable(site, c.peers, now))
		if !strings.Contains(said, c.want) {
			t.Errorf("%+v: got %s, want %q", c.peers, said, c.want)
		}
	}
}
