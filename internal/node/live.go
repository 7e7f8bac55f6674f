package node

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"ftfuse/internal/control"
	"ftfuse/internal/notice"
	"ftfuse/internal/systemd"
)

// liveEvery is how often `systemctl status` gets new figures, if there are any.
const liveEvery = 5 * time.Second

// live keeps the line that `systemctl status` shows, and says when something becomes wrong or well again.
func live(ctx context.Context, log *slog.Logger, status func() control.Status) error {
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	var before control.Status
	var told []control.Reason
	said := ""
	for first := true; ; first = false {
		now := status()
		if line := now.Line(before); line != said {
			said = line
			if err := systemd.Status(line); err != nil {
				log.Warn(err.Error())
			}
		}
		if !first { // mounts are handed over only when the sender serves
			sayTurns(log, told, now.Unhealthy)
			told = now.Unhealthy
		}
		before = now
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// notices are what the codes of reasons are in the journal.
var notices = map[string]slog.Attr{
	control.MountNotServed:    notice.MountNotServed,
	control.TargetUnreachable: notice.ReceiverUnreachable,
	control.TargetStalled:     notice.ReceiverStalled,
	control.QueueFilling:      notice.QueueFilling,
	control.QueueFull:         notice.QueueFull,
	control.Dropping:          notice.DataDropped,
	control.OutputFailing:     notice.OutputFailing,
	control.PluginEnding:      notice.PluginEnded,
}

// sayTurns says once what is wrong now, and what was and is no more.
func sayTurns(log *slog.Logger, before, now []control.Reason) {
	for _, r := range now {
		if !among(before, r) {
			level := slog.LevelError
			if r.Code == control.QueueFilling || r.Code == control.MountNotServed { // nothing is lost yet; an operator may want it so
				level = slog.LevelWarn
			}
			log.Log(context.Background(), level, r.Text, notices[r.Code], "subject", r.Subject)
		}
	}
	for _, r := range before {
		if !among(now, r) {
			log.Info("no more: "+r.Text, "was", r.Code, "subject", r.Subject)
		}
	}
}

func among(list []control.Reason, r control.Reason) bool {
	return slices.ContainsFunc(list, func(o control.Reason) bool { return o.Code == r.Code && o.Subject == r.Subject })
}
