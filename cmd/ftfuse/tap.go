package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
)

// tapRate is what a tap takes without --rate: more than anybody reads, and little work for the daemon.
const tapRate = 10_000

type tapOptions struct {
	files    []string
	role     string
	pid      uint32
	uid      string
	query    control.TapQuery
	width    int
	json     bool
	pidGiven bool
}

func newTap(t *terminal) *cobra.Command {
	var o tapOptions
	c := &cobra.Command{
		Use:   "tap [--path GLOB] [--rule RULE] [--host GLOB] [--rate N] [--json]",
		Short: "show records live, as they are queued or received",
		Long: `Show what passes through the running sender or receiver of this machine, from
now on, without disturbing it: on a sender what it has queued, on a receiver
what it has written. All conditions that are given must hold. Only root may see
what programs write, and the user that the process runs as.

Nothing waits for the tap. What it cannot take, because of --rate or since it is
not read fast enough, is left out, counted and said.

A record is one line: time, host (of a receiver), file, writer and text, bytes
that are not printable as \xNN. With --json it is an object with the keys of the
format json.`,
		Example: `  ftfuse tap
  ftfuse tap --path '/var/log/ftfuse/nginx/*' --rate 20
  ftfuse tap --role receiver --host 'web*' --json | jq -r .data`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			o.pidGiven = c.Flags().Changed("pid")
			return runTap(c.Context(), t, &o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.query.Path, "path", "", "only files that match `GLOB`, below the mount as in a rule, or absolute")
	f.Uint32Var(&o.pid, "pid", 0, "only what the process `PID` of the sender's machine wrote")
	f.StringVar(&o.uid, "uid", "", "only what was written with this `UID`, a number or a name on this machine")
	f.StringVar(&o.query.Rule, "rule", "", "only files that `RULE` decided about")
	f.StringVar(&o.query.Host, "host", "", "only what comes from hosts that match `GLOB`")
	f.IntVar(&o.query.Rate, "rate", tapRate, "at most `N` records a second, spread evenly; 0 for no bound")
	f.IntVar(&o.width, "width", 0, "cut lines to `N` columns; 0 shows them whole")
	f.BoolVar(&o.json, "json", false, "print JSON, one object a line")
	f.StringArrayVarP(&o.files, "config", "c", nil, "configuration `FILE` that names the control socket")
	roleFlag(c, &o.role)
	return c
}

// request completes the query from the options that are texts.
func (o *tapOptions) request() error {
	wrong := func(format string, args ...any) error {
		return usageError{fmt.Errorf(format, args...), "ftfuse tap"}
	}
	switch {
	case o.query.Rate < 0:
		return wrong("--rate: got %d, want 0 or more", o.query.Rate)
	case o.width < 0:
		return wrong("--width: got %d, want 0 or more", o.width)
	}
	if o.pidGiven {
		o.query.PID = &o.pid
	}
	if o.uid == "" {
		return nil
	}
	text := o.uid
	if u, err := user.Lookup(text); err == nil {
		text = u.Uid
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return wrong("--uid: got %q, want a number or the name of a user of this machine", o.uid)
	}
	uid := uint32(n)
	o.query.UID = &uid
	return nil
}

func runTap(ctx context.Context, t *terminal, o *tapOptions) error {
	if err := o.request(); err != nil {
		return err
	}
	sockets, err := controlSockets(t, o.files, o.role)
	if err != nil {
		return err
	}
	one, err := oneOf(ctx, sockets, "ftfuse tap")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	show := newTapView(t, o, one.role)
	done := make(chan error, 1)
	go func() {
		done <- control.Follow(ctx, one.path, control.PathTap+"?"+o.query.Encode(), show.line)
	}()
	select {
	case err = <-done:
	case s := <-t.signals:
		cancel()
		select {
		case <-done:
		case <-time.After(time.Second): // it writes to somebody who does not read, and ends with the process
		}
		if s == os.Interrupt {
			return nil
		}
		return exitError{fmt.Errorf("stopped by signal %s", s), exitFailed, ""}
	}
	if errors.Is(err, control.ErrEnded) {
		return exitError{fmt.Errorf("the %s has ended", one.role), exitNotRunning, "`ftfuse status` shows when it is back"}
	}
	var refused *control.Error
	if errors.As(err, &refused) {
		switch refused.Status {
		case http.StatusBadRequest:
			return exitError{err, exitUsage, refused.Hint}
		case http.StatusForbidden:
			return exitError{err, exitPermission, refused.Hint}
		}
	}
	return tellPermission(err)
}

// answering is a process that answers on its socket.
type answering struct {
	path string
	role config.Role
}

// oneOf finds the one process to ask. command is named in the hint.
func oneOf(ctx context.Context, sockets []socket, command string) (answering, error) {
	all, err := allOf(ctx, sockets)
	if err != nil {
		return answering{}, err
	}
	if len(all) > 1 {
		return answering{}, exitError{fmt.Errorf("both a sender and a receiver run here"), exitUsage,
			"say which with --role sender or --role receiver, or name one file with --config"}
	}
	return all[0], nil
}

// allOf finds out who answers: at least one.
func allOf(ctx context.Context, sockets []socket) ([]answering, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var all []answering
	for _, s := range sockets {
		var st control.Status
		err := control.Call(ctx, s.path, http.MethodGet, control.PathStatus, nil, &st)
		switch {
		case err == nil:
			all = append(all, answering{s.path, config.Role(st.Role)})
		case !errors.Is(err, control.ErrNotRunning) || s.wanted:
			return nil, tellPermission(err)
		}
	}
	if len(all) == 0 {
		return nil, nobody(sockets)
	}
	return all, nil
}

// tapView prints what a tap gets.
type tapView struct {
	t     *terminal
	o     *tapOptions
	role  config.Role
	out   *bufio.Writer
	plain bool // no colours
}

func newTapView(t *terminal, o *tapOptions, role config.Role) *tapView {
	return &tapView{t: t, o: o, role: role, out: bufio.NewWriter(t.out), plain: !t.colourful(t.out)}
}

// line prints one line of the stream. Programs that read ours get each record at once.
func (v *tapView) line(b []byte) error {
	var l struct {
		Begun   bool
		Record  json.RawMessage
		Skipped *control.TapSkipped
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("read a record: %w", err)
	}
	switch {
	case l.Begun:
		if isTerminal(v.t.out) && isTerminal(v.t.err) {
			fmt.Fprintf(v.t.err, "listening to the %s; Ctrl-C ends it\n", v.role)
		}
		return nil
	case v.o.json && l.Skipped != nil:
		v.out.Write(b)
		v.out.WriteByte('\n')
	case l.Skipped != nil:
		v.t.say("warning", yellow, skipped(*l.Skipped, v.o.query.Rate), "")
		return nil
	case v.o.json:
		v.out.Write(l.Record)
		v.out.WriteByte('\n')
	default:
		var r control.TapRecord
		if err := json.Unmarshal(l.Record, &r); err != nil {
			return fmt.Errorf("read a record: %w", err)
		}
		v.human(&r)
	}
	return v.out.Flush()
}

// skipped says what is not shown.
func skipped(s control.TapSkipped, rate int) string {
	text := ""
	for _, x := range []struct {
		n   int
		why string
	}{
		{s.Rate, fmt.Sprintf("more than --rate %d", rate)},
		{s.Slow, "they are not read fast enough"},
		{s.Gone, "delivered and given free before they could be read"},
	} {
		if x.n > 0 {
			if text != "" {
				text += "; "
			}
			thing := "records"
			if x.n == 1 {
				thing = "record"
			}
			text += fmt.Sprintf("%d %s skipped: %s", x.n, thing, x.why)
		}
	}
	return text
}
