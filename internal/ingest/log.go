package ingest

import (
	"log/slog"

	"ftfuse/internal/notice"
)

// connLog says what people need to know of a connection: its beginning, its end, and trouble once, not at every attempt.
type connLog struct{ *slog.Logger }

func (l *connLog) welcomed(c *conn) {
	l.Logger = l.With("sender", c.hello.Sender.String(), "epoch", c.hello.Epoch, "host", string(c.hello.Host))
	l.Info("sender connected")
}

func (l *connLog) ended(c *conn, err error) {
	f := c.flow.snapshot()
	l.Info("sender disconnected", "reason", reasonText(err), "batches", f.Batches, "bytes", f.Bytes, "duplicates", f.DuplicateChunks)
}

func (l *connLog) refused(r *refusal) {
	id := notice.SenderRefused
	if r.reason == Clone {
		id = notice.SenderDuplicate
	}
	l.Warn("connection refused", id, "reason", r.reason.String(), "detail", string(r.nack.Text))
}

func (l *connLog) failing(err error) {
	l.Warn("output fails, trying again", notice.OutputFailing, "error", err)
}

func (l *connLog) recovered() { l.Info("output works again") }

func reasonText(err error) string {
	if err == nil {
		return "closed by the sender"
	}
	return err.Error()
}
