package top

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gdamore/tcell/v3/vt"

	"ftfuse/internal/control"
)

// serve answers as a sender does, until the returned function is called.
func serve(t *testing.T, path string, status func() control.Status) (stop func()) {
	t.Helper()
	l, err := control.Listen(control.Socket{Path: path, Mode: 0o600, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	handlers := control.Handlers{"GET " + control.PathStatus: func(context.Context, url.Values, []byte) (any, error) { return status(), nil }}
	go func() { done <- control.Serve(ctx, l, handlers, slog.New(slog.DiscardHandler)) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// screen is a terminal of 80 columns and 24 lines with Run on it.
type screen struct {
	vt.MockTerm
	t       *testing.T
	signals chan os.Signal
	done    chan error
}

func newScreen(t *testing.T, sockets ...string) *screen {
	t.Setenv("LC_ALL", "C.UTF-8")
	s := &screen{vt.NewMockTerm(vt.MockOptSize{X: 80, Y: 24}), t, make(chan os.Signal, 1), make(chan error, 1)}
	go func() {
		s.done <- Run(t.Context(), Options{Sockets: sockets, Interval: 20 * time.Millisecond, Signals: s.signals, tty: s.MockTerm})
	}()
	return s
}

// shows waits until the screen has a text.
func (s *screen) shows(want string) {
	s.t.Helper()
	end := time.Now().Add(60 * time.Second)
	for !strings.Contains(s.text(), want) {
		if time.Now().After(end) {
			s.t.Fatalf("%q does not appear:\n%s", want, s.text())
		}
		time.Sleep(3 * time.Millisecond)
	}
}

func (s *screen) text() string {
	var b strings.Builder
	for y := range 24 {
		for x := range 80 {
			c := s.GetCell(vt.Coord{X: vt.Col(x), Y: vt.Row(y)}).C
			if c == "" {
				c = " "
			}
			b.WriteString(c)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (s *screen) ends(check func(error) bool) {
	s.t.Helper()
	select {
	case err := <-s.done:
		if !check(err) {
			s.t.Errorf("Run = %v", err)
		}
	case <-time.After(60 * time.Second):
		s.t.Fatal("Run does not end")
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "sender.sock"), filepath.Join(dir, "receiver.sock")
	stop := serve(t, one, func() control.Status { return sender(5) })
	defer serve(t, two, func() control.Status { return receiver(5) })()
	s := newScreen(t, one, two)
	s.shows("sender web1.example.net")
	s.shows("nginx > archive")
	stop()
	s.shows("nobody answers on ")
	stop = serve(t, one, func() control.Status { return sender(6) })
	s.shows("! target archive could not be reached")
	s.SendRaw([]byte("\t"))
	s.shows("receiver log1")
	s.SendRaw([]byte("?"))
	s.shows("any key goes back")
	s.SendRaw([]byte(" "))
	s.shows("20 more rows")
	s.SendRaw([]byte("p"))
	s.shows("PAUSED")
	stop()
	s.SendRaw([]byte("q"))
	s.ends(func(err error) bool { return err == nil })
}

func TestSignals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	defer serve(t, path, func() control.Status { return sender(5) })()
	s := newScreen(t, path)
	s.shows("nginx")
	s.signals <- syscall.SIGTERM
	s.ends(func(err error) bool { return errors.Is(err, SignalError{syscall.SIGTERM}) })
	s = newScreen(t, path)
	s.shows("nginx")
	s.signals <- os.Interrupt
	s.ends(func(err error) bool { return err == nil })
}
