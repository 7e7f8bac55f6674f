package plugin

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/record"
)

const examples = "../../docs/examples/plugins"

func example(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(examples, name))
	must(t, err)
	return path
}

// objects is a format with the keys of json that the examples use.
type objects struct{}

func (objects) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	off := 0
	for _, l := range bytes.SplitAfter(c.Data, lineEnd) {
		if len(l) == 0 {
			continue
		}
		dst = spill(dst)
		b, err := json.Marshal(map[string]any{"time": "2024-05-06T07:08:09Z", "data": strings.TrimSuffix(string(l), "\n"), "host": "web1",
			"path": c.File.Path, "handle": c.Handle, "offset": c.Offset + uint64(off), "sender": c.Source.Sender.String(), "epoch": c.Source.Epoch})
		if err != nil {
			panic(err)
		}
		dst = append(append(dst, b...), '\n')
		off += len(l)
	}
	return dst
}

// fed runs a plug-in until it has been given everything, and stops it.
func (r *rig) fed() *running {
	r.t.Helper()
	p := r.start()
	until(r.t, "all is read", func() bool { return r.drained("out") })
	p.end()
	if s := p.Stats(); s.LastExit != "exit status 0" || s.Restarts != 0 {
		r.t.Errorf("got %+v\n%s", s, r.log)
	}
	return p
}

func TestExampleCount(t *testing.T) {
	r := newRig(t)
	r.Command, r.Stdout = []string{example(t, "count.sh")}, Journal
	r.append([]byte("GET /\nPUT /x\nGET /y\n"))
	r.fed()
	text := ""
	if r.jd.Drain(&text); text != "GET 2\nPUT 1\n" {
		t.Errorf("got %q", text)
	}
}

func TestExampleErrors(t *testing.T) {
	r := newRig(t)
	r.Command = []string{example(t, "errors.sh"), "sh", "-c", `printf '%s\n' "$0" >>sent`}
	r.Environment = []string{"INTERVAL=1000"}
	r.append([]byte("fine\nan ERROR \\n `x`\nfine\nERROR again\nlast ERROR"))
	r.fed()
	want := "out: 1 lines with ERROR, the last: an ERROR \\n `x`\nout: 2 lines with ERROR, the last: last ERROR\n"
	if got := r.read("sent"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExampleSlow(t *testing.T) {
	r := newRig(t)
	r.Render = objects{}
	r.Command, r.Stdout, r.StdoutFile = []string{"jq", "--unbuffered", "-rf", example(t, "slow.jq")}, File, r.path("slow.log")
	r.append([]byte(`{"url":"/a","seconds":0.5}` + "\nno json\n" + `{"url":"/b","seconds":2}` + "\n[1]\n7\n" + `{"url":"/c","seconds":1}` + "\n"))
	r.fed()
	if got, want := r.read("slow.log"), "2024-05-06T07:08:09Z web1 /b 2\n2024-05-06T07:08:09Z web1 /c 1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The database has every line once, over kill -9.
func TestExampleStore(t *testing.T) {
	r := newRig(t)
	r.Render, r.Ack = objects{}, true
	r.Command = []string{"/usr/bin/python3", example(t, "store.py"), r.path("db")}
	p := r.start()
	killing(t, r, p, 6)
	out, err := exec.Command("/usr/bin/python3", "-c", `
import sqlite3, sys
for data, in sqlite3.connect(sys.argv[1]).execute("select data from lines"): print(data)`, r.path("db")).Output()
	must(t, err)
	got, torn := numbers(string(out))
	if once(t, got, r.lines); len(torn) > 0 {
		t.Errorf("torn: %.3q", torn)
	}
}

// The archive has every line, over kill -9, and what is half there is cut off.
func TestExampleGzip(t *testing.T) {
	r := newRig(t)
	r.Ack = true
	script, err := os.ReadFile(example(t, "daily.py"))
	must(t, err)
	quick := strings.Replace(strings.Replace(string(script), "WAIT = 5.0", "WAIT = 0.002", 1), "BATCH = 1 << 20", "BATCH = 20000", 1)
	must(t, os.WriteFile(r.path("daily.py"), []byte(quick), 0o600)) // by its own name: Python looks for modules beside it
	r.Command = []string{"/usr/bin/python3", r.path("daily.py"), r.dir}
	now := time.Now().UTC()
	r.Environment = []string{fmt.Sprintf("TZ=NOON%+d", now.Hour()-12)} // POSIX, west of Greenwich: no day ends meanwhile
	torn := r.path(now.Add(time.Duration(12-now.Hour()) * time.Hour).Format("20060102.gz"))
	must(t, os.WriteFile(torn, member(t, "before\n", 0), 0o600))
	must(t, appendTo(torn, member(t, "half\n", 5)))
	p := r.start()
	killing(t, r, p, 6)
	files, err := filepath.Glob(r.path("*.gz"))
	must(t, err)
	text := ""
	for _, f := range files {
		z, err := gzip.NewReader(bytes.NewReader([]byte(r.read(filepath.Base(f)))))
		must(t, err)
		b, err := io.ReadAll(z)
		must(t, err)
		text += string(b)
	}
	got, rest := numbers(text)
	for n := 1; n <= r.lines; n++ {
		if got[n] == 0 {
			t.Fatalf("line %d of %d is lost", n, r.lines)
		}
	}
	if len(rest) != 1 || rest[0] != "before\n" {
		t.Errorf("got %.3q beside the lines", rest)
	}
}

// member is text compressed, without its last bytes.
func member(t *testing.T, text string, without int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := fmt.Fprint(z, text)
	must(t, err)
	must(t, z.Close())
	return b.Bytes()[:b.Len()-without]
}

func appendTo(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(b)
	return err
}

// docs/plugins.md names every example, and only those; each says what format it wants.
func TestExamplesAreListed(t *testing.T) {
	doc, err := os.ReadFile("../../docs/plugins.md")
	must(t, err)
	entries, err := os.ReadDir(examples)
	must(t, err)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(examples, e.Name()))
		must(t, err)
		if !bytes.Contains(doc, []byte("examples/plugins/"+e.Name())) {
			t.Errorf("docs/plugins.md does not name %s", e.Name())
		}
		if !bytes.Contains(text, []byte("FTFUSE_FORMAT: ")) || !bytes.Contains(text, []byte("  command: [")) {
			t.Errorf("%s does not say what format and command it wants", e.Name())
		}
	}
	if n := len(regexp.MustCompile(`\(examples/plugins/[\w.]+\)`).FindAll(doc, -1)); n != len(entries) {
		t.Errorf("docs/plugins.md names %d examples, want the %d there are", n, len(entries))
	}
}
