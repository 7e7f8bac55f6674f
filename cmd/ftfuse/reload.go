package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/systemd"
)

// reloadLimit bounds a reload: plug-ins that are replaced get time to finish.
const reloadLimit = 5 * time.Minute

func newReload(t *terminal) *cobra.Command {
	var files []string
	var role string
	c := &cobra.Command{
		Use:   "reload [--role sender|receiver]",
		Short: "put the configuration as it is now in force",
		Long: `Have the running sender and receiver of this machine read their configuration
again. It is judged first: with a mistake in it nothing changes, and what was in
force stays in force. Rules change at once and as a whole, for what is captured
from then on; nothing is lost or doubled. What needs a restart is named.

Says what has changed. With mistakes it exits with 78.`,
		Example: `  ftfuse check && ftfuse reload
  systemctl reload ftfuse-sender       # the same`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			sockets, err := controlSockets(t, files, role)
			if errors.Is(err, config.ErrInvalid) {
				fmt.Fprintln(t.err, "not reloaded: what was in force stays in force")
			}
			if err != nil {
				return err
			}
			return reload(c.Context(), sockets, t.out)
		},
	}
	c.Flags().StringArrayVarP(&files, "config", "c", nil, "configuration `FILE` that names the control socket; may be given twice")
	roleFlag(c, &role)
	return c
}

// reload asks everybody who answers.
func reload(ctx context.Context, sockets []socket, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, reloadLimit)
	defer cancel()
	answered := 0
	var silent []string
	for _, s := range sockets {
		var r control.Reload
		err := control.Call(ctx, s.path, http.MethodPost, control.PathReload, nil, &r)
		switch {
		case errors.Is(err, control.ErrNotRunning) && !s.wanted:
			silent = append(silent, s.path)
			continue
		case errors.Is(err, fs.ErrPermission):
			return exitError{err, exitPermission, "run it as root, or as a member of the socket's group (control.group)"}
		case err != nil:
			return reloadError(err)
		}
		answered++
		if !systemd.InJournal() { // there the process says it itself
			sayReloaded(w, &r)
		}
	}
	if answered == 0 {
		return fmt.Errorf("%w on %s", control.ErrNotRunning, strings.Join(silent, " and "))
	}
	return nil
}

// reloadError gives a refusal the exit code of a wrong configuration.
func reloadError(err error) error {
	var e *control.Error
	if !errors.As(err, &e) {
		return err
	}
	if systemd.InJournal() { // there the process has said it itself
		err = fmt.Errorf("%w: %w", errSaid, err)
	}
	if e.Status == http.StatusUnprocessableEntity {
		return exitError{fmt.Errorf("%w: %w", config.ErrInvalid, err), exitConfig, e.Hint}
	}
	return err
}

func sayReloaded(w io.Writer, r *control.Reload) {
	if len(r.Changed) == 0 {
		fmt.Fprintln(w, "reloaded: nothing has changed")
	}
	for _, c := range r.Changed {
		fmt.Fprintln(w, c)
	}
	for _, x := range r.Warnings {
		fmt.Fprintln(w, "warning: "+x)
	}
	if len(r.Restart) > 0 {
		fmt.Fprintln(w, "needs a restart: "+strings.Join(r.Restart, ", "))
	}
}
