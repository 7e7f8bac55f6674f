package ingest

import (
	"context"
	"log/slog"
	"time"

	"ftfuse/internal/notice"
)

// What people need to know of a connection: its beginning, its end, and trouble once, not at every attempt.

// A thousand senders that come back, or one that does it a thousand times, are not worth a line each: status has who is here.
const (
	logRate  = 20   // lines a second
	logBurst = 1000 // lines at once
)

// speak says whether there may be a line now, and how many there might not since the last.
func (s *Server) speak() (unsaid int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.said.take(time.Now()) {
		s.unsaid++
		return 0, false
	}
	unsaid, s.unsaid = s.unsaid, 0
	return unsaid, true
}

// log adds who the peer is only now: a logger that has it would cost each idle connection some KiB.
func (c *conn) log(level slog.Level, msg string, args ...any) {
	unsaid, ok := c.s.speak()
	if !ok {
		return
	}
	if unsaid > 0 {
		args = append(args, "unsaid", unsaid)
	}
	l := c.s.o.Logger.With("peer", c.nc.RemoteAddr().String())
	if c.welcomed {
		l = l.With("sender", c.hello.Sender.String(), "epoch", c.hello.Epoch, "host", string(c.hello.Host))
	}
	l.Log(context.Background(), level, msg, args...)
}

func (c *conn) logWelcomed() {
	c.log(slog.LevelInfo, "sender connected")
}

func (c *conn) logEnded(err error) {
	f := c.flow.snapshot()
	c.log(slog.LevelInfo, "sender disconnected", "reason", reasonText(err), "batches", f.Batches, "bytes", f.Bytes, "duplicates", f.DuplicateChunks)
}

func (c *conn) logRefused(r *refusal) {
	id := notice.SenderRefused
	if r.reason == Clone {
		id = notice.SenderDuplicate
	}
	c.log(slog.LevelWarn, "connection refused", id, "reason", r.reason.String(), "detail", string(r.nack.Text))
}

func (c *conn) logFailing(err error) {
	c.log(slog.LevelWarn, "output fails, trying again", notice.OutputFailing, "error", err)
}

func (c *conn) logRecovered() { c.log(slog.LevelInfo, "output works again") }

func reasonText(err error) string {
	if err == nil {
		return "closed by the sender"
	}
	return err.Error()
}
