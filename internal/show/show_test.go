package show

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/carry"
	"ftfuse/internal/format"
	"ftfuse/internal/probe"
)

// paper takes what is printed until it is full.
type paper struct {
	mu   sync.Mutex
	text strings.Builder
	room int // bytes; then nothing more
}

var errTorn = errors.New("torn")

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(len(b), p.room-p.text.Len())
	p.text.Write(b[:n])
	if n < len(b) {
		return n, errTorn
	}
	return n, nil
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// start runs a receiver that prints on p.
func start(t *testing.T, p *paper) (probe.Way, context.CancelFunc, <-chan error) {
	t.Helper()
	f, err := format.New(format.Options{Format: "template", Template: "%H %F %L"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{Out: p, Format: f, Name: "rx", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, ln) }()
	return probe.Way{Network: "tcp", Address: ln.Addr().String()}, cancel, done
}

func send(ctx context.Context, state, file string, to probe.Way) (carry.Result, error) {
	f, err := carry.OpenFolder(state)
	if err != nil {
		return carry.Result{}, err
	}
	return carry.Options{Folder: f, To: to, Name: "rx"}.File(ctx, file, carry.As{Host: "h", Path: "a"})
}

// What is printed is acknowledged once; a torn page is not, and ends it with that error.
func TestPrints(t *testing.T) {
	state, file := t.TempDir(), filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(file, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &paper{room: 1000}
	to, stop, done := start(t, p)
	for _, want := range []uint64{8, 0} {
		if r, err := send(t.Context(), state, file, to); err != nil || r.Sent != want {
			t.Fatalf("got %+v, %v, want %d bytes sent", r, err, want)
		}
	}
	stop()
	if err := <-done; err != nil || p.String() != "h a one\nh a two\n" {
		t.Errorf("got %q, %v", p, err)
	}

	torn := &paper{room: 10}
	to, _, done = start(t, torn)
	ctx, giveUp := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() {
		_, err := send(ctx, state, file, to)
		sent <- err
	}()
	if err := <-done; !errors.Is(err, errTorn) || torn.String() != "h a one\nh " {
		t.Errorf("got %q, %v", torn, err)
	}
	time.AfterFunc(time.Second, giveUp) // nobody is there who could answer any more
	if err := <-sent; err == nil {
		t.Error("it was acknowledged, and not printed")
	}
	whole := &paper{room: 1000}
	to, stop, done = start(t, whole)
	if _, err := send(t.Context(), state, file, to); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-done; err != nil || whole.String() != "h a one\nh a two\n" {
		t.Errorf("got %q, %v", whole, err)
	}
}
