package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	maxRequest     = 1 << 20  // bytes of a request's body
	maxAnswer      = 64 << 20 // bytes of an answer: a receiver with 10,000 peers has one of about 5 MiB
	maxConnections = 32       // at once; more wait in the kernel's queue
	serverTimeout  = 30 * time.Second
	stopTimeout    = 2 * time.Second
)

// Handler answers one request. What it returns is sent as JSON, a Stream as an answer that goes on; an *Error decides
// about the HTTP status itself. Of its context, Peer says who asks.
type Handler func(ctx context.Context, query url.Values, body []byte) (any, error)

// Handlers maps "METHOD /path" to what answers it.
type Handlers map[string]Handler

// Error is a failure with a hint for the operator. It travels as JSON.
type Error struct {
	Status int    `json:"-"` // of HTTP; 0 means 500
	Text   string `json:"error"`
	Hint   string `json:"hint,omitempty"`
}

func (e *Error) Error() string { return e.Text }

// Serve answers on l until ctx ends, then closes l, lets answers go out for at most two seconds, and returns nil. No handler
// is at work any more then: whatever a reload begins is there for the caller to end.
func Serve(ctx context.Context, l net.Listener, handlers Handlers, log *slog.Logger) error {
	return ServeHTTP(ctx, l, muxOf(handlers), log)
}

func muxOf(handlers Handlers) *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range handlers {
		mux.HandleFunc(pattern, serve(h))
	}
	mux.HandleFunc("/", serve(func(context.Context, url.Values, []byte) (any, error) {
		return nil, &Error{Status: http.StatusNotFound, Text: "unknown command", Hint: "is the running ftfuse older than this one? compare `ftfuse version` with `ftfuse status`"}
	}))
	return mux
}

// ServeHTTP has h answer on l with the same bounds, and ends as Serve does.
func ServeHTTP(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	return serveWithin(ctx, l, h, log, serverTimeout/6, serverTimeout)
}

// serveWithin gives a request head to come, and each question and answer limit.
func serveWithin(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger, head, limit time.Duration) error {
	var work atWork
	s := &http.Server{
		Handler:           work.on(h),
		ReadHeaderTimeout: head,
		ReadTimeout:       limit,
		WriteTimeout:      limit,
		IdleTimeout:       limit,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(&limited{Listener: l, room: make(chan struct{}, maxConnections)}) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if s.Shutdown(stop) != nil {
		s.Close()
	}
	<-done
	work.end() // neither Shutdown, when its time is over, nor Close waits for handlers
	return nil
}

// atWork are the requests that handlers have begun.
type atWork struct {
	mu   sync.Mutex // guards over, and that nothing joins all when that is set
	over bool
	all  sync.WaitGroup
}

// on has h answer as long as the work is not over.
func (a *atWork) on(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.begin() {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		defer a.all.Done()
		h.ServeHTTP(w, r)
	})
}

func (a *atWork) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.all.Add(1)
	}
	return !a.over
}

// end lets no request begin any more, and waits for those that have.
func (a *atWork) end() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	a.all.Wait()
}

func serve(h Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var answer any
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			err = &Error{Status: http.StatusRequestEntityTooLarge, Text: "cannot read the request: " + err.Error()}
		} else {
			if r.Method == http.MethodPost { // what changes something takes as long as it takes, and whoever asks waits as long as he likes
				rc := http.NewResponseController(w)
				_ = errors.Join(rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{})) // fails when he has gone: the change is made all the same
			}
			answer, err = h(r.Context(), r.URL.Query(), body)
		}
		if s, ok := answer.(Stream); ok && err == nil {
			serveStream(w, r, s)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				e = &Error{Text: err.Error()}
			}
			if e.Status == 0 {
				e.Status = http.StatusInternalServerError
			}
			w.WriteHeader(e.Status)
			answer = e
		}
		_ = json.NewEncoder(w).Encode(answer) // whoever asked has gone
	}
}

// limited bounds the connections that are open at once.
type limited struct {
	net.Listener
	room chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.room <- struct{}{} // held from here until the connection's Close
	return &limitedConn{Conn: c, leave: func() { <-l.room }}, nil
}

// limitedConn leaves its place when it is closed for the first time.
type limitedConn struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *limitedConn) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}
