package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/format"
	"ftfuse/internal/record"
	"ftfuse/internal/show"
)

type receiveOptions struct {
	stdout, json, insecure bool
	listen, format         string
}

func newReceive(t *terminal) *cobra.Command {
	var o receiveOptions
	c := &cobra.Command{
		Use:   "receive --stdout [--listen ADDRESS] [--json | --format F]",
		Short: "be a receiver for a look, and print what comes",
		Long: `Take what senders deliver, print it on standard output, and acknowledge what was
printed. Nothing else is kept: senders forget what was acknowledged. It is for
a look at what a sender delivers, and for trying things out, on this machine
unless --listen says otherwise. It ends in order by Ctrl-C, and when whoever
reads its output goes away; what was not printed then was not acknowledged,
and stays with the senders.

A record is one line: time, host, file, writer and text, bytes that are not
printable as \xNN. --format prints them as an output's format does: raw, json,
logfmt, rfc5424, msgpack, or a template such as '%H %F %L'.`,
		Example: `  ftfuse receive --stdout
  ftfuse receive --stdout --listen 127.0.0.1:9999 --json | jq -r .data`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			if !o.stdout {
				return usageError{errors.New("want --stdout: it prints what comes, and keeps nothing; a receiver that keeps it is `ftfuse receiver`"), "ftfuse receive"}
			}
			return receive(c.Context(), t, &o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.stdout, "stdout", false, "print what comes; required")
	f.StringVar(&o.listen, "listen", net.JoinHostPort("127.0.0.1", config.Port), "listen at `ADDRESS`, HOST:PORT or unix:/PATH")
	f.BoolVar(&o.insecure, "insecure", false, "listen where other machines reach it: without TLS, and to anybody")
	f.BoolVar(&o.json, "json", false, "print JSON, one object a line")
	f.StringVar(&o.format, "format", "", "print by `F`: raw, json, logfmt, rfc5424, msgpack or a template")
	return c
}

// chosen returns the format that the options ask for.
func (o *receiveOptions) chosen(t *terminal) (format.Format, error) {
	name := o.format
	switch {
	case o.json && name != "":
		return nil, usageError{errors.New("--json and --format: got both, want one of them"), "ftfuse receive"}
	case o.json:
		name = "json"
	case name == "":
		return &tapFormat{view: tapView{t: t, o: &tapOptions{}, role: config.RoleReceiver, plain: !t.colourful(t.out)}}, nil
	}
	chosen := format.Options{Format: name}
	if strings.ContainsAny(name, "%{") {
		chosen = format.Options{Format: "template", Template: name}
	}
	f, err := format.New(chosen)
	if err != nil {
		return nil, usageError{fmt.Errorf("--format: %w", err), "ftfuse receive"}
	}
	return f, nil
}

func receive(ctx context.Context, t *terminal, o *receiveOptions) error {
	f, err := o.chosen(t)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // writing fails instead, and senders are told before it ends
	network, address := config.Network(o.listen)
	if _, _, err := net.SplitHostPort(address); network == "tcp" && err != nil {
		return usageError{fmt.Errorf("--listen: got %q, want HOST:PORT or unix:/PATH", o.listen), "ftfuse receive"}
	}
	if !o.insecure && !config.Local(o.listen) {
		return exitError{fmt.Errorf("--listen: %s is reached from other machines, and there is no TLS", address), exitUsage, "listen at 127.0.0.1, or give --insecure where the network is trusted"}
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return fmt.Errorf("listen at %s: %w", o.listen, err)
	}
	name, _ := os.Hostname()
	log := t.logger(config.Log{Level: "warn", Format: "text"})
	if isTerminal(t.err) {
		log = slog.New(newConsole(t.err, slog.LevelInfo, t.colourful(t.err)))
	}
	r, err := show.New(show.Options{Out: t.out, Format: f, Name: name, Logger: log})
	if err != nil {
		ln.Close()
		return err
	}
	fmt.Fprintf(t.err, "listening on %s\n", ln.Addr())
	t.say("warning", yellow, "what is printed is acknowledged, and kept nowhere: senders forget it", "")
	ctx, caught := interrupted(ctx, t)
	err = r.Serve(ctx, ln)
	s := caught()
	fmt.Fprintf(t.err, "%d records printed\n", r.Records())
	switch {
	case errors.Is(err, unix.EPIPE):
		return nil
	case err != nil:
		return err
	case s != nil && s != os.Interrupt:
		return exitError{fmt.Errorf("stopped by signal %s", s), exitFailed, ""}
	}
	return nil
}

// tapFormat prints records for people, as tap does.
type tapFormat struct{ view tapView }

// Append implements format.Format.
func (f *tapFormat) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	if g := c.Gap; g != nil {
		return f.view.append(dst, control.NewTapRecord(c, nil, 0, c.Time))
	}
	format.EachRecord(c, func(rec []byte, off int, at int64) {
		r := control.NewTapRecord(c, rec, uint64(off), at)
		r.Continues = off == 0 && c.Flags&record.Continues != 0
		r.Continued = off+len(rec) == len(c.Data) && c.Flags&record.Continued != 0
		dst = spill(f.view.append(dst, r))
	})
	return dst
}

// Overhead implements format.Format.
func (f *tapFormat) Overhead(*record.Chunk) int { return 64 }

// Gaps implements format.Format.
func (f *tapFormat) Gaps() bool { return true }
