package systemd

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// InJournal reports whether stderr is connected to the journal: JOURNAL_STREAM names its device and inode
// (systemd.exec(5), "Environment Variables Set or Propagated by the Service Manager").
func InJournal() bool {
	connected, err := journal.StderrIsJournalStream()
	return err == nil && connected
}

// Handler writes log records to the journal. Each attribute becomes a field of its own, FTFUSE_ and the key in upper
// case, so that `journalctl FTFUSE_TARGET=default` finds them, and stands in the message too. One that has a method
// MessageID gives the message its MESSAGE_ID.
type Handler struct {
	level    slog.Leveler
	send     func(message string, priority journal.Priority, fields map[string]string) error
	fallback slog.Handler // takes what the journal does not
	attrs    []slog.Attr  // keys with their groups
	group    string
}

// NewHandler returns a Handler for records of at least that level. fallback gets those that cannot be sent.
func NewHandler(level slog.Leveler, fallback slog.Handler) *Handler {
	return &Handler{level: level, send: newSender("").send, fallback: fallback}
}

// identified is an attribute's value that says which message this is, for `journalctl -x`.
type identified interface{ MessageID() string }

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.attrs = h.attrs[:len(h.attrs):len(h.attrs)]
	for _, a := range attrs {
		more.attrs = flatten(more.attrs, h.group, a)
	}
	more.fallback = h.fallback.WithAttrs(attrs)
	return &more
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	more := *h
	more.group = h.group + name + "."
	more.fallback = h.fallback.WithGroup(name)
	return &more
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	attrs := h.attrs[:len(h.attrs):len(h.attrs)]
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.group, a)
		return true
	})
	fields := map[string]string{"SYSLOG_IDENTIFIER": "ftfuse"}
	var message strings.Builder
	message.WriteString(r.Message)
	for _, a := range attrs {
		if n, ok := a.Value.Any().(identified); ok {
			fields["MESSAGE_ID"] = n.MessageID() // systemd.journal-fields(7)
		}
		value := a.Value.String()
		fields[fieldName(a.Key)] = value
		message.WriteString(" " + a.Key + "=" + quoted(value))
	}
	if h.send(message.String(), priority(r.Level), fields) != nil {
		return h.fallback.Handle(ctx, r)
	}
	return nil
}

// flatten appends a to list, groups in it being written as GROUP.KEY.
func flatten(list []slog.Attr, group string, a slog.Attr) []slog.Attr {
	value := a.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		if a.Key == "" {
			return list
		}
		return append(list, slog.Attr{Key: group + a.Key, Value: value})
	}
	if a.Key != "" {
		group += a.Key + "."
	}
	for _, inner := range value.Group() {
		list = flatten(list, group, inner)
	}
	return list
}

// fieldName makes a journal field of a key: capital letters, digits and _, at most 64 bytes
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).
func fieldName(key string) string {
	name := "FTFUSE_" + strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return '_'
	}, key)
	return name[:min(len(name), 64)]
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}

// quoted returns s as it is if it is one plain word.
func quoted(s string) string {
	if s != "" && !strings.ContainsAny(s, " \"=\t\n\r") && strconv.CanBackquote(s) {
		return s
	}
	return strconv.Quote(s)
}

// oneLine keeps a status in the one line that the protocol has for it.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", " ") }
