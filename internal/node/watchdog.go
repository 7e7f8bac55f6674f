package node

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/pulse"
	"ftfuse/internal/systemd"
)

// watchdog tells the service manager, within the time that its unit says, that every worker gets on. It stops
// telling when one has been at the same piece of work for half of that time, and goes on when that is done: so less
// than half of it disturbs nobody, and whatever hangs for twice as long as it has the process killed and started anew.
// An idle worker is well.
func watchdog(ctx context.Context, log *slog.Logger, all *pulse.Group) error {
	limit := systemd.WatchdogInterval()
	if limit == 0 {
		return nil
	}
	tick := time.NewTicker(limit / 8)
	defer tick.Stop()
	var hung []string
	for {
		now := all.Hung(time.Now(), limit/2)
		if !slices.Equal(now, hung) {
			sayHung(log, now, limit)
		}
		if hung = now; len(hung) == 0 {
			if err := systemd.Alive(); err != nil {
				log.Warn(err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func sayHung(log *slog.Logger, hung []string, limit time.Duration) {
	if len(hung) == 0 {
		log.Warn("what hung goes on")
		return
	}
	log.Error("hangs: the service manager starts us anew if it does not go on", notice.Hung, "workers", strings.Join(hung, ", "),
		"for", limit/2, "hint", "look for a disk or network file system that does not answer")
}
