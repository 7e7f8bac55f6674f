package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/rules"
)

// askLimit bounds one question to a running sender or receiver.
const askLimit = 10 * time.Second

func newExplain(t *terminal) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "explain [--config FILE] PATH",
		Short: "say what happens to a file, and why",
		Long: `Say which rule decides about a file below a mount, what it says, and why the
other rules that match do not. The file need not exist. Asks the running
sender; if there is none, the configuration answers.`,
		Example: `  ftfuse explain /var/log/ftfuse/nginx/access.log`,
		Args:    arguments(1, 1, "one PATH"),
		RunE: func(c *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			e, err := explain(c.Context(), t, file, path)
			if err != nil {
				return err
			}
			_, err = t.out.Write([]byte(explanation(path, e)))
			return err
		},
	}
	configFlag(c, &file, config.RoleSender)
	return c
}

// explain asks the running sender, or the configuration if there is none. A sender at the usual place answers also when
// the usual configuration is missing or has mistakes.
func explain(ctx context.Context, t *terminal, file, path string) (*control.Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	cfg, _, broken := loadSender(t, file)
	socket := usualSocket(config.RoleSender)
	if broken == nil {
		socket = cfg.Control.Socket
	} else if file != "" {
		return nil, broken
	}
	var e control.Explanation
	err := control.Call(ctx, socket, http.MethodGet, control.PathExplain+"?path="+url.QueryEscape(path), nil, &e)
	switch {
	case err == nil, !errors.Is(err, control.ErrNotRunning):
		return &e, err
	case broken != nil:
		return nil, broken
	}
	mounts := map[string]string{}
	for _, m := range cfg.Mounts {
		mounts[m.Name] = m.Path
	}
	mount, rest, ok := control.Below(mounts, path)
	if !ok {
		return nil, control.NotBelow(mounts, path)
	}
	m, err := rules.New(cfg.RuleOptions())
	if err != nil {
		return nil, err
	}
	return byRules(m.Explain(mount, rest)), nil
}

// byRules is what the rules alone know.
func byRules(x rules.Explanation) *control.Explanation {
	d := x.Decision
	e := &control.Explanation{
		Mount: x.Mount, Path: x.Path, Rule: d.Rule, Why: d.Why, Send: d.Send, Capture: d.Capture.String(), Unit: d.Unit.String(),
		MaxRecord: d.MaxRecord, MaxAge: d.MaxAge.String(), Readback: d.Readback, Expire: d.Expire.String(),
		WhenFull: d.WhenFull.String(), Block: d.Block.String(), Targets: d.Targets,
	}
	for _, c := range x.Candidates {
		e.Candidates = append(e.Candidates, control.Candidate{Rule: c.Rule, Pattern: c.Pattern, Why: c.Why})
	}
	return e
}

// explanation puts e into words.
func explanation(path string, e *control.Explanation) string {
	var b strings.Builder
	row := func(what, text string) { fmt.Fprintf(&b, "  %-10s %s\n", what, text) }
	fmt.Fprintln(&b, printable(path))
	row("mount", e.Mount+", as "+printable(e.Path))
	if len(e.Candidates) == 0 {
		row("rule", "no rule matches: the defaults hold")
	} else {
		row("rule", fmt.Sprintf("%s by pattern %s, %s", e.Rule, e.Candidates[0].Pattern, e.Candidates[0].Why))
	}
	if !e.Send {
		row("sent", "no: it is stored below the mount")
	} else {
		row("sent", "to "+strings.Join(e.Targets, ", "))
		row("capture", captureText(e))
		row("records", records(e))
		row("readback", config.Size(e.Readback).String()+" stay readable after delivery")
		row("expires", orNever(e.Expire, "after "))
		row("when full", whenFull(e))
	}
	if len(e.Candidates) > 1 {
		fmt.Fprintln(&b, "rules that match too:")
		for _, c := range e.Candidates[1:] {
			fmt.Fprintf(&b, "  %-10s %s: %s\n", c.Rule, c.Pattern, c.Why)
		}
	}
	if !e.Live {
		fmt.Fprintln(&b, "no sender is running: this is what the configuration says")
	}
	return b.String()
}

func captureText(e *control.Explanation) string {
	if e.CaptureWhy != "" {
		return fmt.Sprintf("%s; `>>` gets %s", e.Capture, e.CaptureWhy)
	}
	switch {
	case e.Capture == "write":
		return "write: every write is seen"
	case hasPassthrough(kernelRelease()):
		return e.Capture + "; `>>` gets open capture on this kernel, other opens write capture"
	}
	return e.Capture + "; write capture, as this kernel has no FUSE passthrough (Linux 6.9)"
}

func records(e *control.Explanation) string {
	text := map[string]string{"line": "lines", "write": "one for each write", "binary": "none: a stream of bytes"}[e.Unit]
	if e.Unit == "line" && isNever(e.MaxAge) {
		text += ", a partial one waits for its end"
	} else if e.Unit == "line" {
		text += ", a partial one is sent after " + e.MaxAge
	}
	return text + ", pieces of at most " + config.Size(e.MaxRecord).String()
}

func whenFull(e *control.Explanation) string {
	return map[string]string{
		"drop-oldest": "the oldest queued data makes room, counted",
		"drop-newest": "writes succeed, their data is dropped and counted",
		"block":       "writes wait for room, at most " + e.Block + ", then fail with ENOSPC",
		"local":       "written below the mount and sent later",
		"refuse":      "writes fail with ENOSPC",
	}[e.WhenFull]
}

func isNever(d string) bool { return d == "" || d == "0s" || d == "0" }

func orNever(d, prefix string) string {
	if isNever(d) {
		return "never"
	}
	if parsed, err := time.ParseDuration(d); err == nil {
		d = config.FormatDuration(parsed)
	}
	return prefix + d
}

// printable makes a file name safe for a terminal, quoting it if need be.
func printable(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}
