package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
)

func newStatus(t *terminal) *cobra.Command {
	var files []string
	var role string
	var asJSON bool
	var watch time.Duration
	c := &cobra.Command{
		Use:   "status [--json] [--watch[=TIME]]",
		Short: "show what has been captured, delivered, queued and dropped",
		Long: `Ask the running sender and receiver of this machine what they are doing. For
every rule and target, captured = delivered + queued + filtered + dropped
holds at any moment.

A number of bytes is followed by the number of records in them, where the
terminal is wide enough.`,
		Example: `  ftfuse status
  ftfuse status --watch
  ftfuse status --json | jq '.sender.queue.bytes'`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			sockets, err := controlSockets(t, files, role)
			if err != nil {
				return err
			}
			show := func(w io.Writer) error { return showStatus(c.Context(), sockets, w, t.style(), asJSON) }
			if !c.Flags().Changed("watch") {
				return show(t.out)
			}
			return repeat(c.Context(), t, watch, show)
		},
	}
	c.Flags().StringArrayVarP(&files, "config", "c", nil, "configuration `FILE` that names the control socket; may be given twice")
	roleFlag(c, &role)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object for each process")
	c.Flags().DurationVarP(&watch, "watch", "w", 2*time.Second, "again and again, every `TIME`")
	c.Flags().Lookup("watch").NoOptDefVal = "2s"
	return c
}

// socket is a place where a sender or receiver may answer.
type socket struct {
	path   string
	wanted bool // it is an error if nobody answers
}

// controlSockets finds out whom to ask. A configuration with mistakes does not keep anybody from looking: the process
// that runs has an older one, at the usual place.
func controlSockets(t *terminal, files []string, role string) ([]socket, error) {
	var sockets []socket
	if len(files) > 0 {
		list, err := configurations(t, files, role)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			path, err := socketOf(c)
			if err != nil {
				return nil, err
			}
			sockets = append(sockets, socket{path, true})
		}
		return sockets, nil
	}
	for _, r := range []config.Role{config.RoleSender, config.RoleReceiver} {
		if role != "" && role != string(r) {
			continue
		}
		src, err := config.Locate(r, "", t.environ)
		if err != nil {
			return nil, err
		}
		path, err := socketOf(configuration{r, src})
		if err != nil {
			path = usualSocket(r)
		}
		sockets = append(sockets, socket{path, role != ""})
	}
	if len(sockets) == 0 {
		return nil, usageError{fmt.Errorf("--role: got %q, want sender or receiver", role), "ftfuse status"}
	}
	return sockets, nil
}

func socketOf(c configuration) (string, error) {
	if c.role == config.RoleReceiver {
		cfg, _, err := readReceiver(c.src)
		if err != nil {
			return "", err
		}
		return cfg.Control.Socket, nil
	}
	cfg, _, err := readSender(c.src)
	if err != nil {
		return "", err
	}
	return cfg.Control.Socket, nil
}

func usualSocket(r config.Role) string {
	if r == config.RoleReceiver {
		return config.DefaultReceiver().Control.Socket
	}
	return config.DefaultSender().Control.Socket
}

// showStatus prints the status of everybody who answers.
func showStatus(ctx context.Context, sockets []socket, w io.Writer, style control.Style, asJSON bool) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	answered := 0
	for _, s := range sockets {
		var raw json.RawMessage
		err := control.Call(ctx, s.path, http.MethodGet, control.PathStatus, nil, &raw)
		if errors.Is(err, control.ErrNotRunning) && !s.wanted {
			continue
		}
		if err != nil {
			return tellPermission(err)
		}
		if answered++; answered > 1 && !asJSON {
			fmt.Fprintln(w)
		}
		if err := printStatus(w, raw, style, asJSON); err != nil {
			return err
		}
	}
	if answered == 0 {
		return nobody(sockets)
	}
	return nil
}

// nobody says that no process answers.
func nobody(sockets []socket) error {
	paths := make([]string, len(sockets))
	for i, s := range sockets {
		paths[i] = s.path
	}
	return fmt.Errorf("%w on %s", control.ErrNotRunning, strings.Join(paths, " and "))
}

// tellPermission adds to an error what to do about a socket that may not be used.
func tellPermission(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return exitError{err, exitPermission, "run it as root, or as a member of the socket's group (control.group)"}
	}
	return err
}

func printStatus(w io.Writer, raw json.RawMessage, style control.Style, asJSON bool) error {
	if asJSON {
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return err
		}
		_, err := fmt.Fprintln(w, b.String())
		return err
	}
	var s control.Status
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	return s.Print(w, style)
}

// fit cuts text to a window of so many lines, 0: any. Its beginning would else be the part that cannot be seen. Empty
// lines go first.
func fit(text []byte, height int) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if height >= 2 && len(lines) > height {
		text = bytes.ReplaceAll(text, []byte("\n\n"), []byte("\n"))
		lines = bytes.SplitAfter(text, []byte("\n"))
	}
	if height < 2 || len(lines) <= height { // the last one is what follows the last LF: nothing
		return text
	}
	more := fmt.Sprintf("... %d more lines: make the window higher, or leave out --watch", len(lines)-height)
	return append(bytes.Join(lines[:height-1], nil), more...)
}

// repeat shows again and again until a signal ends it. On a terminal each one takes the place of the last.
func repeat(ctx context.Context, t *terminal, every time.Duration, show func(io.Writer) error) error {
	if every < 100*time.Millisecond {
		return usageError{fmt.Errorf("--watch: got %s, want at least 100ms", every), "ftfuse status"}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var b bytes.Buffer
		if err := show(&b); err != nil && !errors.Is(err, control.ErrNotRunning) {
			return err
		} else if err != nil {
			fmt.Fprintf(&b, "waiting: %v\n", err) // it may be restarting
		}
		if isTerminal(t.out) {
			b = *bytes.NewBuffer(append([]byte("\x1b[H\x1b[J"), fit(b.Bytes(), t.height())...))
		}
		if _, err := t.out.Write(b.Bytes()); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case s := <-t.signals:
			if s == os.Interrupt {
				return nil
			}
			return exitError{fmt.Errorf("stopped by signal %s", s), exitFailed, ""}
		case <-ctx.Done():
			return nil
		}
	}
}
