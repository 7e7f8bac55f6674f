package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/ingest"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// serve answers every connection with f until the test ends.
func serve(t *testing.T, network, address string, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				f(nc)
			}()
		}
	}()
	return ln.Addr().String()
}

// say sends a text to whoever connects, and reads until that closes.
func say(text string) func(net.Conn) {
	return func(nc net.Conn) {
		_, _ = io.WriteString(nc, text)
		_, _ = io.Copy(io.Discard, nc)
	}
}

// welcome answers HELLO with w, and PINGs.
func welcome(w wire.Control) func(net.Conn) {
	return func(nc net.Conn) {
		if _, _, err := wire.ReadControl(nc, nil); err != nil {
			return
		}
		_, _ = nc.Write(wire.Ping{Token: 99}.Append(nil)) // it may ask too, while it makes up its mind
		_, _ = nc.Write(w.Append(nil))
		for {
			f, _, err := wire.ReadControl(nc, nil)
			if err != nil {
				return
			}
			if p, ok := f.(wire.Ping); ok {
				_, _ = nc.Write(wire.Pong(p).Append(nil))
			}
		}
	}
}

var limits = wire.Limits{Body: wire.MinBody, Chunks: 1, IdleMillis: 60000}

// patience bounds what must happen, unanswered is for what does not. Where something must happen before, unanswered may be too short
// on a slow machine, and is enough for any at tooSlow.
const patience, unanswered, tooSlow = time.Minute, time.Second, 20 * time.Second

func ask(network, address string, timeout time.Duration) *Report {
	return Run(context.Background(), Options{Way: Way{Network: network, Address: address}, Count: 3, Timeout: timeout})
}

func texts(r *Report) string {
	var b strings.Builder
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "%s %s: %s | %s\n", s.Result, s.Name, s.Text, s.Hint)
	}
	return b.String()
}

// closed is an address where nobody listens, and nobody else can until the test ends.
func closed(t *testing.T) string {
	t.Helper()
	_, at := bound(t)
	return at
}

// bound is a socket with an address.
func bound(t *testing.T) (fd int, at string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	name, err2 := unix.Getsockname(fd)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return fd, fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// Each way to fail is a step that says what and what to do.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		network, address string
		step, text, hint string
	}{
		"closed port": {"tcp", closed(t), "TCP", "connection refused", "is `ftfuse-receiver.socket` enabled"},
		"no socket":   {"unix", filepath.Join(t.TempDir(), "none"), "socket", "there is no socket", "ListenStream"},
		"no name":     {"tcp", "no.such.host.invalid:1", "DNS", "no.such.host.invalid", ""},
		"no port":     {"tcp", "localhost", "DNS", "missing port", "HOST:PORT"},
		"silence":     {"tcp", serve(t, "tcp", "127.0.0.1:0", say("")), "authentication", "says nothing", "something else listens"},
		"ssh":         {"tcp", serve(t, "tcp", "127.0.0.1:0", say("SSH-2.0-OpenSSH_9.2\r\n")), "authentication", `it answered "SSH-2.0-OpenSSH_9.2"`, "no ftfuse receiver"},
		"tls":         {"tcp", serve(t, "tcp", "127.0.0.1:0", say("\x15\x03\x01\x00\x02\x02\x46")), "authentication", "answered by TLS", "set `tls`"},
		"closes":      {"tcp", serve(t, "tcp", "127.0.0.1:0", func(nc net.Conn) { _, _, _ = wire.ReadControl(nc, nil) }), "authentication", "without a word", "journal"},
		"denied": {"tcp", serve(t, "tcp", "127.0.0.1:0", welcome(wire.Nack{Code: wire.Denied, Text: "not you"})), "authentication",
			"refused: denied: not you", "does not let this machine"},
		"version": {"tcp", serve(t, "tcp", "127.0.0.1:0", welcome(wire.Nack{Code: wire.NoVersion, Text: "got 1"})), "authentication", "no common version", "upgrade"},
		"goes":    {"tcp", serve(t, "tcp", "127.0.0.1:0", welcome(wire.Goaway{Code: wire.GoingDown})), "authentication", "going away", "try again"},
		"limits": {"tcp", serve(t, "tcp", "127.0.0.1:0", welcome(wire.Welcome{Version: wire.Version, Limits: wire.Limits{Body: 1}})),
			"limits", "check limits", "upgrade"},
		"no pong": {"tcp", serve(t, "tcp", "127.0.0.1:0", func(nc net.Conn) {
			_, _, _ = wire.ReadControl(nc, nil)
			_, _ = nc.Write(wire.Welcome{Version: wire.Version, Limits: limits}.Append(nil))
			_, _ = io.Copy(io.Discard, nc)
		}), "round trip", "PING 1 of 3: no answer in time", "overloaded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := patience
			if name == "silence" || name == "no pong" {
				timeout = unanswered
			}
			for ; ; timeout *= 4 {
				r := ask(c.network, c.address, timeout)
				f := r.Failure()
				if f != nil && f.Name == c.step && strings.Contains(f.Text, c.text) && strings.Contains(f.Hint, c.hint) {
					return
				}
				if timeout > tooSlow {
					t.Fatalf("want %s to fail with %q, hint %q, got\n%s", c.step, c.text, c.hint, texts(r))
				}
			}
		})
	}
}

// A firewall that throws packets away, as a listener does whose queue is full.
func TestBlackhole(t *testing.T) {
	fd, at := bound(t)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for full := 0; full < 3; full++ { // one fits its queue; an attempt may also fail as the machine is busy
		if nc, err := net.DialTimeout("tcp", at, 300*time.Millisecond); err == nil {
			defer nc.Close()
			full = 0
		}
	}
	r := ask("tcp", at, unanswered)
	if f := r.Failure(); f == nil || f.Name != "TCP" || !strings.Contains(f.Hint, "firewall") {
		t.Errorf("got\n%s", texts(r))
	}
}

// An older receiver says less; a clock that is off and a receiver that takes nothing are warnings.
func TestOlder(t *testing.T) {
	r := ask("tcp", serve(t, "tcp", "127.0.0.1:0", welcome(wire.Welcome{Version: wire.Version, Credit: 1 << 20, Limits: limits})), patience)
	if got := texts(r); r.Failure() != nil || strings.Count(got, "older version") != 2 || !strings.Contains(got, "1 MiB may be under way") {
		t.Errorf("got\n%s", got)
	}
	w := wire.Welcome{Version: wire.Version, Limits: limits, Receiver: record.SenderID{1}, Name: "rx", Time: uint64(time.Now().Add(-time.Hour).UnixNano())}
	r = ask("unix", serve(t, "unix", filepath.Join(t.TempDir(), "s"), welcome(w)), patience)
	got := texts(r)
	if r.Failure() != nil || !strings.Contains(got, "warning clock") || !strings.Contains(got, "behind this one") || !strings.Contains(got, "warning credit") {
		t.Errorf("got\n%s", got)
	}
	if d := r.Difference + time.Hour; d.Abs() > time.Minute || len(r.RoundTrips) != 3 {
		t.Errorf("got %v, %v", r.Difference, r.RoundTrips)
	}
}

// sink is an output that knows one stream.
type sink struct{ mark record.Durable }

func (s sink) Put(context.Context, []record.Chunk) error { return errors.New("nothing should come") }
func (s sink) Mark(_ context.Context, st record.Stream) (record.Durable, error) {
	if st == s.mark.Stream {
		return s.mark, nil
	}
	return record.Durable{}, nil
}

// The real receiver tells all; asking it replaces nobody.
func TestReceiver(t *testing.T) {
	mark := record.Durable{Stream: record.Stream{Sender: record.SenderID{3}, Epoch: 4}, Seq: 5, Chain: 6}
	s, err := ingest.New(ingest.Options{Output: sink{mark}, ID: record.SenderID{9}, Name: "rx1"})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	var told []string
	r := Run(t.Context(), Options{Way: Way{Network: "tcp", Address: "localhost:" + port}, Streams: []record.Stream{mark.Stream}, Count: 5, Timeout: patience,
		Told: func(s Step) { told = append(told, s.Name) }})
	if got, want := strings.Join(told, " "), "DNS TCP TLS authentication version credit limits receiver round trip clock"; got != want || r.Failure() != nil {
		t.Errorf("got %q, want %q\n%s", got, want, texts(r))
	}
	least, median := r.RoundTrip()
	if r.Mark(mark.Stream) != mark || least <= 0 || median < least || r.Difference.Abs() > r.Doubt+time.Millisecond {
		t.Errorf("got mark %v, round trip %v, %v, clock %v give or take %v", r.Mark(mark.Stream), least, median, r.Difference, r.Doubt)
	}
	if !strings.Contains(texts(r), "rx1, 09000000") {
		t.Errorf("got\n%s", texts(r))
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TLS is whatever the way wraps a connection in.
func TestWrap(t *testing.T) {
	at := serve(t, "tcp", "127.0.0.1:0", welcome(wire.Welcome{Version: wire.Version, Credit: 1, Limits: limits}))
	way := Way{Network: "tcp", Address: at, Wrap: func(_ context.Context, nc net.Conn) (net.Conn, string, error) { return nc, "TLS 1.3 with rx1", nil }}
	if r := Run(t.Context(), Options{Way: way, Timeout: patience}); r.Failure() != nil || !strings.Contains(texts(r), "ok TLS: TLS 1.3 with rx1") {
		t.Errorf("got\n%s", texts(r))
	}
	way.Wrap = func(_ context.Context, nc net.Conn) (net.Conn, string, error) {
		nc.Close()
		return nil, "", errors.New("expired")
	}
	if r := Run(t.Context(), Options{Way: way, Timeout: patience}); r.Failure() == nil || !strings.Contains(texts(r), "failed TLS: expired") {
		t.Errorf("got\n%s", texts(r))
	}
	if nc, err := way.Dial(t.Context()); err == nil {
		nc.Close()
		t.Error("got a connection")
	}
}
