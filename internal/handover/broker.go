package handover

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Broker registers backing files through the broker that listens on Socket, for a sender without CAP_SYS_ADMIN. It
// connects when it is first used and again when the broker was restarted. Its methods may be called by several
// goroutines; each call ends within about two seconds.
type Broker struct {
	Socket string

	mu    sync.Mutex
	conn  *net.UnixConn // nil: not connected
	quiet time.Time     // until then a broker that was silent is not asked again
}

// afterSilence is how long a silent broker is left alone: the openers of files wait for it.
const afterSilence = 5 * time.Second

// The operations of a request.
const (
	opOpen  = 1
	opClose = 2
)

// Register makes fd's file a backing file of the connection that fuse, a descriptor of /dev/fuse, serves. Both stay the
// caller's. The kernel's and the broker's refusals wrap their errno.
func (b *Broker) Register(fuse, fd int) (int32, error) {
	id, err := b.do(opOpen, 0, fuse, fd)
	if err != nil {
		return 0, fmt.Errorf("ask the broker at %s for a backing file: %w", b.Socket, err)
	}
	return id, nil
}

// Unregister undoes Register.
func (b *Broker) Unregister(fuse int, id int32) error {
	if _, err := b.do(opClose, id, fuse); err != nil {
		return fmt.Errorf("ask the broker at %s to close backing file %d: %w", b.Socket, id, err)
	}
	return nil
}

// Close ends the connection to the broker. The next call makes another.
func (b *Broker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.drop()
}

// drop is called with b.mu held.
func (b *Broker) drop() error {
	if b.conn == nil {
		return nil
	}
	err := b.conn.Close()
	b.conn = nil
	return err
}

var errSilent = fmt.Errorf("%w: `systemctl status ftfuse-broker` shows what it does", ErrNoAnswer)

func (b *Broker) do(op, id int32, fds ...int) (int32, error) {
	deadline := time.Now().Add(brokerTime)
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().Before(b.quiet) {
		return 0, errSilent
	}
	fresh := b.conn == nil
	given, err := b.exchange(deadline, op, id, fds)
	if !fresh && isGone(err) { // the broker was restarted since
		given, err = b.exchange(deadline, op, id, fds)
	}
	switch {
	case isGone(err):
		return 0, errors.New("the broker ended the connection: `journalctl -u ftfuse-broker` says why")
	case errors.Is(err, ErrNoAnswer):
		b.quiet = time.Now().Add(afterSilence)
		return 0, errSilent
	case errors.Is(err, ErrNotRunning):
		return 0, fmt.Errorf("%w: `systemctl start ftfuse-broker.socket`", err)
	}
	return given, err
}

// exchange sends one request and waits for its answer. Called with b.mu held.
func (b *Broker) exchange(deadline time.Time, op, id int32, fds []int) (int32, error) {
	if b.conn == nil {
		c, err := (&net.Dialer{Deadline: deadline}).DialContext(context.Background(), "unixpacket", b.Socket)
		if err != nil {
			return 0, dialError(err)
		}
		b.conn = c.(*net.UnixConn)
	}
	if err := b.conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	var answer [answerSize + maxReason]byte
	err := send(b.conn, encode(op, id), fds...)
	n := 0
	if err == nil {
		n, _, err = receive(b.conn, answer[:], 0)
	}
	if err == nil && n < answerSize {
		err = fmt.Errorf("got an answer of %d bytes, want at least %d", n, answerSize)
	}
	if err != nil { // an answer that comes late would be taken for the next one's
		_ = b.drop()
		return 0, dialError(err)
	}
	no, given := decode(answer[:n])
	if no != 0 {
		return 0, &brokerError{unix.Errno(no), string(answer[answerSize:n])}
	}
	return given, nil
}

// isGone reports whether the other side of a connection has left.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
}

// brokerError is an answer that is an error.
type brokerError struct {
	no     unix.Errno
	reason string
}

func (e *brokerError) Error() string {
	if e.reason == "" {
		return e.no.Error()
	}
	return e.reason + ": " + e.no.Error()
}
func (e *brokerError) Unwrap() error { return e.no }

// A request and the head of an answer have two numbers; the rest of an answer is text.
const (
	answerSize = 8
	maxReason  = 256
)

func encode(a, b int32) []byte {
	p := make([]byte, 0, answerSize)
	p = binary.NativeEndian.AppendUint32(p, uint32(a))
	return binary.NativeEndian.AppendUint32(p, uint32(b))
}

// decode wants at least answerSize bytes.
func decode(p []byte) (a, b int32) {
	return int32(binary.NativeEndian.Uint32(p)), int32(binary.NativeEndian.Uint32(p[4:]))
}
