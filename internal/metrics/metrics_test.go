package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"ftfuse/internal/control"
)

var update = flag.Bool("update", false, "write the generated documents anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// relay is what a relay's status has beside a receiver's: of a target with two members, and of a plug-in.
func relay(s control.Status) control.Status {
	r := *s.Receiver
	count := func(n uint64) control.Count { return control.Count{Bytes: n, Records: n / 10} }
	r.Flows = []control.Flow{
		{Rule: "evil-rule", Target: "up", Captured: count(100), Delivered: count(60), Queued: count(40)},
		{Rule: "other", Target: "up", Captured: count(50), Filtered: count(20), Dropped: control.Drops{"queue_full": count(30)}},
		{Rule: "other", Target: "feed", Captured: count(50), Delivered: count(50)},
	}
	r.Queue = &control.QueueStatus{Bytes: 40, MaxSize: 400, State: "full", Oldest: now.Add(-time.Minute)}
	r.Targets = []control.TargetStatus{{Name: "up", Policy: "failover", HandOvers: 2}}
	r.Receivers = []control.PeerStatus{{Target: "up", Member: "a", State: "connected", Waiting: count(40)}, {Target: "up", Member: "b", State: "waiting", Failures: 9}}
	s.Receiver = &r
	return s
}

// statuses are a sender and a receiver that have something of everything.
func statuses() map[Role]control.Status {
	flow := control.Flow{Rule: "default", Target: "main", Captured: control.Count{Bytes: 100, Records: 10},
		Delivered: control.Count{Bytes: 60, Records: 6}, Queued: control.Count{Bytes: 10, Records: 1}, Filtered: control.Count{Bytes: 10, Records: 1},
		Dropped: control.Drops{"queue_full": {Bytes: 20, Records: 2}}}
	sender := control.Status{Role: "sender", Version: "1.2.3", Since: now.Add(-time.Hour), Now: now, Sender: &control.SenderStatus{
		Spools: 3, Unseen: 7, Disk: 4096, Flows: []control.Flow{flow},
		Mounts: []control.MountStatus{{Name: "log", Path: "/secret/path", State: control.Serving, Requests: 5, Opens: []control.OpenCount{
			{Mode: "write", Reason: "rule: capture write", Count: 1}, {Mode: "write", Reason: "no spool: too many", Count: 2}, {Mode: "write", Reason: "no spool: other", Count: 3}}},
			{Name: "log", Path: "/secret/path", State: control.Serving, Requests: 6}}, // its predecessor was unmounted lazily
		Queue:   control.QueueStatus{Bytes: 10, MaxSize: 100, State: "ok", Oldest: now.Add(-90 * time.Second)},
		Targets: []control.TargetStatus{{Name: "main", HandOvers: 3, Uncertain: control.Count{Bytes: 17}}},
		Peers:   []control.PeerStatus{{Target: "main", Member: "a", State: "connected", Turned: now.Add(-time.Minute), RTT: 20 * time.Millisecond, Oldest: now.Add(-90 * time.Second), LastAck: now.Add(-time.Second)}},
		Outputs: []control.OutputStatus{{Name: "copies", Type: "file", Base: "/secret/base", Oldest: now.Add(-30 * time.Second)},
			{Name: "alarm", Type: "plugin", Base: "/secret/program", Uncertain: 7, Oldest: now.Add(-40 * time.Second), Plugin: &control.PluginStatus{PID: 4711, Starts: 3, Restarts: 2, Lag: 1500 * time.Millisecond, StderrLines: 4}}},
	}}
	receiver := control.Status{Role: "receiver", Version: "1.2.3", Since: now, Now: now, Receiver: &control.ReceiverStatus{
		Refused: map[string]uint64{"slow": 1, "clone": 0}, Peers: []control.SourceStatus{{Host: "evil-host", Address: "10.0.0.1:1"}},
		Outputs: []control.OutputStatus{{Name: "files", Base: "/secret/base", Missing: control.Drops{"purged": {Bytes: 3, Records: 1}}}},
	}}
	return map[Role]control.Status{Sender: sender, Receiver: receiver}
}

// ask returns what a handler for status answers.
func ask(t *testing.T, role Role, s control.Status, path string) *httptest.ResponseRecorder {
	t.Helper()
	h, err := handler(Options{Role: role, Status: func() control.Status { return s }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestValues(t *testing.T) {
	for role, wants := range map[Role][]string{
		Sender: {
			`ftfuse_captured_bytes_total{rule="default",target="main"} 100`,
			`ftfuse_dropped_bytes_total{reason="queue_full",rule="default",target="main"} 20`,
			`ftfuse_dropped_records_total{reason="expired",rule="default",target="main"} 0`,
			`ftfuse_queue_oldest_seconds 90`,
			`ftfuse_target_round_trip_seconds{member="a",target="main"} 0.02`,
			`ftfuse_target_state_seconds{member="a",target="main"} 60`, `ftfuse_target_hand_overs_total{target="main"} 3`, `ftfuse_target_uncertain_bytes_total{target="main"} 17`,
			`ftfuse_mount_opens_total{mode="write",mount="log",reason="no spool"} 5`,
			`ftfuse_mount_opens_total{mode="write",mount="log",reason="rule: capture write"} 1`,
			`ftfuse_mount_serving{mount="log"} 1`, `ftfuse_mount_requests_total{mount="log"} 11`,
			`ftfuse_healthy 1`,
			`ftfuse_output_oldest_seconds{output="copies"} 30`, `ftfuse_output_oldest_seconds{output="alarm"} 40`, `ftfuse_output_uncertain_bytes_total{output="alarm"} 7`,
			`ftfuse_plugin_running{output="alarm"} 1`, `ftfuse_plugin_restarts_total{output="alarm"} 2`, `ftfuse_plugin_lag_seconds{output="alarm"} 1.5`,
			`ftfuse_plugin_lines_total{output="alarm",stream="stderr"} 4`,
		},
		Receiver: {
			`ftfuse_receiver_peers 1`, `ftfuse_receiver_refused_total{reason="slow"} 1`,
			`ftfuse_output_missing_bytes_total{output="files",reason="purged"} 3`, `ftfuse_output_last_error_timestamp_seconds{output="files"} 0`,
		},
	} {
		w := ask(t, role, statuses()[role], "/metrics")
		text := w.Body.String()
		for _, want := range append(wants, "process_resident_memory_bytes ", "go_goroutines ") {
			if !strings.Contains(text, "\n"+want) {
				t.Errorf("%s: no line %q in\n%s", role, want, text)
			}
		}
		for _, private := range []string{"secret", "evil-host", "10.0.0.1"} {
			if strings.Contains(text, private) {
				t.Errorf("%s: %q is in the metrics", role, private)
			}
		}
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d, %v", role, w.Code, err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", role, p.Metric, p.Text)
		}
	}
}

// A relay has the metrics of a sender's targets and queue too, whatever the rules of those are called who send to it; a
// receiver that is none has no sample of them.
func TestRelay(t *testing.T) {
	plain := statuses()[Receiver]
	text := ask(t, Receiver, relay(plain), "/metrics").Body.String()
	for _, want := range []string{
		`ftfuse_captured_bytes_total{rule="",target="up"} 150`, `ftfuse_delivered_records_total{rule="",target="up"} 6`,
		`ftfuse_queued_bytes{rule="",target="up"} 40`, `ftfuse_filtered_bytes_total{rule="",target="up"} 20`, `ftfuse_delivered_bytes_total{rule="",target="feed"} 50`,
		`ftfuse_dropped_bytes_total{reason="queue_full",rule="",target="up"} 30`, `ftfuse_dropped_records_total{reason="expired",rule="",target="up"} 0`,
		`ftfuse_queue_bytes 40`, `ftfuse_queue_limit_bytes 400`, `ftfuse_queue_full 1`, `ftfuse_queue_oldest_seconds 60`,
		`ftfuse_target_hand_overs_total{target="up"} 2`, `ftfuse_target_waiting_bytes{member="a",target="up"} 40`,
		`ftfuse_target_connected{member="a",target="up"} 1`, `ftfuse_target_connected{member="b",target="up"} 0`, `ftfuse_target_failures_total{member="b",target="up"} 9`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "evil-rule") {
		t.Error("the name of a sender's rule is in the metrics")
	}
	without := ask(t, Receiver, plain, "/metrics").Body.String()
	for _, name := range []string{"ftfuse_captured_", "ftfuse_queue", "ftfuse_target_", "ftfuse_disk_", "ftfuse_last_loss_"} {
		if strings.Contains(without, "\n"+name) {
			t.Errorf("a receiver that is no relay has a metric %s", name)
		}
	}
	feeds := relay(plain)
	feeds.Receiver.Targets, feeds.Receiver.Receivers, feeds.Receiver.Queue = nil, nil, &control.QueueStatus{State: "ok"}
	if text := ask(t, Receiver, feeds, "/metrics").Body.String(); !strings.Contains(text, "\nftfuse_queue_bytes 0\n") || strings.Contains(text, "\nftfuse_queue_limit_bytes") {
		t.Errorf("with plug-ins only, want figures of the queue and no limit, got\n%s", text)
	}
}

func TestHealthz(t *testing.T) {
	s := statuses()[Sender]
	s.Judge(time.Minute)
	if w := ask(t, Sender, s, "/healthz"); w.Code != http.StatusOK || w.Body.String() != `{"status":"ok","role":"sender"}`+"\n" {
		t.Errorf("well: got %d %s", w.Code, w.Body)
	}
	s.Sender.Mounts = s.Sender.Mounts[:1]
	s.Sender.Mounts[0].State = "unmounted by an operator"
	s.Judge(time.Minute)
	w := ask(t, Sender, s, "/healthz")
	var h Health
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil || w.Code != http.StatusServiceUnavailable || strings.Count(w.Body.String(), "\n") != 1 {
		t.Fatalf("unwell: got %d %s, %v", w.Code, w.Body, err)
	}
	want := control.Reason{Code: control.MountNotServed, Subject: "log", Text: "mount log is not served: unmounted by an operator"}
	if len(h.Reasons) != 1 || h.Reasons[0] != want || h.Status != "unhealthy" {
		t.Errorf("got %+v, want one reason %+v", h, want)
	}
	if text := ask(t, Sender, s, "/metrics").Body.String(); !strings.Contains(text, "\nftfuse_healthy 0\n") {
		t.Error("ftfuse_healthy is not 0")
	}
}

func TestPages(t *testing.T) {
	s := statuses()[Receiver]
	if w := ask(t, Receiver, s, "/"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `href="/metrics"`) || !strings.Contains(w.Body.String(), `href="/healthz"`) {
		t.Errorf("/: got %d %s", w.Code, w.Body)
	}
	if w := ask(t, Receiver, s, "/v1/status"); w.Code != http.StatusNotFound {
		t.Errorf("/v1/status: got %d, want 404: it is for the control socket", w.Code)
	}
}

// Clients that say nothing, and one that waits, keep Serve neither from answering nor from ending.
func TestServeEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s := statuses()[Sender]
	go func() {
		done <- Serve(ctx, l, Options{Role: Sender, Status: func() control.Status { return s }, Logger: slog.New(slog.DiscardHandler)})
	}()
	for range 5 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	client := http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://" + l.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || !bytes.Contains(b, []byte("ftfuse_build_info{")) {
		t.Errorf("got %q, %v", b, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// docs/metrics.md is made from the table.
func TestDocument(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(intro)
	for _, role := range []Role{Both, Sender, Receiver} {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n", heading[role])
		for _, m := range Table() {
			if m.Role == role {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
			}
		}
	}
	const file = "../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is not what the table says (%v): go test ./internal/metrics -run Document -update", file, err)
	}
}

var heading = map[Role]string{Both: "Of both", Sender: "Of a sender", Receiver: "Of a receiver"}

const intro = `# Metrics and health

<!-- Made from the table in internal/metrics: go test ./internal/metrics -run Document -update -->

` + "With `metrics.listen` in its [configuration](configuration.md), or a socket named `metrics` from systemd, a sender or receiver answers over HTTP:" + `

| | |
|---|---|
` + "| `/metrics` | what stands below, for Prometheus, with `go_...` and `process_...` of the process itself |" + `
` + "| `/healthz` | one line of JSON: 200 and `\"status\":\"ok\"`, or 503 and the reasons, each with a code, the name of what it is about, and a text |" + `

The figures are those of ` + "`ftfuse status`" + `, taken when somebody asks; nothing is counted twice. Values of labels come from the
configuration (` + "`rule`, `target`, `mount`, `output`" + `, and ` + "`member`" + `) or from lists in the program (` + "`reason`, `mode`, `role`, `stream`" + `): no paths, process ids or
names of peers. ` + "`member`" + ` is empty at a target's only receiver. What waits for targets and plug-ins, and how targets do, a receiver says only if it
has some, that is as a [relay](relays.md) or with plug-ins; ` + "`rule`" + ` is empty there, as rules are the senders'. What is said per peer is in ` + "`ftfuse status --json`" + `.

| code of a reason | subject | 503 while |
|---|---|---|
` + "| `mount_not_served` | mount | the mount is not there: still starting, ended with an error, or unmounted by hand |" + `
` + "| `target_unreachable` | target | data waits, nothing was acknowledged for `metrics.unreachable_after`, and there is no connection |" + `
` + "| `target_stalled` | target | the same with a connection: the receiver cannot write, or, as a relay, is full |" + `
` + "| `queue_filling` | | 90 % of `queue.max_size` are queued, at a relay for one target |" + `
` + "| `queue_full` | | new data meets `when_full`; a relay takes nothing more |" + `
` + "| `dropping` | | data was dropped within the last minute, other than by `expire` or by an operator |" + `
` + "| `output_failing` | output | writing to the output has failed within the last minute; or data waits in the queue for it and it took nothing for `metrics.unreachable_after` |" + `
` + "| `plugin_ending` | output | a plug-in has ended by itself three times or more, and is away or did so within the last minute |" + `

[Operations](operations.md#monitoring) says which of them to alarm on.
`
