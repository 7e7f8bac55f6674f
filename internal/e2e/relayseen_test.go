package e2e

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// exposes waits until a socket's metrics have all of the samples.
func (s *site) exposes(socket string, want ...string) {
	s.t.Helper()
	var samples map[string]string
	lacks := func() []string {
		_, text := get(s.t, socket, "/metrics")
		_, samples = exposed(s.t, text)
		return slices.DeleteFunc(slices.Clone(want), func(w string) bool { name, value := cutLast(w); return samples[name] == value })
	}
	if !happens(60*time.Second, func() bool { return len(lacks()) == 0 }) {
		for _, w := range lacks() {
			name, value := cutLast(w)
			s.t.Errorf("metrics of %s: %s is %q, want %s", filepath.Base(socket), name, samples[name], value)
		}
		s.t.FailNow()
	}
}

// answers waits until /healthz of a socket answers with a code and a text.
func (s *site) answers(socket string, code int, text string) {
	s.t.Helper()
	s.until("/healthz says "+text, 30*time.Second, func() bool {
		got, said := get(s.t, socket, "/healthz")
		return got == code && strings.Contains(said, text)
	})
}

// A relay says in metrics, health, status and top what waits for its targets and how they are, while the last receiver is away
// and when it is back; what its rules take out counts as filtered. A receiver that is no relay says nothing of targets.
func TestRelaySeen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	final, seen, plain := s.addr, filepath.Join(s.dir, "relay-m.sock"), filepath.Join(s.dir, "last-m.sock")
	s.recvX = s.plainOutputs() + "\nmetrics: {listen: \"unix:" + plain + "\"}"
	s.startReceiver()
	a := s.relayTo("relay1", final, "hop")
	a.more = "metrics: {listen: \"unix:" + seen + "\", unreachable_after: 1s}\n" +
		`rules: [{name: quiet, match: ["**"], filters: [{action: deny, contains: noise}]}]`
	a.start()
	s.addr = a.addr
	s.startSender()

	s.sh(`echo one >>a.log; echo noise >>a.log; echo noise >>b.log; echo two >>a.log`)
	s.expect("a.log", "one\ntwo\n")
	s.exposes(seen, `ftfuse_captured_bytes_total{rule="",target="up"} 20`, `ftfuse_captured_records_total{rule="",target="up"} 4`,
		`ftfuse_delivered_bytes_total{rule="",target="up"} 8`, `ftfuse_delivered_records_total{rule="",target="up"} 2`,
		`ftfuse_filtered_bytes_total{rule="",target="up"} 12`, `ftfuse_filtered_records_total{rule="",target="up"} 2`,
		`ftfuse_queued_bytes{rule="",target="up"} 0`, `ftfuse_queue_bytes{} 0`, `ftfuse_target_connected{member="",target="up"} 1`, `ftfuse_healthy{} 1`)
	s.answers(seen, http.StatusOK, `"status":"ok"`)
	_, text := get(t, plain, "/metrics")
	for _, name := range []string{"ftfuse_target_", "ftfuse_captured_", "ftfuse_queue"} {
		if strings.Contains(text, "\n"+name) {
			t.Errorf("a receiver that is no relay has a metric %s", name)
		}
	}

	s.receiver.stop(t)
	s.sh(`echo late >>a.log`)
	s.answers(seen, http.StatusServiceUnavailable, `"code":"target_unreachable","subject":"up"`)
	s.exposes(seen, `ftfuse_queued_bytes{rule="",target="up"} 5`, `ftfuse_queue_bytes{} 5`, `ftfuse_target_waiting_bytes{member="",target="up"} 5`,
		`ftfuse_target_connected{member="",target="up"} 0`, `ftfuse_delivered_bytes_total{rule="",target="up"} 8`, `ftfuse_healthy{} 0`)
	c := openConsole(t)
	c.start("top", "--interval", "200ms", "--role", "receiver", "--config", s.dir+"/relay1.yaml")
	s.until("top shows the target that is away", 20*time.Second, func() bool {
		text := c.text()
		return strings.Contains(text, "! target up could not be reached") && strings.Contains(text, "TO TARGET") && strings.Contains(text, " 5 B of 8.00 GiB")
	})
	a.prints("! target up could not be reached", "TO TARGET", "5 B of 8.00 GiB", "last error")

	s.startReceiverAt(final)
	s.expect("a.log", "one\ntwo\nlate\n")
	s.exposes(seen, `ftfuse_queued_bytes{rule="",target="up"} 0`, `ftfuse_delivered_bytes_total{rule="",target="up"} 13`,
		`ftfuse_target_waiting_bytes{member="",target="up"} 0`, `ftfuse_target_connected{member="",target="up"} 1`, `ftfuse_healthy{} 1`)
	s.answers(seen, http.StatusOK, `"status":"ok"`)
	s.until("top shows that it is back", 20*time.Second, func() bool { return strings.Contains(c.text(), "1 of 1 receiver connected") })
	c.master.WriteString("q")
	if code := c.exit(); code != 0 {
		t.Errorf("top ends with %d", code)
	}
	s.drainedRelays(a)
}

// prints wants texts in what ftfuse status says of the relay.
func (r *relay) prints(texts ...string) {
	r.s.t.Helper()
	out, err := exec.Command(program, "status", "--role", "receiver", "--config", filepath.Join(r.s.dir, r.name+".yaml")).CombinedOutput()
	if err != nil {
		r.s.t.Fatalf("status of %s: %v, %s", r.name, err, out)
	}
	for _, want := range texts {
		if !strings.Contains(string(out), want) {
			r.s.t.Errorf("status of %s: no %q in\n%s", r.name, want, out)
		}
	}
}
