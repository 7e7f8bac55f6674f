package systemd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"ftfuse/internal/journald"
)

// logWait is how long a log message may wait for a journald whose queue is full. The next ones wait no more until there
// is room again: whoever logs has something better to do, a mount to serve for instance.
const logWait = 20 * time.Millisecond

// sender sends log messages. go-systemd's Send waits for as long as journald hangs.
type sender struct {
	mu   sync.Mutex // held while a message is sent; guards what follows
	conn journald.Conn
	lost int // messages since the last one that went through
}

func newSender(path string) *sender {
	return &sender{conn: journald.Conn{Path: path, Wait: logWait}}
}

// send sends one message. It returns nil also for one that is lost because journald does not read: standard error
// leads to the same journald. When it reads again it hears how many there were.
func (s *sender) send(message string, priority journal.Priority, fields map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.conn.Send(context.Background(), entry(message, priority, fields))
	if errors.Is(err, journald.ErrBusy) {
		s.conn.Wait = 0
		s.lost++
		return nil
	}
	if err != nil || s.lost == 0 {
		return err
	}
	said := fmt.Sprintf("%d messages of ftfuse were lost before this one: journald did not read", s.lost)
	if s.conn.Send(context.Background(), entry(said, journal.PriWarning, map[string]string{"SYSLOG_IDENTIFIER": "ftfuse"})) == nil {
		s.lost, s.conn.Wait = 0, logWait
	}
	return nil
}

func entry(message string, priority journal.Priority, fields map[string]string) []byte {
	b := journald.Field(nil, "MESSAGE", message)
	b = journald.Field(b, "PRIORITY", strconv.Itoa(int(priority)))
	for key, value := range fields {
		b = journald.Field(b, key, value)
	}
	return b
}
