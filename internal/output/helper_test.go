package output

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is one output with its ledger on temporary folders. Changes to its Options count from the next open.
type rig struct {
	t     testing.TB
	state string
	Options
	ledger  ledger.Options
	led     *ledger.Ledger
	rep     ledger.Report
	out     *Output
	src     *record.Source
	nextSeq uint64
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, state: t.TempDir(), src: source(1)}
	r.Options = Options{Name: "out", Base: t.TempDir(), Path: "{path}", Location: time.UTC}
	r.ledger.Dir, r.ledger.Forget = r.state, 100*365*24*time.Hour // tests set the clock
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() *Output {
	r.t.Helper()
	must(r.t, r.tryOpen())
	return r.out
}

func (r *rig) tryOpen() error {
	r.close()
	var err error
	if r.led, r.rep, err = ledger.Open(r.ledger); err != nil {
		return err
	}
	r.Options.Book = r.led.Book("out")
	r.out, err = Open(r.Options)
	return err
}

func (r *rig) close() {
	if r.out != nil {
		r.out.Close()
	}
	if r.led != nil {
		r.led.Close()
	}
	r.out, r.led = nil, nil
}

func (r *rig) put(chunks ...record.Chunk) {
	r.t.Helper()
	must(r.t, r.out.Put(r.t.Context(), chunks))
}

// chunk makes the stream's next chunk, of format line.
func (r *rig) chunk(path, data string) record.Chunk {
	r.nextSeq++
	return chunk(r.src, r.nextSeq, path, data)
}

func (r *rig) read(name string) string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.Base, name))
	must(r.t, err)
	return string(b)
}

func (r *rig) want(name, content string) {
	r.t.Helper()
	if got := r.read(name); got != content {
		r.t.Fatalf("%s: got %q, want %q", name, clip(got), clip(content))
	}
}

func clip(s string) string {
	if len(s) > 400 {
		return s[:200] + "..." + s[len(s)-200:]
	}
	return s
}

func source(n byte) *record.Source {
	return &record.Source{Stream: record.Stream{Sender: record.SenderID{n}, Epoch: 1}, Host: fmt.Sprintf("host%d", n), BootID: "b"}
}

func chunk(src *record.Source, seq uint64, path, data string) record.Chunk {
	b := []byte(data)
	return record.Chunk{
		Seq: seq, Source: src, File: &record.File{Mount: "m", Path: path, Rule: "r"},
		Writer: &record.Writer{Kind: record.Thread, PID: 10, TID: 11, UID: 12, GID: 13, Comm: "sh"},
		Handle: 1, Time: 1_700_000_000_123456789, Records: uint32(bytes.Count(b, []byte("\n"))),
		CRC: record.CRC(b), Len: uint32(len(b)), Data: b,
	}
}

// sortByNumber sorts rotated names by time and then by the number behind it.
func sortByNumber(names []string) {
	key := func(n string) string {
		n = strings.TrimSuffix(strings.TrimSuffix(n, ".zst"), ".gz")
		stem, number, ok := strings.Cut(filepath.Base(n), ".")
		if !ok {
			number = "1"
		}
		return fmt.Sprintf("%s.%4s", stem, number)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(key(a), key(b)) })
}
