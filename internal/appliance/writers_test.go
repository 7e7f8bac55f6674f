package appliance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// writer is a program on the sender that writes numbered lines "ID N ..." into the mount, as a unit of its own.
type writer struct {
	id, file, program string
	reopens           bool // only the lines of one open have an order
}

// writers are real programs of every kind: a static C program for both captures and for short opens, a shell, Python
// with rotation, nginx. Each rests 4 to 40 ms between lines: two machines at a time share two processors.
var writers = []writer{
	{id: "held", file: "held.log", program: "/usr/local/bin/writer held %s append 4000 0"},
	{id: "plain", file: "plain.log", program: "/usr/local/bin/writer plain %s plain 8000 0"},
	{id: "short", file: "short.log", program: "/usr/local/bin/writer short %s append 8000 5", reopens: true},
	{id: "shell", file: "shell.log", program: "/bin/sh /usr/local/bin/loop.sh shell %s 0.04", reopens: true},
	{id: "python", file: "python.log", program: "/usr/bin/python3 /usr/local/bin/log.py python %s 0.016", reopens: true},
	{id: "nginx", file: "nginx.log", program: "/usr/bin/python3 /usr/local/bin/web.py nginx %s 0.016"},
}

func (w writer) unit() string { return "write-" + w.id + ".service" }

// write starts the writers.
func (s *site) write(list []writer) {
	s.t.Helper()
	for _, w := range list {
		s.sender.run(fmt.Sprintf("systemd-run -q --unit=%s -p KillMode=mixed -p RequiresMountsFor=%s "+w.program, w.unit(), mounted, mounted+"/"+w.file))
	}
}

// result is what a writer says of itself at its end.
type result struct {
	lines, failed int
	longest       time.Duration // the longest that one line took
	text          string        // all of it, with the first error
}

// stop ends the writers and returns what they say.
func (s *site) stop(list []writer) map[string]result {
	s.t.Helper()
	units := ""
	for _, w := range list {
		units += " " + w.unit()
	}
	s.sender.run("systemctl stop" + units)
	results := map[string]result{}
	for _, w := range list {
		results[w.id] = s.result(w.id)
	}
	return results
}

func (s *site) result(id string) result {
	s.t.Helper()
	var r result
	var ms int
	r.text = strings.TrimSpace(readFile(s.t, s.sender.path("/var/tmp/"+id+".result")))
	if _, err := fmt.Sscan(r.text, &r.lines, &r.failed, &ms); err != nil {
		s.t.Fatalf("result of %s: %q: %v", id, r.text, err)
	}
	r.longest = time.Duration(ms) * time.Millisecond
	return r
}

// oracle stops the writers, waits for what they wrote, and wants each line once, in order within its handle, from the
// unit that wrote it. No writer may have seen an error.
func (s *site) oracle(list []writer) {
	s.t.Helper()
	results := s.stop(list)
	for _, w := range list {
		r := results[w.id]
		s.t.Logf("%s: %d lines, the longest took %v", w.id, r.lines, r.longest)
		if r.failed > 0 || r.lines < 10 {
			s.t.Errorf("writer %s: got %d lines and %d errors: %s", w.id, r.lines, r.failed, r.text)
		}
		eventually(s.t, "the lines of "+w.id, func() error {
			if got := strings.Count(s.arrived(w.file), "\n"); got < r.lines {
				return fmt.Errorf("got %d lines, want %d", got, r.lines)
			}
			return nil
		})
		if err := once(s.arrived(w.file), w, r.lines); err != nil {
			s.t.Errorf("%s: %v", w.file, err)
		}
	}
	eventually(s.t, "the json output", func() error { return s.identities(list, results) })
}

// once wants the lines 1 to n, each once, whole, and in order if one handle has written them all.
func once(text string, w writer, n int) error {
	seen, last := make([]bool, n+1), 0
	for line := range strings.Lines(text) {
		var i int
		var id string
		if _, err := fmt.Sscan(line, &id, &i); err != nil || id != w.id || i < 1 || i > n {
			return fmt.Errorf("after line %d stands %q, want lines 1 to %d of %s", last, line, n, w.id)
		}
		if seen[i] {
			return fmt.Errorf("line %d is there twice", i)
		}
		if i <= last && !w.reopens {
			return fmt.Errorf("line %d stands after line %d", i, last)
		}
		seen[i], last = true, i
	}
	for i := 1; i <= n; i++ {
		if !seen[i] {
			return fmt.Errorf("line %d of %d is missing", i, n)
		}
	}
	return nil
}

// line is one line of the receiver's json output.
type line struct {
	Host   string
	Path   string
	Unit   string
	Comm   string
	Data   string
	Handle uint64
	Gap    *struct{ Reason string }
}

// lines returns those of the json output once there are this many: to read them takes a while.
func (s *site) lines(least int) []line {
	s.t.Helper()
	b, err := os.ReadFile(s.receiver.path(received + "/json/all.json"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	if bytes.Count(b, []byte("\n")) < least {
		return nil
	}
	var all []line
	for text := range strings.Lines(string(b)) {
		var l line
		if json.Unmarshal([]byte(text), &l) != nil {
			break // being written
		}
		all = append(all, l)
	}
	return all
}

// identities holds every line's attributes against who wrote it, and the lines of every handle to their order.
func (s *site) identities(list []writer, results map[string]result) error {
	units, count, last := map[string]string{}, map[string]int{}, map[uint64]int{}
	all := 0
	for _, w := range list {
		units[w.file] = w.unit()
		all += results[w.id].lines
	}
	for _, l := range s.lines(all) {
		if l.Gap != nil {
			return fmt.Errorf("a gap: %+v", l)
		}
		if units[l.Path] == "" {
			continue // of another part of the test
		}
		var id string
		var n int
		if _, err := fmt.Sscan(l.Data, &id, &n); err != nil || l.Unit != units[l.Path] || l.Host != "sender" {
			return fmt.Errorf("got %+v, want the unit %s of host sender", l, units[l.Path])
		}
		if n <= last[l.Handle] {
			return fmt.Errorf("after line %d of the handle came %+v", last[l.Handle], l)
		}
		last[l.Handle] = n
		count[l.Path]++
	}
	for _, w := range list {
		if count[w.file] != results[w.id].lines {
			return fmt.Errorf("%s: got %d lines, want %d", w.file, count[w.file], results[w.id].lines)
		}
	}
	return nil
}
