package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Metrics are served on the socket of a unit and on the configured one. One that cannot be had keeps nobody from work.
func TestMetricsSockets(t *testing.T) {
	dir := t.TempDir()
	unit, taken := listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "tcp", "127.0.0.1:0")
	config := func(listen string) string {
		return fmt.Sprintf(`state_dir: %[1]s/state
control: {socket: %[1]s/control.sock, mode: 0600}
log: {format: text}
metrics: {listen: "%[2]s"}
listen: ["127.0.0.1:0"]
outputs: [{name: in, base: %[1]s/in}]
`, dir, listen)
	}
	own := filepath.Join(dir, "metrics.sock")
	s := startService(t, config("unix:"+own), "receiver", "metrics", unit)
	s.told("READY=1")
	for network, address := range map[string]string{"tcp": unit.Addr().String(), "unix": own} {
		client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}}}
		answer, err := client.Get("http://ftfuse/healthz")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if want := `{"status":"ok","role":"receiver"}` + "\n"; err != nil || string(b) != want || answer.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %q, %v, want %q", network, answer.StatusCode, b, err, want)
		}
	}
	idle, err := net.Dial("unix", own) // a client that says nothing does not hold up the stop
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	s.signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("stop: %v: %s", err, s.log())
	}

	s = startService(t, config(taken.Addr().String()), "receiver", "")
	s.told("READY=1")
	s.signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("stop: %v: %s", err, s.log())
	}
	// The log is complete when the process has ended.
	if log := s.log(); !strings.Contains(log, "no metrics: cannot listen for them") || !strings.Contains(log, "address already in use") {
		t.Errorf("a taken address: the log says %s", log)
	}
}
