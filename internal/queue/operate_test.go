package queue

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ftfuse/internal/record"
)

// spool is a store of which the bytes are their offsets.
type spool struct{}

func (spool) ReadExtent(e record.Extent, p []byte) error {
	if e.Spool != 1 {
		return fmt.Errorf("spool %d: %w", e.Spool, record.ErrGone)
	}
	for i := range p {
		p[i] = byte(e.Off) + byte(i)
	}
	return nil
}

func TestOperatorsView(t *testing.T) {
	o := options(fastDir(t))
	o.SegmentEntries = 4
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	for i := range 10 {
		k := spooled("r", uint64(1+i/9), int64(i), 3)
		k.CRC = record.CRC([]byte{byte(i), byte(i + 1), byte(i + 2)})
		appendAll(t, q, k)
	}
	appendAll(t, q, inline("s", "text"))
	drain(t, c, 100)
	if err := c.Ack(2, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Status(o.Dir); err == nil {
		t.Fatal("a running queue was opened")
	}
	want := q.Stats()
	q.Close()

	got, problems, err := Status(o.Dir)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if got.Closed.IsZero() {
		t.Error("a queue that was closed in order does not say so")
	}
	got.Quarantine, got.Closed = want.Quarantine, want.Closed
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
		t.Fatalf("status of the stopped queue:\ngot  %s\nwant %s", a, b)
	}
	steps := 0
	r, err := Check(o.Dir, func(done, total int64) { steps++ })
	if err != nil || len(r.Problems) > 0 || r.Entries != 11 || r.Chunks != 11 || steps != r.Databases {
		t.Fatalf("check: got %+v, %v, %d steps", r, err, steps)
	}
	var out bytes.Buffer
	if err := Export(o.Dir, &out, spool{}, nil); err != nil {
		t.Fatal(err)
	}
	var lines []Exported
	for sc := bufio.NewScanner(&out); sc.Scan(); {
		var e Exported
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, e)
	}
	if len(lines) != 9 || lines[0].Seq != 3 || !bytes.Equal(lines[0].Data, []byte{2, 3, 4}) || lines[0].Error != "" {
		t.Fatalf("exported %d lines, the first %+v", len(lines), lines[0])
	}
	if lines[7].Error == "" || lines[8].Error != "" || string(lines[8].Data) != "text" || lines[8].Epoch != want.Epoch {
		t.Fatalf("exported %+v and %+v", lines[7], lines[8])
	}
}

func TestPurge(t *testing.T) {
	dir := fastDir(t)
	o, _ := sample(t, dir)
	if _, err := Purge(dir, "everything"); err == nil {
		t.Fatal("purged an unknown thing")
	}
	if _, err := Purge(dir, PurgeCursor+"b"); err == nil {
		t.Fatal("purged an unknown cursor")
	}
	if n, err := Purge(dir, PurgeCursor+"a"); err != nil || n != (damageEntries-3)*204 {
		t.Fatalf("got %d, %v", n, err)
	}
	q, r := open(t, o)
	if !r.Clean || q.Held() != 0 {
		t.Fatalf("after: clean %v, %d bytes held", r.Clean, q.Held())
	}
	balanced(t, q)
	all, _ := drain(t, cursor(t, q, "a"), 1<<20)
	wholeSequence(t, all, 4)
	if got := gapsOf(all); !slices.Equal(got, []string{fmt.Sprintf("4-40 purged %d", 37*204)}) {
		t.Fatalf("got %v", got)
	}
}

func TestCheckAndRepair(t *testing.T) {
	dir := fastDir(t)
	o, _ := sample(t, dir)
	tables, _ := filepath.Glob(filepath.Join(dir, segmentName(13), "*.ldb"))
	if len(tables) == 0 {
		t.Fatal("nothing to break")
	}
	b, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tables[0], flip(b, len(b)/2), 0o600); err != nil {
		t.Fatal(err)
	}
	before, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	r, err := Check(dir, nil)
	if err != nil || len(r.Problems) == 0 {
		t.Fatalf("check: got %+v, %v", r, err)
	}
	if after, _ := filepath.Glob(filepath.Join(dir, "*", "*")); !slices.Equal(before, after) {
		t.Fatalf("check has changed the folder from %v to %v", before, after)
	}
	rec, r, err := Repair(dir, nil)
	if err != nil || len(r.Problems) != 0 || rec.Quarantined == "" {
		t.Fatalf("repair: got %+v, %+v, %v", rec, r, err)
	}
	q, reopened := open(t, o)
	if !reopened.Clean {
		t.Fatalf("after repair: got %+v", reopened)
	}
	balanced(t, q)
	all, _ := drain(t, cursor(t, q, "a"), 1<<20)
	wholeSequence(t, all, 4)
	q.Close()
	if list, err := os.ReadDir(filepath.Join(dir, quarantineName)); err != nil || len(list) != 1 {
		t.Fatalf("quarantine: %v, %v", list, err)
	}
	if _, err := Purge(dir, PurgeQuarantine); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, quarantineName)); !os.IsNotExist(err) {
		t.Fatal("quarantine is still there")
	}
}
