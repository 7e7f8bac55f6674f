package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/systemd"
)

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// logger makes what cfg asks for. With format auto that is the journal if standard error is connected to it, lines
// for people on a terminal, else key=value lines.
func (t *terminal) logger(cfg config.Log) *slog.Logger {
	level := levels[cfg.Level]
	options := &slog.HandlerOptions{Level: level}
	text := slog.Handler(slog.NewTextHandler(t.err, options))
	if isTerminal(t.err) {
		text = newConsole(t.err, level, t.colourful(t.err))
	}
	switch {
	case cfg.Format == "json":
		return slog.New(slog.NewJSONHandler(t.err, options))
	case cfg.Format == "journal", cfg.Format == "auto" && systemd.InJournal():
		return slog.New(systemd.NewHandler(level, text))
	}
	return slog.New(text)
}

// console is a slog.Handler for people: time, level if it is not info, message, attributes.
type console struct {
	level  slog.Level
	colour bool
	attrs  slog.Handler // writes the attributes to buf, nothing else
	shared *consoleOut
}

// consoleOut is shared by all handlers that were derived from one console.
type consoleOut struct {
	mu  sync.Mutex // held while a record is put together and written; guards both
	buf bytes.Buffer
	w   io.Writer
}

func newConsole(w io.Writer, level slog.Level, colour bool) *console {
	shared := &consoleOut{w: w}
	attrs := slog.NewTextHandler(&shared.buf, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
				return slog.Attr{}
			}
			return a
		},
	})
	return &console{level: level, colour: colour, attrs: attrs, shared: shared}
}

func (c *console) Enabled(_ context.Context, l slog.Level) bool { return l >= c.level }

func (c *console) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *c
	more.attrs = c.attrs.WithAttrs(attrs)
	return &more
}

func (c *console) WithGroup(name string) slog.Handler {
	more := *c
	more.attrs = c.attrs.WithGroup(name)
	return &more
}

func (c *console) Handle(ctx context.Context, r slog.Record) error {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	c.shared.buf.Reset()
	if err := c.attrs.Handle(ctx, r); err != nil {
		return err
	}
	attrs := string(bytes.TrimSpace(c.shared.buf.Bytes()))
	line := r.Time.Format(time.TimeOnly) + " "
	switch {
	case r.Level >= slog.LevelError:
		line += c.paint(red, "error: ")
	case r.Level >= slog.LevelWarn:
		line += c.paint(yellow, "warning: ")
	case r.Level < slog.LevelInfo:
		line += c.paint(dim, "debug: ")
	}
	line += r.Message
	if attrs != "" {
		line += "  " + c.paint(dim, attrs)
	}
	_, err := fmt.Fprintln(c.shared.w, line)
	return err
}

func (c *console) paint(colour, text string) string {
	if !c.colour {
		return text
	}
	return colour + text + reset
}
