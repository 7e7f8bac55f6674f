package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// endless sends the lines that come from a channel.
func endless(lines <-chan any) Handler {
	return func(context.Context, url.Values, []byte) (any, error) {
		return Stream(func(ctx context.Context, l *Lines) error {
			for {
				select {
				case v, ok := <-lines:
					if !ok {
						return errors.New("out of lines")
					}
					if err := errors.Join(l.Send(v), l.Flush()); err != nil {
						return err
					}
				case <-ctx.Done():
					return nil
				}
			}
		}), nil
	}
}

func TestStream(t *testing.T) {
	lines := make(chan any)
	path := start(t, Handlers{"GET /v1/tap": endless(lines), "GET /v1/fail": func(context.Context, url.Values, []byte) (any, error) {
		return nil, &Error{Status: 503, Text: "no", Hint: "later"}
	}})
	done := make(chan error, 1)
	got := make(chan string)
	go func() {
		done <- Follow(t.Context(), path, "/v1/tap", func(b []byte) error { got <- string(b); return nil })
	}()
	for _, want := range []string{`"a"`, `"<b>"`, `"` + strings.Repeat("x", 100_000) + `"`} {
		lines <- json.RawMessage(want)
		if line := <-got; line != want {
			t.Errorf("got %.100s, want %.100s", line, want)
		}
	}
	close(lines)
	var failure *Error
	if err := <-done; !errors.As(err, &failure) || failure.Text != "out of lines" {
		t.Errorf("Follow = %v, want the stream's error", err)
	}
	if err := Follow(t.Context(), path, "/v1/fail", nil); !errors.As(err, &failure) || failure.Hint != "later" {
		t.Errorf("Follow = %v, want the handler's error", err)
	}
	nobody := filepath.Join(t.TempDir(), "x.sock")
	if err := Follow(t.Context(), nobody, "/v1/tap", nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Follow = %v, want ErrNotRunning", err)
	}
}

// bounded has f serve and ask with a bound that other answers keep to. It is also that for a request to come: where a machine is
// too slow for that, f is given a larger one.
func bounded(t *testing.T, f func(limit time.Duration) error) {
	t.Helper()
	for limit := 400 * time.Millisecond; ; limit *= 4 {
		err := f(limit)
		if err == nil {
			return
		}
		if limit > 5*time.Second {
			t.Fatalf("with a bound of %v: %v", limit, err)
		}
		t.Logf("with a bound of %v: %v", limit, err)
	}
}

// serveBounded serves on a new socket until the result is called.
func serveBounded(t *testing.T, handlers Handlers, limit time.Duration) (path string, stop func() error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.sock")
	l, err := Listen(Socket{Path: path, Mode: 0o600, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serveWithin(ctx, l, muxOf(handlers), quiet, time.Minute, limit) }()
	return path, func() error { cancel(); return <-served }
}

// A stream lives on beyond the bounds of other answers, with a reader that is slow too.
func TestStreamOutlivesTheServersDeadlines(t *testing.T) {
	bounded(t, func(limit time.Duration) error {
		path, stop := serveBounded(t, Handlers{"GET /v1/tap": func(context.Context, url.Values, []byte) (any, error) {
			return Stream(func(ctx context.Context, l *Lines) error {
				for end := time.Now().Add(2 * limit); time.Now().Before(end); {
					if err := errors.Join(ctx.Err(), l.Send(1), l.Flush()); err != nil {
						return err
					}
				}
				return errors.Join(l.Send("last"), l.Flush())
			}), nil
		}}, limit)
		last := ""
		err := Follow(t.Context(), path, "/v1/tap", func(b []byte) error { last = string(b); return nil })
		if !errors.Is(err, ErrEnded) || last != `"last"` {
			return errors.Join(fmt.Errorf("Follow = %v after %q, want the end after all", err, last), stop())
		}
		return stop()
	})
}

// What changes something is answered even if it took longer than the server gives those that look.
func TestChangesTakeAsLongAsTheyTake(t *testing.T) {
	bounded(t, func(limit time.Duration) error {
		path, stop := serveBounded(t, Handlers{"POST " + PathReload: func(ctx context.Context, _ url.Values, _ []byte) (any, error) {
			select {
			case <-time.After(2 * limit):
				return Reload{Changed: []string{"all"}}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}, limit)
		var got Reload
		if err := Call(t.Context(), path, "POST", PathReload, nil, &got); err != nil || len(got.Changed) != 1 {
			return errors.Join(fmt.Errorf("got %+v, %v", got, err), stop())
		}
		return stop()
	})
}

// The end of the server ends a stream whose reader does not read, and waits for it.
func TestServeEndsWithStuckStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	l, err := Listen(Socket{Path: path, Mode: 0o600, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	full, ended := make(chan struct{}), make(chan struct{})
	handlers := Handlers{"GET /v1/tap": func(context.Context, url.Values, []byte) (any, error) {
		return Stream(func(ctx context.Context, l *Lines) error {
			defer close(ended)
			text := strings.Repeat("x", 1<<20)
			for i := 0; ; i++ {
				if i == 1 {
					close(full)
				}
				if err := l.Send(text); err != nil {
					return err
				}
			}
		}), nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, handlers, quiet) }()
	reader := make(chan error, 1)
	go func() {
		reader <- Follow(t.Context(), path, "/v1/tap", func([]byte) error { <-ended; return nil })
	}()
	<-full
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Serve returned before the stream had")
	}
	<-ended
	if err := <-reader; !errors.Is(err, ErrEnded) {
		t.Errorf("Follow = %v, want ErrEnded", err)
	}
}

func TestPeer(t *testing.T) {
	path := start(t, Handlers{"GET /v1/who": func(ctx context.Context, _ url.Values, _ []byte) (any, error) {
		uid, ok := Peer(ctx)
		if !ok {
			return nil, errors.New("not known")
		}
		return uid, nil
	}})
	var uid int
	if err := Call(t.Context(), path, "GET", "/v1/who", nil, &uid); err != nil || uid != os.Geteuid() {
		t.Errorf("got %d, %v, want %d", uid, err, os.Geteuid())
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	lines := make(chan any)
	path := start(t, Handlers{"GET /v1/tap": endless(lines)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Follow(ctx, path, "/v1/tap", func([]byte) error { cancel(); return nil }) }()
	lines <- 1
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow = %v, want %v", err, context.Canceled)
	}
}

func TestTapQuery(t *testing.T) {
	pid, uid := uint32(7), uint32(0)
	q := TapQuery{Path: "a b/**", Host: "web*", Rule: "r", PID: &pid, UID: &uid, Rate: 5}
	v, err := url.ParseQuery(q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseTapQuery(v)
	if err != nil || got.Encode() != q.Encode() || *got.PID != pid || *got.UID != uid {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"pid=x", "uid=-1", "pid=4294967296", "rate=-1", "rate=x", "colour=red"} {
		v, _ := url.ParseQuery(bad)
		var e *Error
		if _, err := ParseTapQuery(v); !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("%s: %v, want an error with status 400", bad, err)
		}
	}
}

func TestTapRecord(t *testing.T) {
	c := &record.Chunk{Seq: 5, Handle: 3, Offset: 100, Source: &record.Source{Host: "web1", BootID: "b"},
		File:   &record.File{Mount: "log", Path: "a\xff.log", Rule: "all"},
		Writer: &record.Writer{Kind: record.Thread, PID: 7, Comm: "sh"}, Flags: record.Below}
	for _, x := range []struct {
		data, want string
	}{
		{"<hi>\n", `"data":"<hi>",`},
		{"\n", `"data":"",`},
		{"part", `"data":"part","no_lf":true,`},
		{"\xff\n", `"data_base64":"/w==",`},
	} {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(NewTapRecord(c, []byte(x.data), 2, 1_700_000_000_000_000_001)); err != nil {
			t.Fatal(err)
		}
		want := `{"time":"2023-11-14T22:13:20.000000001Z",` + x.want + `"seq":5,"handle":3,"offset":102,"clock":"seen","below":true,"host":"web1",` +
			`"mount":"log","path_base64":"Yf8ubG9n","rule":"all","record":"line","writer":"thread","pid":7,"tid":0,"uid":0,"gid":0,"start":0,"comm":"sh",` +
			`"sender":"00000000000000000000000000000000","epoch":0,"boot_id":"b"}` + "\n"
		if b.String() != want {
			t.Errorf("%q: got\n%swant\n%s", x.data, b.String(), want)
		}
		var back TapRecord
		if err := json.Unmarshal([]byte(b.String()), &back); err != nil || string(back.Bytes()) != strings.TrimSuffix(x.data, "\n") || back.PID != 7 {
			t.Errorf("%q: read back %+v, %v", x.data, back, err)
		}
	}
	framed := *c
	framed.File = &record.File{Mount: "log", Path: "a.log", Unit: record.Framed}
	for data, want := range map[string]string{
		"a\n b\n": `"data":"a\n b","seq"`, "a\r\n": `"data":"a","end":"\r\n","seq"`, "a\r": `"data":"a","end":"\r","seq"`, "a\x00": `"data":"a","end":"\u0000","seq"`,
		"a": `"data":"a","no_lf":true,"seq"`,
	} {
		if b, err := json.Marshal(NewTapRecord(&framed, []byte(data), 0, 0)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("framed %q: got %s, %v, want %s", data, b, err, want)
		}
	}
	relayed := *c
	relayed.Source = (&record.Source{Stream: record.Stream{Sender: record.SenderID{1}}}).Via(record.SenderID{2})
	if r := NewTapRecord(&relayed, []byte("x\n"), 0, 0); r.Sender != (record.SenderID{1}).String() {
		t.Errorf("got sender %s of a derived stream, want who captured it", r.Sender)
	}
	gap := NewTapRecord(&record.Chunk{Seq: 9, Source: c.Source, Gap: &record.Gap{First: 4, Reason: record.Expired, Bytes: 10, Records: 2}}, nil, 0, 0)
	b, err := json.Marshal(gap)
	if err != nil || !strings.Contains(string(b), `"gap":{"first":4,"last":9,"reason":"expired","bytes":10,"records":2}`) || strings.Contains(string(b), "data") {
		t.Errorf("gap: %s, %v", b, err)
	}
}
