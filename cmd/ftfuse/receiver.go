package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/node"
)

func newReceiver(t *terminal) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "receiver [--config FILE]",
		Short: "accept what senders deliver and write it to files",
		Long: `Run a receiver: listen for senders, and append what they deliver to files, each
line once. HUP has it read its configuration again, as ftfuse reload does, and
open its files anew, for a logrotate of its own.

TERM and INT stop it in order within ` + stopLimit.String() + `; a second one stops it at once.
Senders keep what has not been acknowledged.`,
		Example: `  # with /etc/ftfuse/receiver.yaml
  ftfuse receiver

  # at another port, into another directory
  FTFUSE_LISTEN=[::1]:7000 FTFUSE_OUTPUTS_FILES_BASE=/srv/logs ftfuse receiver`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, report, err := loadReceiver(t, file)
			if err != nil {
				return err
			}
			log := t.logger(cfg.Log)
			logStart(log, "receiver", report)
			return supervise(c.Context(), log, t.signals, stopLimit, func(ctx context.Context, hup <-chan struct{}, ready func()) error {
				p, err := process(config.RoleReceiver, log, hup, ready)
				if err != nil {
					return err
				}
				return node.RunReceiver(ctx, cfg, reloader(t, file, loadReceiver), p)
			})
		},
	}
	configFlag(c, &file, config.RoleReceiver)
	return c
}

// loadReceiver reads the configuration from file, or from where the environment or the default says.
func loadReceiver(t *terminal, file string) (*config.Receiver, *config.Report, error) {
	src, err := config.Locate(config.RoleReceiver, file, t.environ)
	if err != nil {
		return nil, nil, err
	}
	return readReceiver(src)
}

// readReceiver is config.LoadReceiver, and has those who work by the configuration judge what is for them.
func readReceiver(src config.Sources) (*config.Receiver, *config.Report, error) {
	cfg, report, err := config.LoadReceiver(src)
	if err != nil {
		return nil, report, err
	}
	if err := mistakes(report, node.CheckReceiver(cfg)); err != nil {
		return nil, report, err
	}
	return cfg, report, nil
}

// mistakes names the places of what has been found wrong, and adds what is doubtful to the report. It returns nil if nothing
// was wrong.
func mistakes(report *config.Report, found []node.Mistake) error {
	var bad config.Problems
	for _, m := range found {
		p := report.Problem(m.Key, m.Text)
		p.Hint = m.Hint
		if p.Warning = m.Doubt; m.Doubt {
			report.Warnings = append(report.Warnings, p)
			continue
		}
		bad = append(bad, p)
	}
	if len(bad) == 0 {
		return nil
	}
	slices.SortStableFunc(bad, func(a, b config.Problem) int {
		return cmp.Or(cmp.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line))
	})
	return bad
}
