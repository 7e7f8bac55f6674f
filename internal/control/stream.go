package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Stream is an answer that goes on: a Handler returns it in place of a value. It is called with a context that ends with
// the server and with whoever asked, and the answer ends when it returns; an error ends the answer as an error line.
//
// On the wire each value is one line of JSON in an HTTP answer of no given length.
type Stream func(ctx context.Context, l *Lines) error

// maxLine bounds a line in bytes: a record of record.MaxChunk bytes takes up to six times as much in JSON.
const maxLine = 8 << 20

// ErrEnded says that a stream has ended from the other side.
var ErrEnded = errors.New("the other side has ended it")

// Lines writes the values of a stream. One goroutine uses it.
type Lines struct {
	to      *bufio.Writer
	encoder *json.Encoder
	flush   func() error
}

// Send writes v. It blocks while the other side does not read.
func (l *Lines) Send(v any) error { return l.encoder.Encode(v) }

// Flush makes what was sent so far leave now.
func (l *Lines) Flush() error {
	if err := l.to.Flush(); err != nil {
		return err
	}
	return l.flush()
}

// serveStream writes a stream. The server's deadlines are for answers that end by themselves: this one has none, but the
// end of ctx ends a write that waits for the other side.
func serveStream(w http.ResponseWriter, r *http.Request, s Stream) {
	rc := http.NewResponseController(w)
	if errors.Join(rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{})) != nil {
		return // the connection is gone
	}
	stop := context.AfterFunc(r.Context(), func() { _ = rc.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	l := &Lines{to: bufio.NewWriterSize(w, 64<<10), flush: rc.Flush}
	l.encoder = json.NewEncoder(l.to)
	l.encoder.SetEscapeHTML(false)
	if l.Flush() != nil { // whoever asked sees at once that it begins
		return
	}
	if err := s(r.Context(), l); err != nil && r.Context().Err() == nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Text: err.Error()}
		}
		_ = l.Send(e) // whoever asked may have gone
	}
	_ = l.Flush()
}

// Follow asks for a stream and calls line with each line of JSON, valid during the call. It returns the error of line; what Call returns where there is no stream; an error that wraps ErrEnded
// when the other side ends the stream, or ends; and ctx.Err() when ctx ends.
func Follow(ctx context.Context, socket, path string, line func([]byte) error) error {
	answer, err := ask(ctx, socket, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		b := lines.Bytes()
		var e Error
		if bytes.HasPrefix(b, []byte(`{"error":`)) && json.Unmarshal(b, &e) == nil {
			return &e
		}
		if err := line(b); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("ask %s: got a line of more than %d bytes", socket, maxLine)
	case err != nil:
		return fmt.Errorf("ask %s: %w: %v", socket, ErrEnded, err)
	}
	return fmt.Errorf("ask %s: %w", socket, ErrEnded)
}
