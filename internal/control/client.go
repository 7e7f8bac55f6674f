package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"

	"golang.org/x/sys/unix"
)

// ErrNotRunning says that nobody answers on the socket.
var ErrNotRunning = errors.New("nobody answers")

// Call asks the process behind the socket: in, if not nil, is sent as JSON, and the answer is stored in out. path may
// carry a query. An answer that is an error is returned as *Error.
func Call(ctx context.Context, socket, method, path string, in, out any) error {
	answer, err := ask(ctx, socket, method, path, in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := readAnswer(answer)
	if err == nil {
		if err = json.Unmarshal(text, out); err != nil {
			err = fmt.Errorf("got no valid answer: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("ask %s: %w", socket, err)
	}
	return nil
}

// ask sends a request. An answer that it returns is good, and to be closed.
func ask(ctx context.Context, socket, method, path string, in any) (*http.Response, error) {
	fail := func(err error) (*http.Response, error) { return nil, fmt.Errorf("ask %s: %w", socket, err) }
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fail(err)
		}
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, method, "http://ftfuse"+path, &body)
	if err != nil {
		return fail(err)
	}
	answer, err := client.Do(r)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return fail(ErrNotRunning)
	case err != nil:
		return fail(errors.Unwrap(err)) // *url.Error repeats method and address
	case answer.StatusCode == http.StatusOK:
		return answer, nil
	}
	defer answer.Body.Close()
	e := &Error{Status: answer.StatusCode, Text: answer.Status}
	text, err := readAnswer(answer)
	if err != nil {
		return fail(err)
	}
	_ = json.Unmarshal(text, e) // not JSON: the status line says enough
	return nil, e
}

func readAnswer(answer *http.Response) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("got an answer of more than %d bytes", maxAnswer)
	}
	return text, err
}
