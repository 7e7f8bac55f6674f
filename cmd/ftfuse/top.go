package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/top"
)

func newTop(t *terminal) *cobra.Command {
	var files []string
	var role string
	var every time.Duration
	c := &cobra.Command{
		Use:   "top [--interval TIME] [--role ROLE]",
		Short: "watch rates, backlog, drops and peers on a full screen",
		Long: `Watch the running sender or receiver of this machine on a full screen: rates,
their last minute, what is queued and dropped, rules and targets, or senders and
outputs. The key ? lists the keys, q quits.`,
		Example: `  ftfuse top
  ftfuse top --role receiver --interval 5s`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			if every < 200*time.Millisecond {
				return usageError{fmt.Errorf("--interval: got %s, want at least 200ms", every), "ftfuse top"}
			}
			return runTop(c.Context(), t, files, role, every)
		},
	}
	c.Flags().DurationVar(&every, "interval", time.Second, "look again every `TIME`")
	c.Flags().StringArrayVarP(&files, "config", "c", nil, "configuration `FILE` that names the control socket; may be given twice")
	roleFlag(c, &role)
	return c
}

func runTop(ctx context.Context, t *terminal, files []string, role string, every time.Duration) error {
	if !isTerminal(t.out) || !isTerminal(t.in) {
		return exitError{errors.New("standard input and output are no terminal"), exitUsage, "`ftfuse status` prints the figures, with --json for programs"}
	}
	if name := t.getenv("TERM"); name == "" || name == "dumb" {
		return exitError{fmt.Errorf("the terminal cannot move its cursor: TERM is %q", name), exitUsage, "use `ftfuse status --watch`, or set TERM"}
	}
	sockets, err := controlSockets(t, files, role)
	if err != nil {
		return err
	}
	all, err := allOf(ctx, sockets)
	if err != nil {
		return err
	}
	o := top.Options{Interval: every, Colour: t.colourful(t.out), Signals: t.signals}
	for _, a := range all {
		o.Sockets = append(o.Sockets, a.path)
	}
	return top.Run(ctx, o)
}
