package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/metrics"
)

// get asks a daemon's socket for metrics, and returns the status and the body.
func get(t *testing.T, socket, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}
	answer, err := client.Get("http://ftfuse" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// exposed returns the metrics of a scrape that are ours, written as the table would write them, and the samples.
func exposed(t *testing.T, text string) (rows []string, samples map[string]string) {
	t.Helper()
	type family struct{ help, kind, labels string }
	all := map[string]*family{}
	samples = map[string]string{}
	sample := regexp.MustCompile(`^(\w+)(?:\{(.*)\})? (\S+)$`)
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if f := strings.SplitN(line, " ", 4); f[0] == "#" {
			if all[f[2]] == nil {
				all[f[2]] = &family{}
			}
			if f[1] == "HELP" {
				all[f[2]].help = f[3]
			} else {
				all[f[2]].kind = f[3]
			}
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("cannot read the line %q", line)
		}
		samples[m[1]+"{"+m[2]+"}"] = m[3]
		if f := all[m[1]]; f != nil {
			var names []string
			for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
				names = append(names, l[1])
			}
			f.labels = strings.Join(names, ",")
		}
	}
	for name, f := range all {
		switch prefix, _, _ := strings.Cut(name, "_"); prefix {
		case "ftfuse":
			rows = append(rows, fmt.Sprintf("%s %s [%s] %s", name, f.kind, f.labels, f.help))
		case "go", "process": // of the Go runtime
		default:
			t.Errorf("metric %s is of nobody", name)
		}
	}
	slices.Sort(rows)
	return rows, samples
}

// expected returns the table's rows for a role.
func expected(role metrics.Role) (rows []string) {
	for _, m := range metrics.Table() {
		if m.Role == role || m.Role == metrics.Both {
			labels := slices.Sorted(slices.Values(m.Labels))
			rows = append(rows, fmt.Sprintf("%s %s [%s] %s", m.Name, m.Kind, strings.Join(labels, ","), m.Help))
		}
	}
	slices.Sort(rows)
	return rows
}

// A sender and a receiver that has everything, a relay with a plug-in, expose what the table says, all of it and nothing else,
// with the figures of what happened.
func TestMetrics(t *testing.T) {
	const cat = "{name: feed, type: plugin, plugin: {command: [/bin/cat], stdout: discard}}"
	s := newSite(t)
	socks := map[metrics.Role]string{metrics.Sender: filepath.Join(s.dir, "sm.sock"), metrics.Receiver: filepath.Join(s.dir, "rm.sock")}
	s.senderX = "metrics: {listen: \"unix:" + socks[metrics.Sender] + "\", unreachable_after: 1s}\n" +
		fmt.Sprintf("outputs:\n  - {name: copy, type: file, base: %s}\n", filepath.Join(s.dir, "copy")) + "  - " + cat + "\n"
	s.secured("", fmt.Sprintf("metrics: {listen: \"unix:%s\"}", socks[metrics.Receiver]))
	last := s.relayTo("last", "", "hop")
	last.targets, last.outputs = "[]", fmt.Sprintf("[{name: files, base: %s/files}]", last.dir)
	last.start()
	s.recvX = strings.Replace(s.recvX, s.plainOutputs(), s.plainOutputs()+"\n  - "+cat, 1) + fmt.Sprintf("\ntargets: [{name: on, address: %q}]", last.addr)
	s.startBoth()
	s.sh(`echo one >>a.log; echo two >>b.wc; cat a.log >cat.txt`)
	s.expect("a.log", "one\n")
	s.expect("b.wc", "two\n")
	s.expect("cat.txt", "one\n")
	want := map[metrics.Role][]string{
		metrics.Sender: {
			`ftfuse_captured_bytes_total{rule="rest",target="main"} 8`, `ftfuse_delivered_bytes_total{rule="rest",target="main"} 8`,
			`ftfuse_delivered_records_total{rule="write",target="main"} 1`, `ftfuse_queued_bytes{rule="rest",target="main"} 0`,
			`ftfuse_dropped_bytes_total{reason="queue_full",rule="rest",target="main"} 0`, `ftfuse_target_connected{member="",target="main"} 1`,
			`ftfuse_mount_serving{mount="log"} 1`, `ftfuse_mount_panics_total{mount="log"} 0`, `ftfuse_healthy{} 1`,
		},
		metrics.Receiver: {
			`ftfuse_receiver_peers{} 1`, `ftfuse_receiver_stored_bytes_total{} 12`, `ftfuse_receiver_stored_records_total{} 3`,
			`ftfuse_output_written_bytes_total{output="files"} 12`, `ftfuse_output_open_files{output="files"} 3`, `ftfuse_healthy{} 1`,
			`ftfuse_delivered_bytes_total{rule="",target="on"} 12`, `ftfuse_delivered_bytes_total{rule="",target="feed"} 12`, `ftfuse_target_connected{member="",target="on"} 1`,
		},
	}
	for role, sock := range socks {
		var rows []string
		var samples map[string]string
		lacks := func() []string {
			_, text := get(t, sock, "/metrics")
			rows, samples = exposed(t, text)
			return slices.DeleteFunc(slices.Clone(want[role]), func(w string) bool { name, value := cutLast(w); return samples[name] == value })
		}
		if !happens(60*time.Second, func() bool { return len(lacks()) == 0 }) { // acknowledgements are counted after the files are written
			t.Errorf("%s: never exposed: %q", role, lacks())
		}
		if table := expected(role); !slices.Equal(rows, table) {
			t.Errorf("%s: exposed and not in the table: %q\nin the table and not exposed: %q", role, without(rows, table), without(table, rows))
		}
		if code, text := get(t, sock, "/healthz"); code != http.StatusOK {
			t.Errorf("%s: /healthz gives %d %s", role, code, text)
		}
	}
	s.receiver.stop(t)
	s.sh(`echo late >>a.log`)
	s.until("the target counts as unreachable", 30*time.Second, func() bool {
		code, text := get(t, socks[metrics.Sender], "/healthz")
		return code == http.StatusServiceUnavailable && strings.Contains(text, `"code":"target_unreachable","subject":"main"`)
	})
	if _, err := os.Stat(socks[metrics.Receiver]); !os.IsNotExist(err) {
		t.Errorf("the receiver left its socket behind: %v", err)
	}
}

func cutLast(line string) (name, value string) {
	i := strings.LastIndexByte(line, ' ')
	return line[:max(i, 0)], line[i+1:]
}

func without(list, other []string) (rest []string) {
	for _, l := range list {
		if !slices.Contains(other, l) {
			rest = append(rest, l)
		}
	}
	return rest
}
