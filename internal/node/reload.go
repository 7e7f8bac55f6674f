package node

import (
	"context"

	"ftfuse/internal/notice"
	"ftfuse/internal/systemd"
)

// reload answers SIGHUP. A sender has nothing to reopen, and says so.
func (s *sender) reload(ctx context.Context) error {
	return onHup(ctx, s.process, func() {
		s.log.Warn("SIGHUP: a running sender does not read its configuration again, nothing has changed", notice.ReloadIgnored,
			"hint", "`ftfuse check`, then restart the sender: its mounts stay")
	})
}

// reopen answers SIGHUP with new output files, for a logrotate of the operator's own.
func (r *receiver) reopen(ctx context.Context) error {
	return onHup(ctx, r.process, func() {
		for _, o := range r.outputs {
			o.Reopen()
		}
		r.log.Info("SIGHUP: output files are reopened; the configuration is not read again")
	})
}

// onHup calls do for every SIGHUP until ctx ends, and keeps the service manager posted: it waits for the end of a reload.
func onHup(ctx context.Context, p Process, do func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.Hup:
		}
		if err := systemd.Reloading(); err != nil {
			p.Log.Warn(err.Error())
		}
		do()
		p.Ready()
	}
}
