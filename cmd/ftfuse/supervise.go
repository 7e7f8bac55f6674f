package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"ftfuse/internal/systemd"
)

// handled are the signals that main takes.
var handled = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

// stopLimit bounds an orderly stop. The units' TimeoutStopSec is longer.
const stopLimit = 30 * time.Second

var (
	errForced   = errors.New("stopped at once by a second signal; what was captured stays queued")
	errStopSlow = fmt.Errorf("the orderly stop took longer than %s; what was captured stays queued", stopLimit)
)

// stage runs until ctx ends. It calls ready when it serves, and takes a value from hup for every SIGHUP.
type stage func(ctx context.Context, hup <-chan struct{}, ready func()) error

// supervise runs s until it ends by itself or is told to. TERM and INT ask for an orderly stop, a second one or
// stopLimit ends the waiting; the process ends soon after, as s is left behind then.
func supervise(ctx context.Context, log *slog.Logger, signals <-chan os.Signal, limit time.Duration, s stage) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hup := make(chan struct{}, 1)
	done := make(chan error, 1)
	ready := func() { warn(log, systemd.Ready()) }
	go func() { done <- s(ctx, hup, ready) }()
	var late <-chan time.Time // set while stopping
	for {
		select {
		case err := <-done:
			if late != nil && errors.Is(err, context.Canceled) {
				err = nil
			}
			if err == nil {
				log.Info("stopped")
			}
			return err
		case <-late:
			return errStopSlow
		case got := <-signals:
			switch {
			case got == syscall.SIGHUP:
				select {
				case hup <- struct{}{}:
				default: // one is waiting already
				}
			case late != nil:
				return errForced
			default:
				log.Info("stopping", "signal", got.String(), "within", limit, "hint", "a second signal stops at once")
				warn(log, systemd.Stopping())
				timer := time.NewTimer(limit)
				defer timer.Stop()
				late = timer.C
				cancel()
			}
		}
	}
}

// warn logs an error that stops nothing.
func warn(log *slog.Logger, err error) {
	if err != nil {
		log.Warn(err.Error())
	}
}
