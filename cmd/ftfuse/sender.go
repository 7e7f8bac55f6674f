package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/node"
	"ftfuse/internal/systemd"
)

func newSender(t *terminal) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "sender [--config FILE]",
		Short: "capture mounted directories and deliver what is written there",
		Long: `Run a sender: mount the directories that the configuration names, capture what
is written to files in them, and deliver it to receivers. Needs to be root, or
to have CAP_SYS_ADMIN.

TERM and INT stop it in order within ` + stopLimit.String() + `; a second one stops it at once.
Nothing that was captured is lost either way: it stays queued on disk.`,
		Example: `  # with /etc/ftfuse/sender.yaml
  ftfuse sender

  # with a file of one's own, and more to see
  FTFUSE_LOG_LEVEL=debug ftfuse sender --config ./sender.yaml`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, report, err := loadSender(t, file)
			if err != nil {
				return keepMounts(t, err)
			}
			log := t.logger(cfg.Log)
			logStart(log, "sender", report)
			return supervise(c.Context(), log, t.signals, stopLimit, func(ctx context.Context, hup <-chan struct{}, ready func()) error {
				p, err := process(config.RoleSender, log, hup, ready)
				if err != nil {
					return err
				}
				return mountHinted(cfg, node.RunSender(ctx, cfg, reloader(t, file, loadSender), p))
			})
		},
	}
	configFlag(c, &file, config.RoleSender)
	return c
}

// mendTime is how long a sender with mistakes in its configuration lives on when mounts wait for it.
const mendTime = 5 * time.Second

// keepMounts makes of a mistake in the configuration one that a restart may mend, if the service manager keeps mounts for
// us: it would drop them with a service that it does not start again. Programs wait until the mistake is gone.
func keepMounts(t *terminal, err error) error {
	given, e := systemd.Take()
	if e != nil || len(given.Stored()) == 0 {
		return err
	}
	given.Close()
	t.fail(err)
	select { // not ten times a second
	case <-time.After(mendTime):
	case <-t.signals:
	}
	return exitError{errors.New("mounts wait for a configuration without mistakes"), exitFailed,
		"correct it: the next attempt comes by itself; `ftfuse check` says what is wrong"}
}

// mountHinted adds to an error what to do about a directory that does not exist.
func mountHinted(cfg *config.Sender, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && errors.Is(err, fs.ErrNotExist) && slices.Contains(mountPaths(cfg), p.Path) {
		return exitError{err, exitFailed, "make the directory: `mkdir -p " + p.Path + "`"}
	}
	return err
}

func mountPaths(cfg *config.Sender) []string {
	paths := make([]string, len(cfg.Mounts))
	for i, m := range cfg.Mounts {
		paths[i] = m.Path
	}
	return paths
}

func configFlag(c *cobra.Command, file *string, role config.Role) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration `FILE` (default "+config.DefaultFile(role)+")")
}

// loadSender reads the configuration from file, or from where the environment or the default says.
func loadSender(t *terminal, file string) (*config.Sender, *config.Report, error) {
	src, err := config.Locate(config.RoleSender, file, t.environ)
	if err != nil {
		return nil, nil, err
	}
	return readSender(src)
}

// readSender is readReceiver for a sender.
func readSender(src config.Sources) (*config.Sender, *config.Report, error) {
	cfg, report, err := config.LoadSender(src)
	if err != nil {
		return nil, report, err
	}
	if err := mistakes(report, node.CheckSender(cfg)); err != nil {
		return nil, report, err
	}
	return cfg, report, nil
}

// reloader reads a configuration again from where it came from.
func reloader[C any](t *terminal, file string, load func(*terminal, string) (*C, *config.Report, error)) node.Load[C] {
	return func() (*C, []string, error) {
		cfg, report, err := load(t, file)
		if err != nil {
			return nil, nil, err
		}
		warnings := make([]string, len(report.Warnings))
		for i, w := range report.Warnings {
			warnings[i] = w.Error()
		}
		return cfg, warnings, nil
	}
}

// process gathers what a node has of this process.
func process(role config.Role, log *slog.Logger, hup <-chan struct{}, ready func()) (node.Process, error) {
	given, err := systemd.Take()
	if err != nil {
		return node.Process{}, err
	}
	in, err := node.Inherit(role, given)
	v, _ := built()
	return node.Process{Version: v, Log: log, Hup: hup, Ready: ready, Inherited: in}, err
}

// logStart says with what a daemon starts, and what is doubtful about it.
func logStart(log *slog.Logger, role string, report *config.Report) {
	v, c := built()
	log.Info("starting "+role, "version", v, "commit", c, "files", report.Files)
	for _, w := range report.Warnings {
		if w.Hint == "" {
			log.Warn(w.Error())
		} else {
			log.Warn(w.Error(), "hint", w.Hint)
		}
	}
}
