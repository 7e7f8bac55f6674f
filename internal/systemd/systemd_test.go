package systemd

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{Ready, "READY=1"},
		{func() error { return Status("2 mounts\nREADY=0") }, "STATUS=2 mounts READY=0"},
		{Reloading, "RELOADING=1\nMONOTONIC_USEC="},
		{Stopping, "STOPPING=1"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 512)
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), step.want) {
			t.Errorf("got %q, %v, want %q", b[:n], err, step.want)
		}
	}
}

func TestNotifyWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Ready(); err != nil {
		t.Errorf("Ready = %v, want nil", err)
	}
	t.Setenv("NOTIFY_SOCKET", "/does/not/exist")
	if err := Ready(); err == nil || !strings.HasPrefix(err.Error(), "notify service manager: ") {
		t.Errorf("Ready = %v, want an error", err)
	}
}

func TestInJournal(t *testing.T) {
	var st syscall.Stat_t
	if err := syscall.Fstat(2, &st); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{
		"": false, "nonsense": false, "1:2": false, fmt.Sprintf("%d:%d", st.Dev, st.Ino): true,
	} {
		t.Setenv("JOURNAL_STREAM", value)
		if got := InJournal(); got != want {
			t.Errorf("JOURNAL_STREAM=%q: got %v, want %v", value, got, want)
		}
	}
}

type sent struct {
	message  string
	priority journal.Priority
	fields   map[string]string
}

func TestHandler(t *testing.T) {
	var last sent
	h := NewHandler(slog.LevelInfo, slog.NewTextHandler(io.Discard, nil))
	h.send = func(m string, p journal.Priority, f map[string]string) error {
		last = sent{m, p, f}
		return nil
	}
	log := slog.New(h).With("target", "default").WithGroup("peer").With(slog.Group("", "port", 5))
	log.Warn("cannot reach receiver", "error", errors.New("timed out\nagain"), slog.Group("try", "n", 3))
	want := sent{
		message:  `cannot reach receiver target=default peer.port=5 peer.error="timed out\nagain" peer.try.n=3`,
		priority: journal.PriWarning,
		fields: map[string]string{
			"SYSLOG_IDENTIFIER": "ftfuse", "FTFUSE_TARGET": "default", "FTFUSE_PEER_PORT": "5",
			"FTFUSE_PEER_ERROR": "timed out\nagain", "FTFUSE_PEER_TRY_N": "3",
		},
	}
	if last.message != want.message || last.priority != want.priority || !maps.Equal(last.fields, want.fields) {
		t.Errorf("got  %+v\nwant %+v", last, want)
	}
	slog.New(h).Error("known", "notice", known{})
	if last.fields["MESSAGE_ID"] != "0123" || last.fields["FTFUSE_NOTICE"] != "queue_full" || last.message != "known notice=queue_full" {
		t.Errorf("got %+v, want the message's id", last)
	}
	last = sent{}
	if log.Debug("quiet"); last.message != "" {
		t.Errorf("a debug record came through: %+v", last)
	}
	slog.New(h).Error("plain")
	if last.priority != journal.PriErr || len(last.fields) != 1 {
		t.Errorf("got %+v, want an error without attributes of the other logger", last)
	}
}

type known struct{}

func (known) MessageID() string { return "0123" }
func (known) String() string    { return "queue_full" }

func TestHandlerFallsBack(t *testing.T) {
	var text strings.Builder
	h := NewHandler(slog.LevelInfo, slog.NewTextHandler(&text, nil))
	h.send = func(string, journal.Priority, map[string]string) error { return os.ErrClosed }
	slog.New(h).With("a", 1).WithGroup("g").Info("journal is gone", "b", 2)
	if !strings.Contains(text.String(), `msg="journal is gone" a=1 g.b=2`) {
		t.Errorf("fallback got %q", text.String())
	}
}
