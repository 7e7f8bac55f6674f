package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A bug report of a busy machine tells how it is, and nothing of what was captured.
func TestBugreportHasNoPayload(t *testing.T) {
	s := newSite(t)
	s.startBoth()
	const payload = "what-the-program-wrote"
	s.sh(`echo ` + payload + `-1 >>a.log; echo ` + payload + `-2 >>b.wc`)
	s.expect("a.log", payload+"-1\n")
	s.expect("b.wc", payload+"-2\n")
	s.drained() // else what is there and not acknowledged is queued too
	s.receiver.stop(t)
	s.sh(`echo ` + payload + `-3 >>a.log; echo ` + payload + `-4 >>b.wc`)
	file := filepath.Join(s.dir, "report.tar.gz")
	var out []byte
	s.until("what was written is queued", 20*time.Second, func() bool {
		_ = os.Remove(file)
		var err error
		out, err = exec.Command(program, "bugreport", "--config", filepath.Join(s.dir, "sender.yaml"), "--config", filepath.Join(s.dir, "receiver.yaml"), "-o", file).CombinedOutput()
		if err != nil {
			t.Fatalf("bugreport: %v: %s", err, out)
		}
		return strings.Contains(unzip(t, file), `"role": "sender"`) && strings.Contains(unzip(t, file), `"bytes": 50,`)
	})
	text := unzip(t, file)
	for _, want := range []string{"/README", "/status-sender.json", "/files.txt", "/limits.txt", `"delivered": {`, "Max open files", " - fuse.ftfuse ", "state_dir: " + s.dir} {
		if !strings.Contains(text, want) {
			t.Errorf("the report has no %q; the command said %s", want, out)
		}
	}
	if strings.Contains(text, payload) {
		t.Error("the report has something that was captured")
	}
	if !strings.Contains(string(out), "status-receiver.json: ask ") {
		t.Errorf("nothing is said of the receiver that does not answer: %s", out)
	}
}

func unzip(t *testing.T, file string) string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader([]byte(readFile(t, file))))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
