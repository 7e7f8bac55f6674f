package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

func supervised(t *testing.T, limit time.Duration, s stage) (chan<- os.Signal, <-chan error) {
	t.Helper()
	signals, done := make(chan os.Signal), make(chan error, 1)
	go func() { done <- supervise(t.Context(), quiet, signals, limit, s) }()
	return signals, done
}

func TestSuperviseOrderlyStop(t *testing.T) {
	signals, done := supervised(t, time.Hour, func(ctx context.Context, hup <-chan struct{}, ready func()) error {
		ready()
		<-hup
		<-ctx.Done()
		return ctx.Err()
	})
	signals <- syscall.SIGHUP
	signals <- syscall.SIGTERM
	if err := <-done; err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestSuperviseForced(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	stuck := func(context.Context, <-chan struct{}, func()) error { <-hold; return nil }
	signals, done := supervised(t, time.Hour, stuck)
	signals <- os.Interrupt
	signals <- syscall.SIGHUP
	signals <- os.Interrupt
	if err := <-done; !errors.Is(err, errForced) {
		t.Errorf("second signal: got %v, want errForced", err)
	}
	signals, done = supervised(t, time.Millisecond, stuck)
	signals <- syscall.SIGTERM
	if err := <-done; !errors.Is(err, errStopSlow) {
		t.Errorf("after the limit: got %v, want errStopSlow", err)
	}
}

func TestSuperviseFailure(t *testing.T) {
	boom := errors.New("boom")
	_, done := supervised(t, time.Hour, func(context.Context, <-chan struct{}, func()) error { return boom })
	if err := <-done; !errors.Is(err, boom) {
		t.Errorf("got %v, want boom", err)
	}
}

func TestConsole(t *testing.T) {
	var out strings.Builder
	log := slog.New(newConsole(&out, slog.LevelInfo, false)).With("target", "a b").WithGroup("g")
	log.Debug("not shown")
	log.Info("serving", "mounts", 2)
	log.Warn("slow", slog.Group("inner", "n", 1))
	slog.New(newConsole(&out, slog.LevelInfo, true)).Error("bad")
	var lines []string
	for _, line := range strings.Split(out.String(), "\n") {
		_, rest, _ := strings.Cut(line, " ")
		lines = append(lines, rest)
	}
	want := "serving  target=\"a b\" g.mounts=2\nwarning: slow  target=\"a b\" g.inner.n=1\n\x1b[31merror: \x1b[0mbad\n"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestKernelRelease(t *testing.T) {
	for release, want := range map[string]bool{
		"6.9.0": true, "6.18.44-fc-v669": true, "7.0.1": true, "6.8.0-45-generic": false, "5.15.0": false, "unknown": false,
	} {
		if got := hasPassthrough(release); got != want {
			t.Errorf("hasPassthrough(%q) = %v, want %v", release, got, want)
		}
	}
}
