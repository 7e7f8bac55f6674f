package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ftfuse/internal/control"
)

const (
	scrapesAtOnce = 4 // more are answered 503
	scrapeTimeout = 20 * time.Second
)

// Options say of what the metrics are.
type Options struct {
	Role   Role                  // Sender or Receiver
	Status func() control.Status // asked anew for every request
	Logger *slog.Logger
}

// Serve answers /metrics, /healthz and / on l until ctx ends, then closes l and returns nil within a few seconds.
func Serve(ctx context.Context, l net.Listener, o Options) error {
	h, err := handler(o)
	if err != nil {
		return err
	}
	return control.ServeHTTP(ctx, l, h, o.Logger)
}

func handler(o Options) (http.Handler, error) {
	r := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		newCollector(o.Role, o.Status), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce, Timeout: scrapeTimeout,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, o.Status()) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, indexPage, o.Role)
	})
	return mux, nil
}

const indexPage = `<!doctype html>
<title>ftfuse %[1]s</title>
<h1>ftfuse %[1]s</h1>
<ul>
<li><a href="/metrics">/metrics</a> for Prometheus
<li><a href="/healthz">/healthz</a> 200 when all is well, 503 with the reasons when not
</ul>
`

// Health is the answer to /healthz, in one line of JSON.
type Health struct {
	Status  string           `json:"status"` // ok or unhealthy
	Role    string           `json:"role"`
	Reasons []control.Reason `json:"reasons,omitempty"`
}

func health(w http.ResponseWriter, s control.Status) {
	h := Health{Status: "ok", Role: s.Role, Reasons: s.Unhealthy}
	code := http.StatusOK
	if len(h.Reasons) > 0 {
		h.Status, code = "unhealthy", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(h) // whoever asked has gone
}
