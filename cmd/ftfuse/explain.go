package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/node"
)

// askLimit bounds one question to a running sender or receiver.
const askLimit = 10 * time.Second

func newExplain(t *terminal) *cobra.Command {
	var file, role, host string
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain [--role receiver --host NAME] [--json] PATH",
		Short: "say what happens to a file, and why",
		Long: `Say which rule decides about a file below a mount, why the other rules that
match do not, how it is captured and made into records, what filters and limits
do to these, and where they go. The file need not exist. Asks the running
sender; if there is none, the configuration answers.

With --role receiver: what a receiver does with what the host NAME sends. PATH
is the path below the sender's mount then.

Each filter is followed by what it costs: the fixed texts without which it is
not asked, or that it looks at every record.`,
		Example: `  ftfuse explain /var/log/ftfuse/nginx/access.log
  ftfuse explain --role receiver --host web1 nginx/access.log`,
		Args: arguments(1, 1, "one PATH"),
		RunE: func(c *cobra.Command, args []string) error {
			q, err := explainQuery(role, host, args[0])
			if err != nil {
				return err
			}
			e, err := explain(c.Context(), t, file, q)
			if err != nil {
				return tellPermission(err)
			}
			if asJSON {
				enc := json.NewEncoder(t.out)
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				return enc.Encode(e)
			}
			_, err = t.out.Write([]byte(explanation(q, e)))
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE` (default "+config.DefaultFile(config.RoleSender)+" or receiver.yaml)")
	c.Flags().StringVar(&role, "role", string(config.RoleSender), "`sender` or receiver")
	c.Flags().StringVar(&host, "host", "", "of a receiver: the `NAME` of the sending machine")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// question is what is asked.
type question struct {
	role       config.Role
	path, host string
}

func explainQuery(role, host, path string) (q question, err error) {
	wrong := func(format string, args ...any) (question, error) {
		return question{}, usageError{fmt.Errorf(format, args...), "ftfuse explain"}
	}
	q = question{config.Role(role), path, host}
	switch {
	case q.role != config.RoleSender && q.role != config.RoleReceiver:
		return wrong("--role: got %q, want sender or receiver", role)
	case q.role == config.RoleReceiver && host == "":
		return wrong("--host: got none, want the name of the sending machine: rules of a receiver can be for hosts")
	case q.role == config.RoleReceiver && filepath.IsAbs(path):
		return wrong("got path %s, want it as below the sender's mount, like nginx/access.log", path)
	case q.role == config.RoleSender && host != "":
		return wrong("--host: goes with --role receiver only")
	case q.role == config.RoleSender:
		q.path, err = filepath.Abs(path)
	}
	return q, err
}

// explain asks the running sender or receiver, or the configuration if there is none. One at the usual place answers
// also when the usual configuration is missing or has mistakes.
func explain(ctx context.Context, t *terminal, file string, q question) (*control.Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	socket, byConfiguration, broken := explainer(t, file, q)
	if broken != nil && file != "" {
		return nil, broken
	}
	var e control.Explanation
	query := url.Values{"path": {q.path}, "host": {q.host}}
	err := control.Call(ctx, socket, http.MethodGet, control.PathExplain+"?"+query.Encode(), nil, &e)
	switch {
	case err == nil, !errors.Is(err, control.ErrNotRunning):
		return &e, err
	case broken != nil:
		return nil, broken
	}
	e, err = byConfiguration()
	return &e, err
}

// explainer returns where a process may answer, and what answers by the configuration.
func explainer(t *terminal, file string, q question) (socket string, answer func() (control.Explanation, error), err error) {
	if q.role == config.RoleReceiver {
		cfg, _, err := loadReceiver(t, file)
		if err != nil {
			return usualSocket(q.role), nil, err
		}
		return cfg.Control.Socket, func() (control.Explanation, error) { return node.ExplainReceiver(cfg, q.host, q.path) }, nil
	}
	cfg, _, err := loadSender(t, file)
	if err != nil {
		return usualSocket(q.role), nil, err
	}
	return cfg.Control.Socket, func() (control.Explanation, error) { return node.ExplainSender(cfg, q.path) }, nil
}
