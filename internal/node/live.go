package node

import (
	"context"
	"log/slog"
	"time"

	"ftfuse/internal/control"
	"ftfuse/internal/systemd"
)

// liveEvery is how often `systemctl status` gets new figures, if there are any.
const liveEvery = 5 * time.Second

// live keeps the line that `systemctl status` shows.
func live(ctx context.Context, log *slog.Logger, status func() control.Status) error {
	if !systemd.Managed() {
		return nil
	}
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	var before control.Status
	said := ""
	for {
		now := status()
		if line := now.Line(before); line != said {
			said = line
			if err := systemd.Status(line); err != nil {
				log.Warn(err.Error())
			}
		}
		before = now
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
